"""`.chalice/config.json`: written from the register of jobs and stages.toml, never by hand."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from chalice.app import Chalice
from chalice.cli.factory import CLIFactory
from chalice.config import Config

from chalicelib import jobs
from chalicelib.errors import SettingsError
from scripts import config, stages
from tests.contract.paths import ROOT

COMMITTED = ROOT / ".chalice"
CONFIG: dict[str, Any] = json.loads((COMMITTED / "config.json").read_text(encoding="utf-8"))
FUNCTIONS = {"api_handler", *jobs.NAMES, *jobs.TOOLS}


def parse(text: str) -> list[stages.Stage]:
    return stages.parse(text, functions=FUNCTIONS, jobs=jobs.NAMES)


def test_the_committed_files_are_what_make_config_writes() -> None:
    assert config.outdated() == [], "run `make config`"


def test_writing_twice_changes_nothing_and_a_former_stages_policies_go(tmp_path: Path) -> None:
    shutil.copy(COMMITTED / "stages.toml", tmp_path)
    assert set(config.write(tmp_path)) == {path.name for path in COMMITTED.glob("*.json")}
    assert config.write(tmp_path) == []
    (tmp_path / "policy-former-job.json").write_text("{}")
    assert config.write(tmp_path) == ["policy-former-job.json"]
    assert not (tmp_path / "policy-former-job.json").exists()


def test_dev_and_prod_are_deployed_each_with_every_function_and_no_other() -> None:
    assert {"dev", "prod"} <= set(CONFIG["stages"])
    for stage in CONFIG["stages"].values():
        assert set(stage["lambda_functions"]) == FUNCTIONS


def test_the_names_in_the_configuration_are_those_of_the_application(app: Chalice) -> None:
    # Chalice says nothing about a name that is not a function of the application.
    known = {source.name for source in app.event_sources}
    known |= {function.name for function in app.pure_lambda_functions}
    for stage in CONFIG["stages"].values():
        assert set(stage["lambda_functions"]) == known | {"api_handler"}


def test_variables_and_functions_are_declared_under_stages_only() -> None:
    # At the top Chalice reads a function's time-out, and drops its variables.
    assert CONFIG.keys().isdisjoint({"environment_variables", "lambda_functions"})


@pytest.mark.parametrize("name", jobs.NAMES)
@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_chalice_gives_each_job_the_memory_and_time_that_it_asks_for(stage: str, name: str) -> None:
    job = jobs.job(name)
    read = as_chalice_reads(stage, name)
    overrides = {found.name: found.functions for found in config.load()}[stage].get(name, {})
    assert read.lambda_memory_size == overrides.get("lambda_memory_size", job.memory_mb)
    assert read.lambda_timeout == overrides.get("lambda_timeout", job.timeout_s)
    assert 128 <= read.lambda_memory_size <= 10_240
    assert read.lambda_timeout <= 900
    assert read.environment_variables["PONCTUEL_STAGE"] == stage
    assert read.autogen_policy is False
    assert (COMMITTED / read.iam_policy_file).exists()
    assert read.log_retention_in_days in (30, 90)


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_api_answers_under_api_in_one_region_and_stops_when_api_gateway_does(
    stage: str,
) -> None:
    read = as_chalice_reads(stage, "api_handler")
    assert read.api_gateway_stage == "api"
    assert read.api_gateway_endpoint_type == "REGIONAL"
    assert read.lambda_timeout == 30
    assert read.automatic_layer is True
    assert read.log_retention_in_days is None, "Chalice sets it on a group that nothing uses"


def as_chalice_reads(stage: str, function: str) -> Config:
    return Config(chalice_stage=stage, function_name=function, config_from_disk=CONFIG)


def test_what_an_operator_decides_reaches_chalice() -> None:
    [stage] = parse(
        """
        [prod]
        subnet_ids = ["subnet-1"]
        security_group_ids = ["sg-1"]
        log_retention_in_days = 90
        [prod.environment_variables]
        SCHEDULE_FOLLOWUPS = "*/30 * * * *"
        [prod.lambda_functions.followups]
        lambda_memory_size = 2048
        """
    )
    written = config.config([stage])
    read = Config(chalice_stage="prod", function_name="followups", config_from_disk=written)
    assert read.subnet_ids == ["subnet-1"]
    assert read.security_group_ids == ["sg-1"]
    assert read.log_retention_in_days == 90
    assert read.lambda_memory_size == 2048
    assert read.lambda_timeout == jobs.job("followups").timeout_s
    assert read.environment_variables == {
        "PONCTUEL_STAGE": "prod",
        "SCHEDULE_FOLLOWUPS": "*/30 * * * *",
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[prod", "illisible"),
        ('log_level = "DEBUG"', "log_level"),
        ("[Prod]", "Prod"),
        ("[local]", "local"),
        ("[dev]\n[dev-2]", "dev-2"),
        ("[prod]\nlambda_timeout = 900", "lambda_timeout"),
        ("[prod.permissions]\nbucket = 'x'", "bucket"),
        ("[prod.lambda_functions.folowups]\nlambda_timeout = 900", "folowups"),
        ("[prod.lambda_functions.followups]\ntimeout = 900", "timeout"),
        ("[prod.environment_variables]\nMAIL_FORM = 'x'", "MAIL_FORM"),
        ("[prod.environment_variables]\nPONCTUEL_STAGE = 'dev'", "PONCTUEL_STAGE"),
        ("[prod.environment_variables]\nWAIT_SECONDS = 20", "guillemets"),
        ("[prod.environment_variables]\nWAIT_SECONDS = '600'", "WAIT_SECONDS"),
        ("[prod.environment_variables]\nSCHEDULE_FOLOWUPS = '* * * * *'", "SCHEDULE_FOLOWUPS"),
        ("[prod]\naws_account_id = 123456789012", "aws_account_id = "),
        ("[prod]\naws_account_id = '1234'", "aws_account_id = "),
        ("[prod]\naws_region = 'Paris'", "aws_region = "),
        ("[prod.environment_variables]\nCRON_SECRET = 'x'", "secrets store CRON_SECRET"),
    ],
)
def test_what_chalice_would_ignore_or_aws_refuse_is_said_before(text: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        parse(text)


def test_the_account_and_region_of_a_stage_are_ours_to_check_and_nothing_for_chalice() -> None:
    text = "[prod]\naws_account_id = '123456789012'\naws_region = 'eu-west-3'"
    [stage] = parse(text)
    assert (stage.aws_account_id, stage.aws_region) == ("123456789012", "eu-west-3")
    assert "123456789012" not in json.dumps(config.config([stage]))


@pytest.mark.parametrize("schedule", ["61 * * * *", "0 25 * * *", "0 0 31 2 *", "at noon on day 1"])
def test_a_schedule_that_is_none_is_refused_with_the_jobs_name(schedule: str) -> None:
    text = f"[prod.environment_variables]\nSCHEDULE_FOLLOWUPS = '{schedule}'"
    with pytest.raises(SettingsError, match="followups"):
        config.rules(parse(text)[0])


def test_a_name_may_have_64_characters_and_not_65() -> None:
    longest = "j" * (64 - len("ponctuel-prod--event"))
    stages.parse("[prod]", functions=[longest], jobs=[longest])
    with pytest.raises(SettingsError, match="64"):
        stages.parse("[prod]", functions=[f"{longest}j"], jobs=[f"{longest}j"])


def test_a_secret_written_in_the_wrong_place_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as raised:
        parse("[prod.environment_variables]\nDATABASE_URL = 'postgresql://u:hunter2@h/b'")
    assert "hunter2" not in str(raised.value)


def test_chalice_knows_the_stages_variables_before_it_asks_for_the_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])  # Chalice adds the project's folder to it
    [stage] = parse("[prod.environment_variables]\nSCHEDULE_FOLLOWUPS = '*/30 * * * *'")
    (tmp_path / ".chalice").mkdir()
    written = config.files([stage])["config.json"]
    (tmp_path / ".chalice" / "config.json").write_text(written)
    environment: dict[str, str] = {}
    factory = CLIFactory(str(tmp_path), environ=environment)
    assert factory.create_config_obj("prod").chalice_app is not None
    assert environment == config.environment(stage)
