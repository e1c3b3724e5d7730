"""What `make deploy`, `make rollback` and `make undeploy` refuse, and that they say what to do.
Whatever is refused here has changed nothing in AWS."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.account import connect
from scripts.release import RUNTIME
from scripts.rest_apis import find_rest_api
from scripts.stages import Stage
from tests.deploy.aws import ACCOUNT, REGION, Aws
from tests.deploy.workshop import Workshop, store_secrets

pytestmark = pytest.mark.slow
PROD = ".chalice/stages.toml"


@pytest.fixture(autouse=True)
def nothing_changes(aws: Aws, stored: None) -> Iterator[None]:
    aws.calls.clear()
    yield
    assert aws.changes() == []


def test_a_file_that_is_not_committed(workshop: Workshop) -> None:
    workshop.append("chalicelib/settings.py", "\n")
    (workshop.folder / "chalicelib" / "new.py").write_text("", encoding="utf-8")
    reason = workshop.deploy().refused()
    assert "chalicelib/settings.py" in reason
    assert "chalicelib/new.py" in reason
    assert "git commit" in reason


def test_what_does_not_ship_may_differ_from_the_commit(workshop: Workshop, aws: Aws) -> None:
    (workshop.folder / "notes.md").write_text("", encoding="utf-8")
    reason = workshop.deploy(AWS_DEFAULT_REGION="").refused()
    assert "région" in reason, "it comes to the next question"


def test_a_folder_without_git(workshop: Workshop) -> None:
    (workshop.folder / ".git").rename(workshop.folder / "elsewhere")
    assert "Git a refusé" in workshop.deploy().refused()


def test_a_configuration_that_is_not_up_to_date(workshop: Workshop) -> None:
    workshop.edit(PROD, "log_retention_in_days = 30", "log_retention_in_days = 7")
    workshop.commit("without make config")
    assert "make config" in workshop.deploy().refused()


@pytest.mark.parametrize("stage", ["", "staging"])
def test_a_stage_that_is_none(workshop: Workshop, stage: str) -> None:
    assert "il y a : dev, prod" in workshop.deploy(stage).refused()


@pytest.mark.parametrize("schedule", ["61 * * * *", "at noon", "0 25 * * *", "0 0 31 2 *"])
def test_a_schedule_that_is_none(workshop: Workshop, schedule: str) -> None:
    workshop.edit(
        PROD, '# LOG_LEVEL = "DEBUG"', f'SCHEDULE_FOLLOWUPS = "{schedule}"\nLOG_LEVEL = "DEBUG"'
    )
    workshop.commit("another schedule")
    reason = workshop.deploy().refused()
    assert "dev" in reason
    assert "FOLLOWUPS" in reason.upper()


def test_names_that_are_too_long_for_aws(workshop: Workshop) -> None:
    path = workshop.folder / "chalicelib/jobs"
    name = "a_job_whose_name_is_as_long_as_is_allowed_44"
    (path / f"{name}.py").write_text(
        (path / "followups.py").read_text(encoding="utf-8").replace("followups", name), "utf-8"
    )
    workshop.edit("chalicelib/jobs/__init__.py", "NAMES = (\n", f'NAMES = (\n    "{name}",\n')
    workshop.edit(PROD, "[dev", "[twenty-letters-stage")
    workshop.commit("long names")
    reason = workshop.deploy("twenty-letters-stage").refused()
    assert f"ponctuel-twenty-letters-stage-{name}-event" in reason
    assert "64" in reason


def test_a_secret_that_is_missing_with_the_command_that_stores_it(
    workshop: Workshop, aws: Aws
) -> None:
    for name in ("CRON_SECRET", "DATABASE_URL", "MAIL_URL"):
        aws.client("ssm").delete_parameter(Name=f"/ponctuel/dev/{name}")
    aws.calls.clear()
    reason = workshop.deploy().refused()
    assert "./ponctuel secrets rotate --stage dev" in reason
    assert "./ponctuel secrets store DATABASE_URL --stage dev" in reason
    assert "./ponctuel secrets store MAIL_URL --stage dev" in reason


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CRON_SECRET", "short"),
        ("DATABASE_URL", "mysql://u:hunter2@h/b"),
        ("MAIL_URL", "hunter2"),
    ],
)
def test_a_secret_that_is_unusable_is_named_and_not_shown(
    workshop: Workshop, aws: Aws, name: str, value: str
) -> None:
    store_secrets(aws, "dev", **{name: value})
    reason = workshop.deploy().refused()
    assert name in reason
    assert "hunter2" not in reason


def test_no_credentials(workshop: Workshop, tmp_path: Path) -> None:
    reason = workshop.deploy(
        AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", HOME=str(tmp_path)
    ).refused()
    assert "identifiants" in reason
    assert "AWS_PROFILE" in reason


def test_a_profile_that_does_not_exist(workshop: Workshop) -> None:
    assert "ProfileNotFound" in workshop.deploy(AWS_PROFILE="nobody").refused()


def test_no_region(workshop: Workshop, tmp_path: Path) -> None:
    assert "aws_region" in workshop.deploy(AWS_DEFAULT_REGION="", HOME=str(tmp_path)).refused()


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('aws_account_id = "999999999999"', f"ouvrent le compte {ACCOUNT}"),
        ('aws_region = "eu-west-1"', f"vise {REGION}"),
    ],
)
def test_another_account_or_region_than_the_stages(
    workshop: Workshop, line: str, named: str
) -> None:
    workshop.edit(PROD, "[dev]\n", f"[dev]\n{line}\n")
    workshop.commit("our account")
    reason = workshop.deploy().refused()
    assert named in reason
    assert "rien n'a été changé" in reason


def test_aws_that_does_not_answer(workshop: Workshop) -> None:
    said = workshop.deploy(AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert "AWS ne répond pas" in said.refused()


def test_a_right_that_is_missing_is_named(workshop: Workshop, aws: Aws) -> None:
    aws.refuse("lambda:ListFunctions")
    reason = workshop.deploy().refused()
    aws.allow_all()
    assert "ListFunctions" in reason
    assert "docs/deploying.md" in reason


@pytest.fixture
def existing(aws: Aws) -> Iterator[dict[str, str]]:
    """A function `ponctuel-dev-followups`, of Python 3.9; its tags can be changed."""
    client = aws.client("lambda")
    iam = aws.client("iam")
    role = iam.create_role(RoleName="any", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    made = client.create_function(
        FunctionName="ponctuel-dev-followups",
        Runtime="python3.9",
        Role=role,
        Handler="a.b",
        Code={"ZipFile": b"PK\x05\x06" + bytes(18)},
    )
    aws.calls.clear()
    yield {"arn": made["FunctionArn"]}
    calls = [*aws.calls]
    client.delete_function(FunctionName="ponctuel-dev-followups")
    iam.delete_role(RoleName="any")
    aws.calls[:] = calls


def tag(aws: Aws, arn: str, value: str) -> None:
    aws.client("lambda").tag_resource(Resource=arn, Tags={"aws-chalice": value})
    aws.calls.clear()


@pytest.mark.parametrize(
    "value", ["", "version=1.34.0:stage=prod:app=ponctuel", "version=1.34.0:stage=dev:app=other"]
)
def test_a_function_of_that_name_which_is_not_ours(
    workshop: Workshop, aws: Aws, existing: dict[str, str], value: str
) -> None:
    if value:
        tag(aws, existing["arn"], value)
    reason = workshop.deploy().refused()
    assert "ponctuel-dev-followups" in reason
    assert "ne viennent pas de `make deploy`" in reason


def test_another_python_than_the_functions_run(
    workshop: Workshop, aws: Aws, existing: dict[str, str]
) -> None:
    tag(aws, existing["arn"], "version=1.34.0:stage=dev:app=ponctuel")
    reason = workshop.deploy().refused()
    assert "python3.9" in reason
    assert RUNTIME in reason
    assert "CHANGE_PYTHON=yes" in reason


def test_several_published_apis_of_one_function(workshop: Workshop, aws: Aws) -> None:
    client = aws.client("apigateway")
    ids = [make_api(aws, "ponctuel-dev") for _ in range(2)]
    aws.calls.clear()
    reason = workshop.deploy().refused()
    assert all(name in reason for name in ids)
    assert "aws apigateway delete-rest-api" in reason
    calls = [*aws.calls]
    for name in ids:
        client.delete_rest_api(restApiId=name)
    aws.calls[:] = calls


@pytest.mark.parametrize("published", [0, 1])
def test_an_api_that_was_never_published_gives_way_to_one_that_was(
    aws: Aws, published: int
) -> None:
    ids = [make_api(aws, "ponctuel-dev", published=index == published) for index in range(2)]
    others = [make_api(aws, name) for name in ("ponctuel-prod", "ponctuel-dev-2", "elsewhere")]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws.environment().items():
            patch.setenv(name, value)
        account = connect(Stage("dev"), aws.environment())
        assert find_rest_api(account, "ponctuel-dev") == ids[published]
    for made in [*ids, *others]:
        aws.client("apigateway").delete_rest_api(restApiId=made)
    aws.calls.clear()


def make_api(aws: Aws, function: str, *, published: bool = True) -> str:
    """An API with the name that every stage's has, which calls `function`."""
    client = aws.client("apigateway")
    made = str(client.create_rest_api(name="ponctuel")["id"])
    [root] = client.get_resources(restApiId=made)["items"]
    route = {"restApiId": made, "resourceId": root["id"], "httpMethod": "GET"}
    client.put_method(**route, authorizationType="NONE")
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/"
    uri += f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}/invocations"
    client.put_integration(**route, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    if published:
        client.create_deployment(restApiId=made, stageName="api")
    return made


def test_a_rollback_without_a_tag_lists_those_that_there_are(workshop: Workshop) -> None:
    for tag in ("deployed/dev/20261120-100000", "deployed/dev/20261121-100000", "deployed/prod/1"):
        workshop.git("tag", tag)
    reason = workshop.run("rollback", "--stage", "dev", "--tag", "").refused()
    assert reason.index("20261121-100000") < reason.index("20261120-100000")
    assert "deployed/prod" not in reason


@pytest.mark.parametrize("tag", ["deployed/dev/19991231-000000", "--upload-pack=x", "a b"])
def test_a_rollback_to_a_tag_that_git_does_not_know(workshop: Workshop, tag: str) -> None:
    reason = workshop.run("rollback", "--stage", "dev", f"--tag={tag}").refused()
    assert tag in reason
    assert "git fetch --tags" in reason


def test_a_rollback_to_code_that_needs_a_newer_schema(workshop: Workshop) -> None:
    workshop.git("checkout", "-q", "-b", "later")
    later = workshop.folder / "chalicelib/db/migrations/domain/0099_later.py"
    later.write_text("", encoding="utf-8")
    workshop.commit("a migration")
    workshop.git("checkout", "-q", "main")
    reason = workshop.run("rollback", "--stage", "dev", "--tag", "later").refused()
    assert "domain_0099" in reason
    assert "make deploy" in reason


def test_a_rollback_to_a_commit_without_that_stage(workshop: Workshop) -> None:
    workshop.edit(PROD, "[prod", "[shop")
    workshop.run("config").succeeded()
    workshop.commit("another stage")
    workshop.git("tag", "without-prod")
    workshop.edit(PROD, "[shop", "[prod")
    workshop.run("config").succeeded()
    workshop.commit("prod again")
    reason = workshop.run("rollback", "--stage", "prod", "--tag", "without-prod").refused()
    assert "ne connaît pas l'étape prod" in reason


def test_removing_a_stage_that_has_nothing_is_said(workshop: Workshop) -> None:
    assert "n'a rien" in workshop.run("undeploy", "--stage", "dev").succeeded()


SETUP = """
import sys
from setuptools import setup
from setuptools.command.build import build
class Fails(build):
    def run(self):
        sys.exit("no compiler here")
setup(name="broken", version="1.0", py_modules=["broken"], cmdclass={"build": Fails})
"""


def test_a_dependency_without_a_wheel(workshop: Workshop, tmp_path: Path) -> None:
    index = tmp_path / "index"
    index.mkdir()
    with tarfile.open(index / "broken-1.0.tar.gz", "w:gz") as archive:
        for name, text in {
            "setup.py": SETUP,
            "broken.py": "",
            "PKG-INFO": "Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n",
        }.items():
            entry = tarfile.TarInfo(f"broken-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    (workshop.folder / "requirements.txt").write_text("broken==1.0\n", encoding="utf-8")
    workshop.commit("a dependency")
    said = workshop.deploy(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index), PIP_NO_BUILD_ISOLATION="0")
    assert "sans wheel" in said.refused()
