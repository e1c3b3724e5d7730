"""Steps that ask others' servers: no transaction is around them, all else is as in any step."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, text

from chalicelib.errors import ItemFailed
from chalicelib.runner import dry_run
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.job import Batch, ItemError, Job, Outcome, Preview, Run, Step
from chalicelib.runner.work import work
from tests.database import Database
from tests.runner.probe import DUE, Stand, job

HOUR = timedelta(hours=1)
NOW = datetime(2026, 3, 10, 9, 10, tzinfo=UTC)


@dataclass(frozen=True)
class Visit:
    """Writes one row per item, each in a transaction of its own."""

    deadly: str = ""
    poison: str = ""
    refused: str = ""
    before: Callable[[Engine], None] | None = None

    def run_errand(
        self, run: Run, engine: Engine, deadline: Deadline, items: Sequence[tuple[str, str]]
    ) -> Outcome:
        if self.before:
            self.before(engine)
        errors = []
        for business, item in items:
            if item == self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            if item == self.poison:
                raise ItemFailed("Cet élément ne va pas.", code="poison")
            if item == self.refused:
                errors.append(ItemError(business, item, "refused", "Le serveur refuse."))
                continue
            with engine.begin() as connection:
                connection.execute(
                    text("INSERT INTO ponctuel.probe_done VALUES (:business, :item, :run)"),
                    {"business": business, "item": item, "run": run.id},
                )
        return Outcome({"visited": len(items) - len(errors)}, errors)

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        rows = connection.execute(text(batch.cte), batch.parameters)
        return Preview(changes=[{"business_id": row[0], "item": row[1]} for row in rows])


@pytest.fixture
def stand(database: Database) -> Stand:
    database.set_clock(NOW)
    stand = Stand(database.engine())
    stand.install(("B1", "a1"), ("B1", "a2"), ("B2", "a1"), ("B1", "b1"))
    return stand


def visiting(visit: Visit, batch: int = 500) -> Job:
    return job(steps=(Step("visit", DUE, visit, batch=batch),))


def run_once(stand: Stand, visit: Visit, batch: int = 500) -> list[str]:
    stand.work(job(steps=()))
    stand.advance(HOUR)
    return [result.status for result in stand.work(visiting(visit, batch))]


def test_what_it_wrote_is_there_and_counted_and_what_was_refused_is_recorded(stand: Stand) -> None:
    assert run_once(stand, Visit(refused="a2")) == ["partial"]
    assert stand.done() == ["a1", "a1", "b1"]
    run = stand.runs()[-1]
    assert run["counts"] == {"visited": 3, "failed": 1}
    assert run["results"][0]["error"] == "Le serveur refuse."


def test_no_transaction_of_the_run_is_open_meanwhile(stand: Stand) -> None:
    seen: list[int] = []

    def look(engine: Engine) -> None:
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # of a queue pool
        seen.append(1)

    assert run_once(stand, Visit(before=look), batch=3) == ["succeeded"]
    assert len(seen) == 2


def test_an_item_at_which_it_raises_is_passed_over_and_the_others_are_visited(stand: Stand) -> None:
    assert run_once(stand, Visit(poison="a2")) == ["partial"]
    assert set(stand.done()) == {"a1", "b1"}
    errors = stand.rows("SELECT item, code FROM ponctuel.run_errors")
    assert errors == [{"item": "a2", "code": "poison"}]


def test_a_process_that_lost_its_lease_meanwhile_records_nothing_of_the_run(stand: Stand) -> None:
    def lose(engine: Engine) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE ponctuel.job_state SET fence = fence + 1")

    assert run_once(stand, Visit(before=lose)) == ["lost"]
    assert stand.runs()[-1]["counts"] == {}


def test_the_lease_lasts_as_long_as_the_process_can_live(stand: Stand) -> None:
    left: list[timedelta] = []

    def look(_engine: Engine) -> None:
        row = stand.rows("SELECT lease_until - ponctuel.clock() AS left FROM ponctuel.job_state")
        left.append(row[0]["left"])

    stand.work(job(steps=()))
    stand.advance(HOUR)
    stand.work(visiting(Visit(before=look)), seconds=800)
    assert left[0] > timedelta(seconds=750)


def test_a_run_that_dies_each_time_is_closed_and_no_item_is_blamed_for_it(stand: Stand) -> None:
    stand.work(job(steps=()))
    stand.advance(HOUR)
    for _ in range(9):
        child = os.fork()
        if child == 0:
            stand.engine.dispose(close=False)
            work(visiting(Visit(deadly="a2")), stand.bench(), Deadline.after(300))
            os._exit(0)
        os.waitpid(child, 0)
        stand.advance(timedelta(minutes=6))
        if stand.runs()[-1]["finished_at"]:
            break
    run = stand.runs()[-1]
    assert (run["status"], run["error_code"]) == ("failed", "process_killed")
    assert stand.rows("SELECT item FROM ponctuel.quarantine") == []


def test_a_dry_run_sends_nobody(stand: Stand) -> None:
    def never(_engine: Engine) -> None:
        raise AssertionError

    found = visiting(Visit(before=never))
    run = Run(id=None, job="probe", zone="Europe/Paris", door="cli", now=NOW, dry_run=True)  # type: ignore[arg-type]  # nothing reads it
    report = dry_run.preview(stand.engine, found, run)
    assert [change["item"] for change in report["changes"]] == ["a1", "a2", "a1", "b1"]
