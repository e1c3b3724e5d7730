"""The way through: door → runner → job → domain → outbox → provider, and never back.

Read from the source, so that an import inside a function counts like one at the top.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from tests.contract.paths import CODE, ROOT

# Package → the packages that it may import. What is not a package of chalicelib (errors, logs,
# settings…) is in everybody's reach and reaches nobody.
WAY = {
    "db": set(),
    "providers": set(),
    "runner": {"db"},
    "mail": set(),
    "mailboxes": {"db", "mail", "providers", "runner"},
    "outbox": {"db", "providers", "runner"},
    "domain": {"db", "mail", "mailboxes", "outbox", "runner"},
    "jobs": {"db", "domain", "outbox", "runner"},
    "routes": {"db", "domain", "jobs", "outbox", "runner"},
}
# Module → what it may import besides, and why.
BESIDES = {
    "runner.invocation": {"domain", "outbox", "providers"},  # the one place that puts it together
    "outbox.go_live": {"domain"},  # lists the kinds by name, as `kinds.load` finds one
    "outbox.inbound": {"domain"},  # finds the domains' listeners, in the same way
    "routes.webhooks": {"providers.sns"},  # Amazon's certificate is fetched to check its signature
    "mailboxes.opening": {"providers"},  # a mailbox is read while its credentials are at hand
    "runner.dry_run": {"outbox"},  # says whether each letter could be composed, as delivery does
    # Erasing is an errand: the store and Stripe are asked between its transactions.
    "domain.accounts.erasure_groups": {"providers.storage.port"},
    "domain.accounts.archiving": {"providers.storage.port"},
    "domain.accounts.erasure_outside": {"providers"},
    "domain.accounts.erasure_tokens": {"providers"},
    "domain.accounts.tombstones": {"providers.storage.port", "providers.storage.keys"},
    "domain.accounts.replaying": {"providers.storage.port"},
    "redaction": {"db.sqlstate"},  # a database error is told by its code, not by its text
    "settings_sending": {"providers.mail.port"},  # a sender is an address, as mail has it
    "setting_types": {"providers.mail.port"},
}
# Libraries that only these may import. Chalice's decorators are read at deploy.
LIBRARIES = {
    "chalice": ("jobs", "routes", "runner.rule_expression"),
    "boto3": ("providers", "runner.triggers"),
    "botocore": ("providers", "runner.triggers", "ssm"),
    "alembic": ("db",),
    "pg8000": ("db",),
    "jinja2": ("outbox", "routes"),
    "urllib3": ("providers",),
    "http": ("providers",),
    "urllib.request": (),
    "smtplib": ("providers",),
    "imaplib": ("providers",),
    "imapclient": ("providers",),
    "socket": ("db", "providers", "runner.invocation"),
    "requests": (),
    "aws_lambda_powertools": ("logs", "logs_format"),
}
NOT_DEPLOYED = {"app", "bench", "cli", "sandbox", "scripts", "tests"}
LONGEST_MODULE = 300


def modules() -> dict[str, Path]:
    """Name below chalicelib → file."""
    return {
        ".".join(path.relative_to(CODE).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(CODE.rglob("*.py"))
        if path.parent != CODE or path.name != "__init__.py"
    }


@cache
def imports(name: str, path: Path) -> Sequence[str]:
    """Full names that a module imports; of `from a import b` both `a` and `a.b`."""
    assert path.exists(), name
    return tuple(_imports(name, path))


def _imports(name: str, path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(name: str, packages: set[str] | tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


MODULES = modules()


def every_import() -> Iterator[tuple[str, str]]:
    """(module, what it imports)."""
    for name, path in MODULES.items():
        for imported in imports(name, path):
            yield name, imported


def test_a_module_imports_along_the_way_and_never_back() -> None:
    back = []
    for name, imported in every_import():
        own = name.partition(".")[0]
        allowed = {own} | WAY.get(own, set()) | BESIDES.get(name, set())
        ours = imported.removeprefix("chalicelib.")
        if ours != imported and ours.partition(".")[0] in WAY:
            parents = {known.rpartition(".")[0] for known in allowed}
            if not inside(ours, allowed) and ours not in parents:
                back.append(f"{name} imports {imported}")
    assert back == []


def test_a_library_is_imported_only_where_it_belongs() -> None:
    astray = []
    for name, imported in every_import():
        for library, places in LIBRARIES.items():
            if inside(imported, {library}) and not inside(name, places):
                astray.append(f"{name} imports {imported}")
    assert astray == []


def test_what_is_deployed_imports_nothing_that_is_not() -> None:
    # Of Chalice only this much is copied into the package.
    copied = {"chalice.app", "chalice.Blueprint", "chalice.Response", "chalice.Chalice"}
    missing = []
    for name, imported in every_import():
        top = imported.partition(".")[0]
        of_chalice = imported.startswith("chalice.") and not inside(imported, copied)
        if top in NOT_DEPLOYED or of_chalice:
            missing.append(f"{name} imports {imported}")
    assert missing == []


def test_the_one_place_that_puts_things_together_is_where_it_is_said_to_be() -> None:
    assert set(BESIDES) <= set(MODULES)
    for name, besides in BESIDES.items():
        used = set(imports(name, MODULES[name]))
        for package in besides:
            assert any(inside(module, {f"chalicelib.{package}"}) for module in used), (
                f"{name} no longer imports {package}: take it out of the table"
            )


def test_a_module_fits_in_a_readers_head() -> None:
    folders = (CODE, ROOT / "cli", ROOT / "sandbox", ROOT / "scripts")
    files = [ROOT / "app.py", *(path for folder in folders for path in folder.rglob("*.py"))]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {path for path, length in lengths.items() if length > LONGEST_MODULE} == set()
