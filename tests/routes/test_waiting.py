"""At most three calls wait at a time; the others are answered at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from chalicelib.errors import SchemaOutdated
from chalicelib.routes import waiting
from chalicelib.runner import ledger
from chalicelib.runner.deadline import Deadline
from tests.database import Database
from tests.routes.doors import Door

RUNS = "/jobs/followups/runs"


def in_parallel(count: int, work: Callable[[], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def queued(database: Database) -> UUID:
    run_id = uuid4()
    with database.begin() as connection:
        ledger.open_run(
            connection, id=run_id, job="followups", zone="UTC", door="http", status="queued"
        )
    return run_id


def test_of_four_calls_that_would_wait_the_fourth_is_answered_at_once(door: Door) -> None:
    door.nobody_works()
    took: list[float] = []

    def call() -> None:
        begun = time.monotonic()
        assert door.post(RUNS, {"wait": 1.5}).status == 202
        took.append(time.monotonic() - begun)

    for thread in in_parallel(4, call):
        thread.join()
    took.sort()
    assert took[0] < 1
    assert all(seconds > 1.4 for seconds in took[1:])
    assert door.deployment.rows(
        "SELECT count(*) AS n FROM ponctuel.api_waits WHERE until > ponctuel.clock()"
    ) == [{"n": 0}]


def test_many_calls_at_the_same_instant_take_three_places_and_no_more(database: Database) -> None:
    run_id = queued(database)
    start, release = threading.Barrier(8), threading.Event()
    granted: list[bool] = []

    def take() -> None:
        engine = database.engine()
        start.wait()
        with waiting._place(engine, run_id, 5) as given:
            granted.append(given)
            release.wait(5)

    threads = in_parallel(8, take)
    while len(granted) < 8:
        time.sleep(0.01)
    release.set()
    for thread in threads:
        thread.join()
    assert sorted(granted) == [False] * 5 + [True] * 3


def test_a_place_that_nobody_freed_comes_free_by_itself(database: Database) -> None:
    run_id, engine = queued(database), database.engine()
    for _ in range(3):
        with database.begin() as connection:
            connection.execute(waiting._INSTALL, {"places": waiting.PLACES})
            connection.execute(waiting._TAKE, {"run_id": run_id, "seconds": 60})
    with waiting._place(engine, run_id, 5) as granted:
        assert not granted
    database.advance(timedelta(seconds=61))
    with waiting._place(engine, run_id, 5) as granted:
        assert granted


def test_whoever_overstayed_does_not_free_the_place_of_the_next(database: Database) -> None:
    run_id, engine = queued(database), database.engine()
    with waiting._place(engine, run_id, -waiting.MARGIN_S) as granted:
        assert granted
        with database.begin() as connection:
            row = connection.execute(waiting._TAKE, {"run_id": run_id, "seconds": 60}).one()
            assert row.id == waiting.PLACES[0]
    with database.begin() as connection:
        held = connection.exec_driver_sql(
            "SELECT count(*) FROM ponctuel.api_waits WHERE until > ponctuel.clock()"
        ).scalar_one()
    assert held == 1


def test_a_wait_ends_with_the_runs(database: Database) -> None:
    runs, engine = [queued(database) for _ in ledger.FINISHED], database.engine()

    def finish() -> None:
        for run_id, status in zip(runs, ledger.FINISHED, strict=True):
            time.sleep(0.1)
            with database.begin() as connection:
                connection.execute(
                    text("UPDATE ponctuel.runs SET status = :status WHERE id = :id"),
                    {"status": status, "id": run_id},
                )

    (thread,) = in_parallel(1, finish)
    begun = time.monotonic()
    waiting.wait(engine, runs, Deadline.after(10, reserve=0))
    assert 0.4 <= time.monotonic() - begun < 3
    thread.join()


def test_a_lost_database_ends_the_wait_with_its_own_error(database: Database) -> None:
    run_id, engine = queued(database), database.engine()

    def lose() -> None:
        time.sleep(0.3)
        with database.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE ponctuel.runs RENAME TO moved")

    (thread,) = in_parallel(1, lose)
    with pytest.raises(SchemaOutdated):
        waiting.wait(engine, [run_id], Deadline.after(10, reserve=0))
    thread.join()
