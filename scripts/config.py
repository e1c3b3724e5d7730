"""`make config`: writes `.chalice/config.json` and the policy files, which nobody edits by hand.

They come from the register of jobs and `.chalice/stages.toml`, so that a new job is deployed with
its own memory, time-out and rights from the moment that it is registered.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chalicelib import jobs
from chalicelib.errors import SettingsError
from chalicelib.runner.rule import eventbridge_rule
from chalicelib.runner.triggers import APP
from chalicelib.settings import Settings
from scripts import stages
from scripts.policies import ROLES, policy
from scripts.stages import Stage

FOLDER = Path(__file__).parent.parent / ".chalice"
API = "api_handler"
# API Gateway answers 504 by itself after 29 s, so a longer time-out would be of no use.
API_FUNCTION = {"lambda_memory_size": 512, "lambda_timeout": 30}
# A migration may have a long backfill; 900 s is the most that Lambda gives.
TOOL_FUNCTION = {"lambda_memory_size": 512, "lambda_timeout": 900}


def load(folder: Path = FOLDER) -> list[Stage]:
    """The stages of `folder`/stages.toml. Raises `SettingsError`."""
    text = (folder / "stages.toml").read_text(encoding="utf-8")
    functions = (API, *jobs.NAMES, *jobs.TOOLS)
    known = stages.parse(text, functions=functions, jobs=jobs.NAMES)
    for stage in known:
        rules(stage)
    return known


def rules(stage: Stage) -> dict[str, str]:
    """EventBridge's rule of each job on this stage, as Chalice will ask for it. Raises
    `SettingsError` for a schedule that is none."""
    current = Settings.from_mapping(environment(stage))
    found = {}
    for name in jobs.NAMES:
        expression = current.schedule_for(name) or jobs.job(name).schedule
        try:
            found[name] = eventbridge_rule(expression, jobs.job(name).zone_on(current))
        except SettingsError as error:
            raise SettingsError(
                f"{stage.name} : l'horaire du job {name} est inutilisable : {error}"
            ) from error
    return found


def environment(stage: Stage) -> dict[str, str]:
    """The variables that every function of the stage gets."""
    return {"PONCTUEL_STAGE": stage.name, **stage.environment}


def files(known: list[Stage]) -> dict[str, str]:
    """Every generated file of `.chalice`, by name."""
    policies = {_policy_file(stage, role): policy(stage, role) for stage in known for role in ROLES}
    documents = {"config.json": config(known), **policies}
    return {name: json.dumps(value, indent=2) + "\n" for name, value in documents.items()}


def config(known: list[Stage]) -> dict[str, Any]:
    """Chalice's configuration of these stages."""
    return {
        "version": "2.0",
        "app_name": APP,
        "api_gateway_endpoint_type": "REGIONAL",
        "automatic_layer": True,
        "autogen_policy": False,
        "stages": {
            stage.name: {
                "api_gateway_stage": "api",
                **stage.chalice,
                # Under stages only: Chalice drops variables that top-level functions declare.
                "environment_variables": environment(stage),
                "lambda_functions": _functions(stage),
            }
            for stage in known
        },
    }


def _functions(stage: Stage) -> dict[str, Mapping[str, Any]]:
    own: dict[str, tuple[str, Mapping[str, int]]] = {API: ("api", API_FUNCTION)}
    for name in jobs.NAMES:
        job = jobs.job(name)
        limits = {"lambda_memory_size": job.memory_mb, "lambda_timeout": job.timeout_s}
        own[name] = ("job", limits)
    own |= dict.fromkeys(jobs.TOOLS, ("tool", TOOL_FUNCTION))
    return {
        name: {
            "iam_policy_file": _policy_file(stage, role),
            **limits,
            **_retention(stage, name),
            **stage.functions.get(name, {}),
        }
        for name, (role, limits) in own.items()
    }


def _retention(stage: Stage, function: str) -> dict[str, int]:
    """Not for the API: Chalice would make a log group that the API does not use, and a template
    that refers to a function that is not there. https://github.com/aws/chalice/issues/2079"""
    days = stage.log_retention_in_days
    return {} if days is None or function == API else {"log_retention_in_days": days}


def _policy_file(stage: Stage, role: str) -> str:
    return f"policy-{stage.name}-{role}.json"


def outdated(folder: Path = FOLDER) -> list[str]:
    """Names of the files that `write` would change or remove. Raises `SettingsError`."""
    generated = files(load(folder))
    paths = [*folder.glob("config.json"), *folder.glob("policy-*.json")]
    present = {path.name: path.read_text(encoding="utf-8") for path in paths}
    return sorted(dict(generated.items() ^ present.items()))


def write(folder: Path = FOLDER) -> list[str]:
    """Writes what differs and removes the policies of former stages; returns the names concerned.
    Raises `SettingsError`."""
    generated, changed = files(load(folder)), outdated(folder)
    for name in changed:
        if name in generated:
            (folder / name).write_text(generated[name], encoding="utf-8")
        else:
            (folder / name).unlink()
    return changed


def main() -> int:
    try:
        changed = write()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("".join(f".chalice/{name}\n" for name in changed) or "nothing to change\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
