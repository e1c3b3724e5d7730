"""What `make rollback` refuses, and `make undeploy` of nothing."""

from __future__ import annotations

import pytest

from tests.deploy.workshop import Workshop

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_changes")]
PROD = ".chalice/stages.toml"


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
