"""What `make deploy` refuses, and that it says what to do."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests.deploy.aws import ACCOUNT, REGION, Aws
from tests.deploy.workshop import Workshop, store_secrets

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_changes")]
PROD = ".chalice/stages.toml"


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
