"""Jobs of several steps: one worklist, steps in order, a cursor that is never between two."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from chalicelib.runner import lease
from chalicelib.runner.acquire import Taker, acquire
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.job import Batch, ItemError, Job, Outcome, Prepared, Run, Step
from chalicelib.runner.progress import release, save
from chalicelib.runner.work import work
from chalicelib.runner.worklist import enter
from tests.database import Database
from tests.runner.probe import DUE, Probe, Stand, job

HOUR = timedelta(hours=1)
NOW = datetime(2026, 3, 10, 9, 10, tzinfo=UTC)
FIRST = f"{DUE} WHERE item LIKE 'a%'"
SECOND = f"{DUE} WHERE item LIKE 'b%'"
NONE = f"{DUE} WHERE false"


@pytest.fixture
def stand(database: Database) -> Stand:
    database.set_clock(NOW)
    stand = Stand(database.engine())
    stand.install(("B1", "a1"), ("B1", "a2"), ("B2", "a1"), ("B1", "b1"), ("B1", "b2"))
    return stand


def steps(*items: str, effect: Probe | None = None, batch: int = 500) -> tuple[Step, ...]:
    return tuple(
        Step(f"step{n}", query, effect or Probe(), batch=batch) for n, query in enumerate(items)
    )


def run_once(stand: Stand, found: Job, seconds: float = 300) -> list[str]:
    stand.work(job(steps=()))
    stand.advance(HOUR)
    return [result.status for result in stand.work(found, seconds)]


def test_steps_are_done_in_their_order_and_steps_without_items_are_passed_over(
    stand: Stand,
) -> None:
    assert run_once(stand, job(steps=steps(NONE, FIRST, NONE, SECOND, NONE))) == ["succeeded"]
    assert stand.done() == ["a1", "a1", "a2", "b1", "b2"]
    assert stand.runs()[-1]["counts"] == {"done": 5}
    assert stand.rows("SELECT * FROM ponctuel.run_items") == []


def test_a_run_that_finds_nothing_in_any_step_ends_at_once(stand: Stand) -> None:
    assert run_once(stand, job(steps=steps(NONE, NONE))) == ["succeeded"]
    run = stand.runs()[-1]
    assert (run["status"], run["counts"], run["results"]) == ("succeeded", {}, [])
    assert run["finished_at"] is not None


def test_a_business_that_cannot_be_prepared_makes_the_run_partial_though_nothing_is_due(
    stand: Stand,
) -> None:
    def prepare(_run: Run, _connection: Connection) -> Prepared:
        return Prepared({}, [ItemError("B9", "", "bad_zone", "Fuseau horaire inconnu.")])

    assert run_once(stand, job(steps=steps(NONE), prepare=prepare)) == ["partial"]
    assert stand.runs()[-1]["results"] == [
        {"id": "B9", "count": 0, "error": "Fuseau horaire inconnu.", "status": "partial"}
    ]


def test_what_a_job_prepares_is_there_for_the_sql_of_every_step(stand: Stand) -> None:
    def prepare(_run: Run, _connection: Connection) -> Prepared:
        return Prepared({"wanted": "a1"})

    query = f"{DUE} WHERE item = :wanted"
    assert run_once(stand, job(steps=steps(query, query), prepare=prepare)) == ["succeeded"]
    assert stand.done() == ["a1"] * 4


def test_the_deadline_between_two_steps_leaves_the_cursor_on_the_second(stand: Stand) -> None:
    class Hurried(Probe):
        def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome:
            outcome = super().apply(run, connection, batch)
            clock[0] = 0.0
            return outcome

    clock = [300.0]
    found = job(steps=steps(FIRST, effect=Hurried()) + steps(NONE, SECOND)[1:])
    stand.work(job(steps=()))
    stand.advance(HOUR)
    ticking = Deadline(lambda: clock[0])
    assert [r.status for r in work(found, stand.bench(), ticking)] == ["continued"]
    left = stand.runs()[-1]
    assert (left["step"], left["position"]) == ("step1", 0)
    assert stand.done() == ["a1", "a1", "a2"]
    assert [r.status for r in stand.work(found)] == ["succeeded"]
    assert stand.done() == ["a1", "a1", "a2", "b1", "b2"]


def test_an_item_that_kills_in_the_first_batch_of_a_later_step_is_found_and_set_aside(
    stand: Stand,
) -> None:
    """The cursor is on the step's first item before its first batch begins, so the death counts
    against that batch."""
    deadly = job(steps=steps(FIRST) + steps(NONE, SECOND, effect=Probe(deadly="b1"))[1:])
    stand.work(job(steps=()))
    stand.advance(HOUR)
    for _ in range(12):
        child = os.fork()
        if child == 0:
            try:
                stand.engine.dispose(close=False)
                stand.work(deadly)
            finally:
                os._exit(0)
        status = os.waitpid(child, 0)[1]
        stand.advance(lease.LEASE + timedelta(seconds=1))
        if not os.WIFSIGNALED(status):
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
    stand.engine.dispose(close=False)
    assert stand.done() == ["a1", "a1", "a2", "b2"]
    assert [row["item"] for row in stand.rows("SELECT item FROM ponctuel.quarantine")] == ["b1"]
    assert stand.runs()[-1]["status"] == "partial"
    assert stand.runs()[-1]["failures"] == 0


@pytest.mark.parametrize("step", ["gone", "step1"])
def test_an_unfinished_run_goes_on_with_the_steps_that_the_code_has(
    stand: Stand, step: str
) -> None:
    two = job(steps=steps(FIRST, SECOND))
    stand.work(job(steps=()))
    stand.advance(HOUR)
    schedule = two.schedule_in("Europe/Paris", stand.bench().settings)
    with stand.engine.begin() as connection:
        run = acquire(connection, two, "Europe/Paris", schedule, Taker("x")).found
        assert isinstance(run, Run)
        enter(connection, run, two.steps, {"job": run.job, "run_id": run.id})
        run.step = step
        save(connection, run)
        release(connection, run, timedelta(0))
    assert stand.work(two)[0].status == "succeeded"
    expected = ["a1", "a1", "a2", "b1", "b2"] if step == "gone" else ["b1", "b2"]
    assert stand.done() == expected
