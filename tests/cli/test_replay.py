"""`./ponctuel accounts replay`: what it tells, and that it asks before it writes."""

from __future__ import annotations

import json

import pytest

from tests.cli.command_line import CommandLine
from tests.domain.accounts.backup import restore, save
from tests.domain.accounts.erased import fill, lock, night
from tests.domain.accounts.people import deletions
from tests.harness import NOW, Deployment


def test_after_a_restore_it_says_who_came_back_and_locks_them_when_it_is_told_to(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINK_SECRET", "link-secret-of-these-tests-0123456789")
    fill(deployment, "B1")
    deployment.execute("UPDATE ponctuel.users SET created_at = '2025-01-01'")
    nothing = ponctuel("accounts", "replay")
    assert (nothing.code, "Aucun compte à effacer de nouveau." in nothing.out) == (0, True)
    save(deployment)
    lock(deployment)
    night(deployment)
    restore(deployment)
    told = ponctuel("accounts", "replay")
    assert told.code == 0
    assert "1 trace d'effacement lue." in told.out
    assert "revenu par la restauration" in told.words
    assert "--apply" in told.out
    assert deletions(deployment) == []
    applied = ponctuel("accounts", "replay", "--apply")
    assert (applied.code, "1 compte verrouillé." in applied.out) == (0, True)
    assert deletions(deployment) == [("B1", "U1", "locked")]
    ran = ponctuel("run", "account_deletions")
    assert (ran.code, "1 compte effacé" in ran.words) == (0, True)
    assert "Aucun compte" in ponctuel("accounts", "replay").out


def test_what_it_cannot_decide_is_told_and_left_alone(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINK_SECRET", "link-secret-of-these-tests-0123456789")
    fill(deployment, "B1")
    deployment.execute("UPDATE ponctuel.users SET created_at = '2025-01-01'")
    save(deployment)
    lock(deployment)
    night(deployment)
    restore(deployment)
    deployment.execute(
        "UPDATE ponctuel.users SET created_at = :other WHERE id = 'U1'",
        other=NOW.replace(year=2024),
    )
    answer = ponctuel("accounts", "replay", "--apply")
    assert answer.code == 2
    assert "à décider, sa date de création" in answer.words
    assert deletions(deployment) == []
    data = json.loads(ponctuel("accounts", "replay", "--json").out)
    assert [row["verdict"] for row in data["accounts"]] == ["doubtful"]
    monkeypatch.setenv("LINK_SECRET", "another-link-secret-of-these-tests-012")
    foreign = ponctuel("accounts", "replay")
    assert (foreign.code, "LINK_SECRET_PREVIOUS" in foreign.out) == (2, True)
