"""Legal holds: what they stop, and what is left of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import text

from chalicelib.domain.accounts import erasure_lease, holds
from chalicelib.errors import BadRequest, Conflict, NotFound
from tests.domain.accounts.erased import by_number, fill, lock, night, receipts, rows_of
from tests.domain.accounts.people import (
    add_user,
    approve,
    deletion,
    nights,
    open_accounts,
    set_date,
)
from tests.harness import NOW, Deployment


def place(deployment: Deployment, user: str | None = "U1", business: str = "B1") -> dict[str, Any]:
    with deployment.database.begin() as connection:
        return holds.place(connection, business, user, by="anne", reason="dossier 2026-17")


def lift(deployment: Deployment, number: int) -> dict[str, Any]:
    with deployment.database.begin() as connection:
        return holds.lift(connection, number, by="luc", reason="jugement rendu")


def history(deployment: Deployment) -> list[Mapping[str, Any]]:
    return list(deployment.rows("SELECT * FROM ponctuel.legal_holds ORDER BY id"))


def test_a_held_account_is_neither_locked_nor_told_and_has_its_notice_afterwards(
    deployment: Deployment,
) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, date=NOW)
    nights(deployment)
    held = place(deployment)
    assert held["stopped"] == 0
    nights(deployment, 12)
    found = deletion(deployment)
    assert (found["state"], found["blocked_reason"]) == ("blocked", "legal_hold")
    lift(deployment, held["id"])
    nights(deployment)
    found = deletion(deployment)
    assert found["state"] == "scheduled"
    clock = deployment.rows("SELECT ponctuel.clock() AS at")[0]["at"]
    assert (found["scheduled_at"] - clock).days >= 7


def test_a_hold_stops_what_has_begun_and_lifting_it_lets_it_go_on_with_the_next_night(
    deployment: Deployment,
) -> None:
    fill(deployment, "B1")
    number = lock(deployment)
    held = place(deployment)
    assert held["stopped"] == 1
    assert by_number(deployment, number)["blocked_reason"] == "legal_hold"
    before = rows_of(deployment, "B1")["users"]
    night(deployment)
    night(deployment)
    assert rows_of(deployment, "B1")["users"] == before
    lift(deployment, held["id"])
    assert by_number(deployment, number)["blocked_reason"] is None
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"


def test_two_holds_are_two_reasons_and_the_last_one_lifted_lets_go(deployment: Deployment) -> None:
    fill(deployment, "B1")
    number = lock(deployment)
    first, second = place(deployment), place(deployment, None)
    lift(deployment, first["id"])
    assert by_number(deployment, number)["blocked_reason"] == "legal_hold"
    night(deployment)
    assert by_number(deployment, number)["state"] == "locked"
    lift(deployment, second["id"])
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"


def test_a_hold_on_somebody_inactive_keeps_the_business_that_would_take_them_along(
    deployment: Deployment,
) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, "U1", active=False)
    set_date(deployment, NOW, "O")
    place(deployment, "U1")
    nights(deployment, 10)
    assert deletion(deployment, "O")["blocked_reason"] == "legal_hold"


def test_a_hold_on_a_business_reaches_its_archive_and_no_twin(deployment: Deployment) -> None:
    fill(deployment, "B1")
    fill(deployment, "B2")
    ours, theirs = lock(deployment, "O", "B1"), lock(deployment, "O", "B2")
    place(deployment, None, "B1")
    night(deployment)
    assert by_number(deployment, ours)["state"] == "locked"
    assert by_number(deployment, theirs)["state"] == "erased"
    after = place(deployment, None, "B2")  # the archive is there yet
    deployment.execute("UPDATE ponctuel.accounting_archive SET keep_until = '2026-03-01'")
    night(deployment)
    assert len(rows_of(deployment, "B2")["accounting_archive"]) == 1
    lift(deployment, after["id"])
    night(deployment)
    assert rows_of(deployment, "B2")["accounting_archive"] == []


@pytest.mark.parametrize("user", ["U1", "O"])
def test_holds_stay_as_history_without_whom_they_were_about(
    deployment: Deployment, user: str
) -> None:
    fill(deployment, "B1")
    lift(deployment, place(deployment, "U1")["id"])
    lift(deployment, place(deployment, None)["id"])
    number = lock(deployment, user)
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"
    one, whole = history(deployment)
    assert (one["user_id"], whole["user_id"]) == (f"#{number}", None)
    assert (one["placed_by"], one["reason"]) == ("anne", "dossier 2026-17")
    assert (one["lifted_by"], one["lift_reason"]) == ("luc", "jugement rendu")


def test_a_step_that_began_before_the_hold_commits_nothing_after_it(
    deployment: Deployment,
) -> None:
    fill(deployment, "B1")
    number = lock(deployment)
    engine = deployment.database.engine()
    taken = erasure_lease.take(engine, number)
    assert taken is not None
    with deployment.database.begin() as connection:
        held = holds.place(connection, "B1", "U1", by="anne", reason="dossier 3")
        # The fence read its snapshot before this commit, and waits for the row.
        outcome: list[BaseException | None] = []

        def step() -> None:
            try:
                with taken.writing(engine, "access") as working:
                    working.execute(text("DELETE FROM ponctuel.user_tokens"))
                outcome.append(None)
            except erasure_lease.Held as error:
                outcome.append(error)

        thread = threading.Thread(target=step)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
    thread.join(10)
    assert isinstance(outcome[0], erasure_lease.Held)
    assert len(rows_of(deployment, "B1")["user_tokens"]) == 2
    assert receipts(deployment, number) == []
    assert held["stopped"] == 1


def test_what_cannot_be_held_or_lifted_is_refused(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    with pytest.raises(NotFound, match="Aucun compte"):
        place(deployment, "U9")
    with pytest.raises(NotFound, match="entreprise"):
        place(deployment, None, "B9")
    held = place(deployment, "O")
    lift(deployment, held["id"])
    with pytest.raises(Conflict, match="déjà levée"):
        lift(deployment, held["id"])
    with pytest.raises(NotFound, match="Aucune conservation"):
        lift(deployment, 99)
    for reason in ("", " \n ", "plainte de jean@example.fr", "x" * 201):
        with deployment.database.begin() as connection, pytest.raises(BadRequest):
            holds.place(connection, "B1", "O", by="anne", reason=reason)
    assert len(history(deployment)) == 1


def test_a_hold_for_an_approved_account_that_the_application_has_removed(
    deployment: Deployment,
) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, date=NOW)
    nights(deployment)
    deployment.execute("DELETE FROM ponctuel.users WHERE id = 'U1'")
    nights(deployment)
    approve(deployment, deletion(deployment)["id"])
    place(deployment)
    nights(deployment, 12)
    assert deletion(deployment)["blocked_reason"] == "legal_hold"
