"""`./ponctuel ledger`: whether this database is the one that sends, and accepting it."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.command_line import CommandLine
from tests.harness import Deployment

REASON = ("--reason", "sauvegarde de la nuit")


@pytest.fixture
def mark(deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the mark is kept; there is none yet."""
    path = tmp_path / "mark.json"
    monkeypatch.setenv("LEDGER_MARK_FILE", str(path))
    return path


def test_a_new_database_may_send(mark: Path, ponctuel: CommandLine) -> None:
    answer = ponctuel("ledger", "show")
    assert answer.code == 0
    assert "n'a encore rien envoyé" in answer.words
    assert ponctuel("ledger", "show", "--json").data["standing"] == "new"


def test_one_that_may_not_is_told_and_accepted(
    deployment: Deployment, mark: Path, ponctuel: CommandLine
) -> None:
    deployment.go_live("B1")
    mark.write_text(json.dumps({"deployment": str(uuid4()), "claims": 7}))
    shown = ponctuel("ledger", "show")
    assert shown.code == 1
    assert "7 prises en charge" in shown.words
    assert "ledger reconcile" in shown.words
    assert ponctuel("ledger", "reconcile").code == 1
    accepted = ponctuel("ledger", "reconcile", *REASON)
    assert accepted.code == 0, accepted
    assert "En revue jusqu'à leur nouvelle mise en service : B1." in accepted.words
    assert ponctuel("ledger", "show", "--json").data["standing"] == "same"
    again = ponctuel("ledger", "reconcile", *REASON)
    assert again.code == 1
    assert "rien à réconcilier" in again.err


def test_json_says_what_was_done(deployment: Deployment, mark: Path, ponctuel: CommandLine) -> None:
    deployment.execute("UPDATE ponctuel.deployment SET claims = 3")
    data = ponctuel("ledger", "reconcile", "--json", *REASON).data
    assert (data["standing"], data["may_send"], data["mark"]) == ("unmarked", False, None)
    assert data["now"]["claims"] == 4
    assert (data["held"], data["uncertain"], data["closed"]) == (0, 0, [])


def test_on_a_machine_of_ones_own_nothing_is_watched(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    answer = ponctuel("ledger", "show")
    assert answer.code == 1
    assert "LEDGER_MARK_FILE" in answer.err
