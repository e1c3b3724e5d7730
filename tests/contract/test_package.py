"""The package itself, built once as for a deployment, and used with nothing else in reach."""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from chalicelib import jobs
from chalicelib.db.migrate import BRANCHES
from chalicelib.runner.events import envelope
from scripts import config, package
from scripts.weight import total
from tests.contract.cold import import_alone, run_alone
from tests.contract.paths import CODE
from tests.contract.test_cold_start import LIGHT
from tests.harness import Deployment

pytestmark = pytest.mark.slow

STAGE = "prod"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("package") / STAGE
    package.build(STAGE, output)
    return output


@pytest.fixture(scope="module")
def path(output: Path) -> list[Path]:
    """Where Lambda unpacks the application and its layer, in the order in which it looks there."""
    task, layer = output / "task", output / "opt"
    for archive, folder in ((package.APP_ZIP, task), (package.LAYER_ZIP, layer)):
        with ZipFile(output / archive) as file:
            file.extractall(folder)
    return [task, layer / "python" / "lib" / PYTHON / "site-packages"]


@pytest.fixture(scope="module")
def resources(output: Path) -> dict[str, dict[str, Any]]:
    """What the CloudFormation template makes, by logical id."""
    template = json.loads((output / "sam.json").read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = template["Resources"]
    return found


@pytest.fixture(scope="module")
def functions(resources: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The functions of the template, by handler."""
    return {
        resource["Properties"]["Handler"]: resource["Properties"]
        for resource in resources.values()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def test_the_package_has_every_pinned_dependency_and_lambda_takes_its_weight(output: Path) -> None:
    weights = package.check(output)
    assert not [weight for weight in weights if weight.name == "(unowned)" and weight.zipped]
    assert total(weights).zipped < package.MAX_ZIPPED


def test_the_application_is_what_was_exported_and_chalices_own_run_time(
    output: Path, tmp_path: Path
) -> None:
    with ZipFile(output / package.APP_ZIP) as archive:
        packed = {name for name in archive.namelist() if not name.endswith("/")}
    assert packed == {*package.export(tmp_path), "chalice/__init__.py", "chalice/app.py"}


@pytest.mark.parametrize("name", [*jobs.NAMES, *jobs.TOOLS])
def test_each_handler_imports_alone_from_the_package(name: str, path: list[Path]) -> None:
    imported = import_alone(f"chalicelib.jobs.{name}", path)
    assert imported.has_handler
    assert imported.packages <= LIGHT


def test_the_api_imports_from_the_package(path: list[Path]) -> None:
    assert import_alone("app", path).packages == LIGHT | {"app"}


def test_every_module_and_whatever_it_imports_later_is_in_the_package(path: list[Path]) -> None:
    names = sorted({*own_modules(), *libraries()})
    script = "for name in json.loads(sys.argv[2]): importlib.import_module(name)"
    run_alone(script, path, json.dumps(names))


def test_the_migrations_of_the_package_have_one_head_per_branch(path: list[Path]) -> None:
    script = """
from alembic.config import Config
from alembic.script import ScriptDirectory
from chalicelib.db.migrate import BRANCHES, FOLDER
config = Config()
config.set_main_option("script_location", str(FOLDER))
config.set_main_option("path_separator", "newline")
config.set_main_option("version_locations", "\\n".join(str(FOLDER / name) for name in BRANCHES))
for head in ScriptDirectory.from_config(config).get_revisions("heads"):
    print(*head.branch_labels)
"""
    assert sorted(run_alone(script, path).split()) == sorted(BRANCHES)


def test_a_relance_leaves_from_the_package_and_its_migrations_run(
    path: list[Path], deployment: Deployment
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.advance_to_slot()
    script = """
class Context:
    aws_request_id = "test"
    def get_remaining_time_in_millis(self):
        return 300_000
name, event = sys.argv[2:]
handler = importlib.import_module(f"chalicelib.jobs.{name}").handler
print(json.dumps(handler(json.loads(event), Context())))
"""
    environment = {name: os.environ[name] for name in ("DATABASE_URL", "MAIL_URL", "MAIL_FROM")}
    environment |= {"STORAGE_URL": os.environ["STORAGE_URL"], "PONCTUEL_STAGE": "local"}
    migrated = run_alone(script, path, "migrate", "{}", environment=environment)
    assert json.loads(migrated)["success"] is True
    tick = json.dumps(envelope("followups"))
    ran = run_alone(script, path, "followups", tick, environment=environment)
    assert json.loads(ran) == {"job": "followups", "status": ["succeeded"]}
    assert deployment.states() == [("F1", "1", "accepted")]
    assert len(deployment.smtp.accepted()) == 1


def test_each_function_of_the_template_has_its_memory_time_and_stage(
    functions: dict[str, dict[str, Any]],
) -> None:
    expected = config.config(config.load())["stages"][STAGE]
    handlers = {"api_handler": "app.app"}
    handlers |= {name: f"chalicelib.jobs.{name}.handler" for name in (*jobs.NAMES, *jobs.TOOLS)}
    assert set(functions) == set(handlers.values())
    for name, handler in handlers.items():
        function, wanted = functions[handler], expected["lambda_functions"][name]
        assert function["MemorySize"] == wanted["lambda_memory_size"]
        assert function["Timeout"] == wanted["lambda_timeout"]
        assert function["Environment"]["Variables"] == expected["environment_variables"]
        assert function["Runtime"] == PYTHON
        assert function["Layers"] == [{"Ref": "ManagedLayer"}]
        assert len(function["Layers"]) == 1


def test_each_job_of_the_template_has_one_schedule_and_no_tool_has_any(
    functions: dict[str, dict[str, Any]],
) -> None:
    for name in jobs.NAMES:
        [event] = functions[f"chalicelib.jobs.{name}.handler"]["Events"].values()
        assert event["Type"] == "Schedule"
        assert event["Properties"]["Schedule"].startswith("cron(")
    for name in jobs.TOOLS:
        assert "Events" not in functions[f"chalicelib.jobs.{name}.handler"]


def test_what_the_template_refers_to_is_in_it(resources: dict[str, dict[str, Any]]) -> None:
    # Chalice's own template may not be: https://github.com/aws/chalice/issues/2079
    named = set(references(resources))
    assert named
    assert named <= resources.keys()


def references(value: Any) -> Iterator[str]:
    """Logical ids that a part of a template refers to, without AWS's own (`AWS::Region`)."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref":
                yield item
            elif key == "Fn::GetAtt":
                yield item[0]
            elif key == "Fn::Sub":
                text, given = item if isinstance(item, list) else (item, {})
                yield from set(re.findall(r"\$\{(\w+)(?:\.\w+)?\}", text)) - given.keys()
                yield from references(given)
            else:
                yield from references(item)


def own_modules() -> set[str]:
    """Every module below chalicelib, except migrations, which only Alembic can run."""
    return {
        ".".join(file.relative_to(CODE.parent).with_suffix("").parts).removesuffix(".__init__")
        for file in CODE.rglob("*.py")
        if "migrations" not in file.parts
    }


def libraries() -> set[str]:
    """Whatever else is imported below chalicelib, inside functions included."""
    found = set()
    for file in CODE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
    return found
