"""Reads `.chalice/stages.toml`, what an operator decides about each deployed stage.

A stage's table holds Chalice's own keys, which go to config.json as they are, and what is handed on
function by function or shapes the policies. What Chalice would ignore in silence is refused here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib import setting_types
from chalicelib.errors import SettingsError
from chalicelib.runner.triggers import APP
from chalicelib.setting import Setting
from chalicelib.settings import SCHEDULE, ZONE, rows

# Chalice's keys that make sense for a whole stage; config.json gets the others from the jobs.
STAGE_KEYS = {
    "api_gateway_custom_domain",
    "lambda_architecture",
    "minimum_compression_size",
    "security_group_ids",
    "subnet_ids",
    "tags",
    "xray",
}
# Keys of a stage that are ours, not Chalice's.
OWN_KEYS = {
    "aws_account_id",
    "aws_region",
    "environment_variables",
    "lambda_functions",
    "log_retention_in_days",
    "permissions",
}
LONGEST_NAME = 64
FUNCTION_KEYS = {"lambda_memory_size", "lambda_timeout", "reserved_concurrency", "tags"}


@dataclass(frozen=True)
class Stage:
    """One deployed stage. `chalice`: keys for config.json. `functions`: what replaces a function's
    own memory, time-out and the like. `log_retention_in_days`: None keeps logs for ever.
    `ses_identities`: verified domains or addresses to send as, None for all of the account's.
    `aws_account_id`, `aws_region`: where the stage is deployed and nowhere else; "" leaves it to
    the credentials."""

    name: str
    chalice: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    log_retention_in_days: int | None = None
    ses_identities: tuple[str, ...] | None = None
    aws_account_id: str = ""
    aws_region: str = ""

    @property
    def in_private_network(self) -> bool:
        return bool(self.chalice.get("subnet_ids"))

    @property
    def storage_url(self) -> str:
        """STORAGE_URL as the functions will read it, or an empty text."""
        return self.environment.get("STORAGE_URL", "")


def parse(text: str, *, functions: Iterable[str], jobs: Iterable[str]) -> list[Stage]:
    """The stages in the TOML `text`, for an application that has these functions, of which `jobs`
    are scheduled. Raises `SettingsError`, in French, for what cannot be deployed as meant."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"stages.toml est illisible : {error}.") from None
    known, scheduled = set(functions), set(jobs)
    stages = [_stage(name, table, known, scheduled) for name, table in tables.items()]
    for shorter in tables:
        for longer in tables:
            if longer.startswith(f"{shorter}-"):
                # Permissions are on name prefixes: those of `dev` would cover `dev-2`.
                raise SettingsError(
                    f"L'étape {longer} commence comme l'étape {shorter}, dont les droits "
                    "s'étendraient à elle : donnez-lui un autre nom."
                )
    return stages


def _stage(name: str, table: Any, functions: set[str], jobs: set[str]) -> Stage:
    if not isinstance(table, dict):
        raise SettingsError(f"{name} est hors de toute étape : placez-le sous [prod] ou [dev].")
    try:
        setting_types.stage(name)
    except setting_types.UnusableError as error:
        raise SettingsError(f"Étape {name} : {error}.") from None
    if name == "local":
        raise SettingsError("L'étape local ne se déploie pas : renommez-la dans stages.toml.")
    _only(table, STAGE_KEYS | OWN_KEYS, name)
    _short_enough(name, functions, jobs)
    overrides = table.get("lambda_functions", {})
    _only(overrides, functions, f"{name}.lambda_functions")
    for function, keys in overrides.items():
        _only(keys, FUNCTION_KEYS, f"{name}.lambda_functions.{function}")
    permissions = table.get("permissions", {})
    _only(permissions, {"ses_identities"}, f"{name}.permissions")
    identities = permissions.get("ses_identities")
    return Stage(
        name=name,
        chalice={key: value for key, value in table.items() if key not in OWN_KEYS},
        environment=_environment(name, table.get("environment_variables", {}), jobs),
        functions=overrides,
        log_retention_in_days=table.get("log_retention_in_days"),
        ses_identities=None if identities is None else tuple(identities),
        aws_account_id=_matching(r"\d{12}", table, "aws_account_id", name),
        aws_region=_matching(r"[a-z]{2}(-[a-z]+)+-\d", table, "aws_region", name),
    )


def _short_enough(stage: str, functions: set[str], jobs: set[str]) -> None:
    """Lambda, IAM and EventBridge take 64 characters; AWS would say so half way."""
    names = [f"{APP}-{stage}-{function}" for function in functions]
    names += [f"{APP}-{stage}-{job}-event" for job in jobs]
    if too_long := sorted(name for name in names if len(name) > LONGEST_NAME):
        raise SettingsError(
            f"{stage} : AWS refuse les noms de plus de {LONGEST_NAME} caractères : "
            f"{', '.join(too_long)}. Donnez à l'étape un nom plus court."
        )


def _matching(pattern: str, table: Mapping[str, Any], key: str, stage: str) -> str:
    value = table.get(key, "")
    if value and not (isinstance(value, str) and re.fullmatch(pattern, value)):
        example = {"aws_account_id": "123456789012", "aws_region": "eu-west-3"}[key]
        raise SettingsError(f'{stage} : {key} se note par exemple {key} = "{example}".')
    return str(value)


def _environment(stage: str, variables: Mapping[str, Any], jobs: set[str]) -> dict[str, str]:
    """The variables, each checked by the setting that will read it."""
    known = _settings(jobs)
    for name, value in variables.items():
        setting = known.get(name)
        if setting is None or name == "PONCTUEL_STAGE":
            raise SettingsError(f"{stage} : {name} n'est pas un réglage. Voyez docs/settings.md.")
        if setting.secret:
            raise SettingsError(
                f"{stage} : {name} est un secret, qui ne se lit que dans SSM : "
                f"`./ponctuel secrets store {name} --stage {stage}`, et retirez-le de stages.toml."
            )
        try:
            if not isinstance(value, str):
                raise setting_types.UnusableError("attendu : un texte entre guillemets")
            setting.parse(value)
        except setting_types.UnusableError as error:
            raise SettingsError(f"{stage} : {name} : {error}.") from None
    return dict(variables)


def _settings(jobs: set[str]) -> dict[str, Setting[Any]]:
    per_job = {
        row.name.replace("<JOB>", job.upper()): row for row in (SCHEDULE, ZONE) for job in jobs
    }
    return {row.name: row for row in rows() if row not in (SCHEDULE, ZONE)} | per_job


def _only(table: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(table.keys() - known):
        raise SettingsError(
            f"{where} : clé inconnue dans stages.toml : {', '.join(unknown)}. "
            f"Il y a : {', '.join(sorted(known))}."
        )
