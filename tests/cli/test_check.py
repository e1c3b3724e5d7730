"""`check`: everything is looked at, each finding says what to do, and nothing is written."""

from __future__ import annotations

import pytest

from chalicelib.settings import Settings
from cli.check_schema import clock
from tests.cli.command_line import CommandLine
from tests.harness import Deployment


def test_check_looks_at_everything_and_finds_nothing_wrong(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    answer = ponctuel("check")
    assert answer.code == 0, answer.out
    assert "✓ base : PostgreSQL" in answer.out
    assert "✓ schéma : ledger_0010" in answer.out
    assert "• horloge : celle du bac à sable" in answer.out
    assert "le serveur SMTP de MAIL_URL répond" in answer.out
    assert "✓ documents : accessibles" in answer.out
    assert "l'étape local n'est pas en service" in answer.out
    assert deployment.smtp.received() == []


def test_check_does_not_say_that_all_is_well_when_nothing_can_be_sent(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ponctuel("check").out.endswith("Tout est en ordre.\n")
    monkeypatch.delenv("MAIL_URL")
    answer = ponctuel("check")
    assert answer.code == 0
    assert "Tout est en ordre" not in answer.out
    assert answer.out.endswith("renseignez MAIL_URL.\n")


def test_check_lists_every_problem_and_goes_on(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENDING_CONCURRENCY", "beaucoup")
    monkeypatch.setenv("SCHEDULE_RELANCES", "0 * * * *")
    monkeypatch.setenv("MAIL_URL", "smtp://127.0.0.1:1?tls=none")
    monkeypatch.setenv("STORAGE_URL", "file:///nulle/part")
    answer = ponctuel("check", "--json")
    assert answer.code == 1
    problems = [f["text"] for f in answer.data if f["verdict"] == "problem"]
    assert len(problems) == 4
    assert "SENDING_CONCURRENCY" in problems[0]
    assert "SCHEDULE_RELANCES" in problems[1]


def test_check_says_that_the_database_is_not_there_without_its_password(
    ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:motdepasse@127.0.0.1:1/base")
    for command in (("check",), ("jobs",), ("run", "followups")):
        answer = ponctuel(*command)
        assert answer.code == 1
        assert "La base de données ne répond pas" in answer.out + answer.err
        assert "motdepasse" not in answer.out + answer.err


def test_a_replaced_clock_is_a_problem_on_a_deployed_stage(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(stage: str) -> str:
        current = Settings.from_mapping({"PONCTUEL_STAGE": stage})
        with deployment.database.begin() as connection:
            return clock(connection, current).verdict

    assert found("prod") == "problem"
    assert found("local") == "note"
