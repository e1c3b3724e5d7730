"""requirements.txt: everything that runs in Lambda, with its version, and nothing else."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import distribution, packages_distributions, version

from packaging.requirements import Requirement

from scripts.package import normalised, pins
from tests.contract.paths import CODE, ROOT

PINNED = pins((ROOT / "requirements.txt").read_text(encoding="utf-8"))
# Lambda's package gets Chalice's run-time part from Chalice itself.
FROM_CHALICE = "chalice"
# Found by name: by SQLAlchemy in the database's address, and by zoneinfo.
WITHOUT_AN_IMPORT = {"pg8000", "tzdata"}


def needed_by(name: str) -> set[str]:
    """A distribution's direct dependencies here, without extras."""
    found = (Requirement(text) for text in distribution(name).requires or ())
    return {
        normalised(requirement.name)
        for requirement in found
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }


def imported_libraries() -> set[str]:
    """Distributions that chalicelib imports, at the top of a module or inside a function."""
    tops: set[str] = set()
    for path in CODE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                tops |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                tops.add((node.module or "").partition(".")[0])
    tops -= {*sys.stdlib_module_names, "chalicelib", FROM_CHALICE}
    owners = packages_distributions()
    return {normalised(owners[top][0]) for top in tops}


def test_what_is_installed_is_what_is_pinned() -> None:
    assert {name: version(name) for name in PINNED} == PINNED


def test_dependencies_of_dependencies_are_pinned_too() -> None:
    missing = {name: needed_by(name) - PINNED.keys() for name in PINNED}
    assert {name: names for name, names in missing.items() if names} == {}


def test_everything_that_the_code_imports_is_in_the_package() -> None:
    assert imported_libraries() <= PINNED.keys()


def test_nothing_is_in_the_package_that_nobody_needs() -> None:
    wanted = imported_libraries() | WITHOUT_AN_IMPORT
    while more := set().union(*(needed_by(name) for name in wanted)) - wanted:
        wanted |= more
    assert PINNED.keys() - wanted == set()
