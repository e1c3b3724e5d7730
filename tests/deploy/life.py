"""The life of a stage, with all that goes wrong on the way: real `chalice deploy` and `chalice
delete`, functions that run from the deployed zips, a real database."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib import jobs
from chalicelib.runner.events import envelope
from scripts import config
from scripts.account import connect
from scripts.release import look
from tests.database import Database
from tests.deploy.aws import Aws
from tests.deploy.snapshot import Snapshot, snapshot
from tests.deploy.workshop import Said, Workshop, store_secrets

# A job that the first commit has, and the second no longer.
FORMER = "former"
STAGES = {stage.name: stage for stage in config.load()}


@dataclass(frozen=True)
class Life:
    """What AWS held after each step, and what each step said."""

    cut: tuple[Said, Snapshot]
    first: tuple[Said, Snapshot]
    tick: dict[str, Any]
    changed: tuple[Said, Snapshot]
    recorded: tuple[list[Any], list[Any]]
    unreachable: tuple[Said, Snapshot]
    second_stage: tuple[Said, Snapshot]
    new_dependency: tuple[Said, Snapshot]
    rolled_back: tuple[Said, Snapshot]
    kept: tuple[Said, Snapshot]
    undeployed: tuple[Said, Snapshot]
    calls: set[str]
    shas: dict[str, str]


def live(aws: Aws, layers: Path, database: Database, folder: Path) -> Life:
    """The whole of it, in about a minute. `folder` is empty."""
    url = database.url
    store_secrets(aws, "dev", DATABASE_URL=url)
    aws.calls.clear()
    here = Workshop.clone(folder / "here", aws, layers)
    shas = {"first": add_former_job(here)}

    aws.refuse("apigateway:UpdateRestApi")  # the API is there, its right to call is not
    cut = here.deploy(), snapshot(aws)
    aws.allow_all()
    first = here.deploy(), snapshot(aws)
    run(aws, "ponctuel-dev-followups")  # a job's first tick is where its slots begin
    database.advance(timedelta(hours=1))
    tick = run(aws, "ponctuel-dev-followups")

    here.git("reset", "-q", "--hard", "HEAD~1")
    here.append("chalicelib/__init__.py", "\n# changed\n")
    shas["changed"] = here.commit("without the former job")
    changed = here.deploy(), snapshot(aws)
    recorded = here.recorded("dev"), read_state(aws)

    nobody = "postgresql://u:p@127.0.0.1:1/nothing"
    store_secrets(aws, "prod", DATABASE_URL=nobody)
    unreachable = here.deploy("prod"), snapshot(aws)
    store_secrets(aws, "prod", DATABASE_URL=url)
    # Another machine: the same commits, and nothing that a deployment left.
    there = folder / "there"
    here.git("clone", "-q", str(here.folder), str(there))
    (there / "build").mkdir()
    (there / "build" / "layers").symlink_to(layers)
    elsewhere = Workshop(there, here.environment)
    second_stage = elsewhere.deploy("prod"), snapshot(aws)

    elsewhere.edit("requirements.txt", "phonenumberslite==", "# phonenumberslite==")
    shas["new_dependency"] = elsewhere.commit("one dependency less")
    new_dependency = elsewhere.deploy("dev"), snapshot(aws)
    tag = here.git("tag", "--list", "deployed/dev/*").splitlines()[0]
    rolled_back = here.run("rollback", "--stage", "dev", "--tag", tag), snapshot(aws)

    kept = here.run("undeploy", "--stage", "dev", typed="prod\n"), snapshot(aws)
    undeployed = here.run("undeploy", "--stage", "dev", typed="dev\n"), snapshot(aws)
    calls = set(aws.calls)
    return Life(
        cut,
        first,
        tick,
        changed,
        recorded,
        unreachable,
        second_stage,
        new_dependency,
        rolled_back,
        kept,
        undeployed,
        calls,
        shas,
    )


def add_former_job(workshop: Workshop) -> str:
    source = (workshop.folder / "chalicelib/jobs/followups.py").read_text(encoding="utf-8")
    former = source.replace('name="followups"', f'name="{FORMER}"')
    assert former != source
    (workshop.folder / f"chalicelib/jobs/{FORMER}.py").write_text(former, encoding="utf-8")
    workshop.edit("chalicelib/jobs/__init__.py", "NAMES = (\n", f'NAMES = (\n    "{FORMER}",\n')
    workshop.run("config").succeeded()
    return workshop.commit("one more job")


def run(aws: Aws, function: str) -> dict[str, Any]:
    """What EventBridge's next tick makes of the function."""
    payload = json.dumps(envelope("followups")).encode()
    answer = aws.client("lambda").invoke(FunctionName=function, Payload=payload)
    found: dict[str, Any] = json.loads(answer["Payload"].read())
    return found


def read_state(aws: Aws) -> list[Any]:
    """What the next deployment will take for the state."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws.environment().items():
            patch.setenv(name, value)
        before = len(aws.calls)
        account = connect(STAGES["dev"], aws.environment())
        found: list[Any] = look(account, STAGES["dev"]).state()["resources"]
        del aws.calls[before:]
    return found


def expected(stage: str, *more: str) -> dict[str, str]:
    """The functions of a stage by their names in AWS, with Chalice's names."""
    names = {f"ponctuel-{stage}-{name}": name for name in (*jobs.NAMES, *jobs.TOOLS, *more)}
    return {f"ponctuel-{stage}": "api_handler"} | names
