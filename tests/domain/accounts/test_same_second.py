"""Who cancels at the second at which the account is locked: exactly one of the two wins, and
nobody is told the contrary. Real transactions, one of which waits for the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from chalicelib.db.engine import transaction
from chalicelib.domain.accounts import requesting
from chalicelib.domain.accounts.locking import DUE, Lock
from chalicelib.errors import Conflict
from chalicelib.runner.job import Batch, Run
from tests.domain.accounts.people import add_user, deletion, letters, nights, open_accounts
from tests.harness import NOW, Deployment

WAITS = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
CLEAR = text("UPDATE ponctuel.users SET deletion_scheduled_at = NULL WHERE id = 'U1'")


@pytest.fixture
def due(deployment: Deployment) -> Deployment:
    """An account that was told of its date, which has just passed."""
    open_accounts(deployment, "B1")
    add_user(deployment, date=NOW + timedelta(days=9))
    nights(deployment, 9)
    deployment.database.advance(timedelta(hours=4))
    assert deletion(deployment)["state"] == "scheduled"
    return deployment


@contextmanager
def held(deployment: Deployment) -> Iterator[Connection]:
    """A transaction that is open while the block goes on."""
    with transaction(deployment.database.engine()) as connection:
        yield connection


def lock(deployment: Deployment, connection: Connection) -> None:
    now = deployment.clock()
    run: Any = Run(id=None, job="account_deletions", zone="", door="cli", now=now)  # type: ignore[arg-type]
    Lock().apply(run, connection, Batch(DUE, {"now": now}))


def beside(deployment: Deployment, act: Callable[[Connection], object]) -> tuple[Any, list[Any]]:
    """Does it in a transaction of its own, in a thread; returns once it waits for another one."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            with transaction(deployment.database.engine()) as connection:
                outcome.append(act(connection))
        except Conflict as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(200):
        if deployment.rows(WAITS)[0]["count"]:
            return thread, outcome
        time.sleep(0.02)
    raise AssertionError("it waits for nobody")


def test_a_cancellation_that_comes_during_the_lock_is_told_that_it_is_too_late(
    due: Deployment,
) -> None:
    number = deletion(due)["id"]
    with held(due) as locking:
        lock(due, locking)
        thread, outcome = beside(due, lambda own: requesting.cancel(own, number, by="link"))
    thread.join(10)
    assert isinstance(outcome[0], Conflict)
    assert deletion(due)["state"] == "locked"
    due.deliver()
    assert [letter for letter, _, _ in letters(due)] == ["reminder", "reminder", "final"]


def test_a_lock_that_comes_during_a_cancellation_locks_nothing(due: Deployment) -> None:
    number = deletion(due)["id"]
    with held(due) as cancelling:
        requesting.cancel(cancelling, number, by="link")
        thread, _ = beside(due, lambda own: lock(due, own))
    thread.join(10)
    assert deletion(due)["state"] == "cancelled"
    due.deliver()
    assert [letter for letter, _, _ in letters(due)] == ["reminder", "reminder", "cancelled"]


def test_a_lock_waits_for_an_application_that_is_clearing_its_date(due: Deployment) -> None:
    with held(due) as application:
        application.execute(CLEAR)
        thread, _ = beside(due, lambda own: lock(due, own))
    thread.join(10)
    assert deletion(due)["state"] == "scheduled"
    nights(due)
    assert deletion(due)["state"] == "cancelled"


def test_an_application_that_clears_its_date_during_the_lock_comes_after_it(
    due: Deployment,
) -> None:
    with held(due) as locking:
        lock(due, locking)
        thread, _ = beside(due, lambda own: own.execute(CLEAR).rowcount)
    thread.join(10)
    nights(due)
    assert deletion(due)["state"] == "locked"


def test_of_two_cancellations_one_tells(due: Deployment) -> None:
    number = deletion(due)["id"]
    with held(due) as first:
        requesting.cancel(first, number, by="link")
        thread, outcome = beside(due, lambda own: requesting.cancel(own, number, by="user"))
    thread.join(10)
    assert outcome[0]["cancelled_by"] == "link"
    due.deliver()
    assert [letter for letter, _, _ in letters(due)].count("cancelled") == 1


def test_of_two_requests_one_is_scheduled(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment)

    def ask(connection: Connection) -> dict[str, Any]:
        return requesting.request(connection, "U1", None, by="user", days=30)

    with held(deployment) as first:
        ask(first)
        thread, outcome = beside(deployment, ask)
    thread.join(10)
    assert outcome[0]["id"] == deletion(deployment)["id"]
    assert len(deployment.rows("SELECT * FROM ponctuel.account_deletions")) == 1
    deployment.deliver()
    assert letters(deployment) == [("requested", "u1@b1.example", "accepted")]
