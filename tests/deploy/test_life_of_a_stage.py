"""What AWS holds after each step of a stage's life (tests/deploy/life.py), and what was said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chalice.app import Chalice

from app import app
from chalicelib import jobs
from scripts import config
from scripts.policies import policy
from scripts.release import RUNTIME
from tests.contract.paths import ROOT
from tests.database import Database
from tests.deploy.aws import ACCOUNT, REGION, Aws
from tests.deploy.life import FORMER, STAGES, Life, expected, live
from tests.deploy.snapshot import Snapshot

pytestmark = pytest.mark.slow

FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function"
# Operations whose right has another name.
RIGHTS = {
    "lambda:GetLayerVersionByArn": "lambda:GetLayerVersion",
    "lambda:Invoke": "lambda:InvokeFunction",
}
NOT_SEEN = {
    "ec2:DescribeSecurityGroups": "asked by Lambda for a function in a private network",
    "ec2:DescribeSubnets": "the same",
    "ec2:DescribeVpcs": "the same",
    "iam:PassRole": "asked by Lambda when a function gets its role",
    "lambda:GetFunctionConfiguration": "Chalice waits with it; here nothing takes time",
    "lambda:PutFunctionConcurrency": "for reserved_concurrency in stages.toml",
    "lambda:UntagResource": "for a tag taken out of stages.toml",
    "ssm:DeleteParameters": "./ponctuel secrets retire",
    "ssm:PutParameter": "./ponctuel secrets store",
}


@pytest.fixture(scope="module")
def life(
    aws: Aws, layers: Path, empty_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Life:
    return live(aws, layers, empty_database, tmp_path_factory.mktemp("life"))


def test_a_deployment_that_stops_half_way_says_so_and_how_to_go_on(life: Life) -> None:
    said, found = life.cut
    reason = said.refused()
    assert "UpdateRestApi" in reason
    assert "relancez la même commande pour l'étape dev" in reason
    assert len(found.apis) == 1


def test_repeated_it_goes_on_without_a_second_api(life: Life) -> None:
    said, found = life.first
    [api] = life.cut[1].apis
    assert list(found.apis) == [api]
    assert f"https://{api}.execute-api.{REGION}.amazonaws.com/api/" in said.succeeded()
    assert len(found.layers["ponctuel-dev-managed-layer"]) == 1


def test_the_state_that_is_read_from_aws_is_the_one_that_chalice_records(life: Life) -> None:
    recorded, read = life.recorded
    by_name = {resource["name"]: resource for resource in read}
    assert by_name == {
        resource["name"]: resource
        for resource in recorded
        if resource["resource_type"] != "log_group"
    }


def test_every_function_is_there_as_it_is_configured(life: Life) -> None:
    found = life.first[1]
    committed = config.config([STAGES["dev"]])["stages"]["dev"]["lambda_functions"]
    assert found.functions.keys() == expected("dev", FORMER).keys()
    for full, name in expected("dev").items():
        function, wanted = found.functions[full], committed[name]
        handler = "app.app" if name == "api_handler" else f"chalicelib.jobs.{name}.handler"
        assert function["Handler"] == handler
        assert function["MemorySize"] == wanted["lambda_memory_size"]
        assert function["Timeout"] == wanted["lambda_timeout"]
        assert function["Runtime"] == RUNTIME
        assert function["Environment"]["Variables"] == {"PONCTUEL_STAGE": "dev"}
        assert function["Role"].endswith(f":role/ponctuel-dev-{name}")
        assert found.tags[full]["ponctuel-commit"] == life.shas["first"]
    assert found.used_layers("dev") == set(found.layers["ponctuel-dev-managed-layer"])


def test_every_role_has_our_policy_and_no_other(life: Life) -> None:
    found, stage = life.first[1], STAGES["dev"]
    kinds = {"api_handler": "api", "migrate": "tool"}
    assert found.roles == {
        f"ponctuel-dev-{name}": policy(stage, kinds.get(name, "job"))
        for name in expected("dev", FORMER).values()
    }


def test_every_job_has_its_rule_which_wakes_it_and_nothing_else(life: Life) -> None:
    found = life.first[1]
    rules = config.rules(STAGES["dev"])
    for job in jobs.NAMES:
        target = f"{FUNCTION}:ponctuel-dev-{job}"
        assert found.rules[f"ponctuel-dev-{job}-event"] == (rules[job], "ENABLED", [target])
    assert found.rules.keys() == {f"ponctuel-dev-{job}-event" for job in (*jobs.NAMES, FORMER)}


@pytest.mark.parametrize("step", ["first", "changed", "new_dependency", "rolled_back"])
def test_each_function_may_be_called_by_its_one_caller_only(life: Life, step: str) -> None:
    found: Snapshot = getattr(life, step)[1]
    for full in found.of("dev") & found.functions.keys():
        statements = found.statements[full]
        if full == "ponctuel-dev-migrate":
            assert statements == []
            continue
        [statement] = statements
        assert statement["Action"] == "lambda:InvokeFunction"
        caller, arn = statement["Principal"]["Service"], statement["Condition"]["ArnLike"]
        if full == "ponctuel-dev":
            assert caller == "apigateway.amazonaws.com"
            [api] = life.first[1].apis
            source = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/*"
        else:
            assert caller == "events.amazonaws.com"
            source = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{full}-event"
        assert arn == {"AWS:SourceArn": source}


def test_the_api_has_every_route_of_the_application(life: Life) -> None:
    [methods] = life.first[1].apis.values()
    assert isinstance(app, Chalice)
    for path, routes in app.routes.items():
        assert set(routes) <= methods[path]


def test_every_log_group_has_its_retention_the_apis_too(life: Life) -> None:
    found = life.first[1]
    days = STAGES["dev"].log_retention_in_days
    for full in expected("dev"):
        assert found.retention[f"/aws/lambda/{full}"] == days


def test_after_the_first_deployment_the_next_tick_runs(life: Life) -> None:
    assert life.tick == {"job": "followups", "status": ["succeeded"]}


def test_a_change_of_code_reaches_all_functions_and_keeps_the_api(life: Life) -> None:
    (said, found), before = life.changed, life.first[1]
    said.succeeded()
    assert found.apis.keys() == before.apis.keys()
    assert len(found.code("dev")) == 1
    assert found.code("dev").isdisjoint(before.code("dev"))
    assert {tags["ponctuel-commit"] for tags in found.tags.values()} == {life.shas["changed"]}
    assert "make rollback STAGE=dev TAG=deployed/dev/" in said.told


def test_a_job_that_is_gone_leaves_neither_function_nor_role_nor_rule(life: Life) -> None:
    before, after = life.first[1], life.changed[1]
    name = f"ponctuel-dev-{FORMER}"
    assert before.of("dev") - after.of("dev") == {name, f"{name}-event"}
    assert after.retention[f"/aws/lambda/{name}"] == 30, "its logs end as was promised"


def test_a_database_that_cannot_be_reached_is_said_and_the_next_attempt_succeeds(
    life: Life,
) -> None:
    said, found = life.unreachable
    reason = said.refused()
    assert "la base n'a pas été mise à jour" in reason
    assert "make deploy STAGE=prod" in reason
    assert life.second_stage[0].succeeded()
    assert life.second_stage[1].apis.keys() == found.apis.keys()


def test_two_stages_of_one_account_share_nothing(life: Life) -> None:
    before, found = life.changed[1], life.second_stage[1]
    assert len(found.apis) == 2
    assert found.of("dev") == before.of("dev")
    for name in found.of("dev") & found.functions.keys():
        assert found.functions[name] == before.functions[name]
    assert {name for name in found.of("prod") if name in found.functions} == set(expected("prod"))
    assert found.used_layers("prod") == set(found.layers["ponctuel-prod-managed-layer"])


def test_from_another_machine_no_second_api_is_made(life: Life) -> None:
    # `second_stage` and `new_dependency` come from a clone without any state.
    assert life.new_dependency[1].apis.keys() == life.second_stage[1].apis.keys()


def test_a_change_of_dependencies_is_one_new_layer_for_all_functions(life: Life) -> None:
    (said, found), before = life.new_dependency, life.second_stage[1]
    said.succeeded()
    [layer] = found.layers["ponctuel-dev-managed-layer"]
    assert [layer] != before.layers["ponctuel-dev-managed-layer"]
    assert found.used_layers("dev") == {layer}
    assert found.used_layers("prod") == before.used_layers("prod")


def test_a_rollback_brings_back_the_code_the_jobs_and_the_rules_of_that_deployment(
    life: Life,
) -> None:
    (said, found), first = life.rolled_back, life.first[1]
    said.succeeded()
    assert found.code("dev") == first.code("dev")
    assert found.of("dev") == first.of("dev")
    assert found.apis.keys() == life.new_dependency[1].apis.keys()
    for name, rule in first.rules.items():
        assert found.rules[name] == rule
    tags = [found.tags[name] for name in found.of("dev") & found.functions.keys()]
    assert {tag["ponctuel-commit"] for tag in tags} == {life.shas["first"]}


def test_another_name_than_the_stages_removes_nothing(life: Life) -> None:
    said, found = life.kept
    assert "rien n'a été supprimé" in said.refused()
    assert found == life.rolled_back[1]


def test_a_stage_is_removed_whole_and_the_other_stays(life: Life) -> None:
    (said, found), before = life.undeployed, life.rolled_back[1]
    said.succeeded()
    assert found.of("dev") == {
        name for name in found.layers if "dev" in name and found.layers[name]
    }
    assert found.of("prod") == before.of("prod")
    assert len(found.apis) == 1
    assert found.retention == before.retention


def test_the_secrets_of_a_removed_stage_stay(life: Life, aws: Aws) -> None:
    held = aws.client("ssm").get_parameters_by_path(Path="/ponctuel/dev/")["Parameters"]
    assert {parameter["Name"] for parameter in held} >= {"/ponctuel/dev/CRON_SECRET"}


def test_the_rights_that_the_guide_asks_for_are_those_that_a_deployment_uses(life: Life) -> None:
    text = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    block = text.partition("```json\n")[2].partition("```")[0]
    granted = {
        action for statement in json.loads(block)["Statement"] for action in statement["Action"]
    }
    assert {RIGHTS.get(call, call) for call in life.calls if "apigateway" not in call} | {
        f"apigateway:{verb}" for verb in ("DELETE", "GET", "PATCH", "POST", "PUT")
    } == granted - NOT_SEEN.keys() | {"sts:GetCallerIdentity"}
