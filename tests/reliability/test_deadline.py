"""Invocations that are cut short, anywhere: each item once, and none outlives its time."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from chalicelib import jobs
from chalicelib.outbox.deliver import CALL_S
from chalicelib.runner import triggers
from chalicelib.runner.deadline import RESERVE_S, Deadline
from chalicelib.runner.events import envelope
from chalicelib.runner.work import MAX_HOPS, work
from tests.database import Database
from tests.harness import NOW, Context, Deployment
from tests.reliability.scenarios import SCENARIOS, recover, verdict
from tests.runner.probe import Probe, Stand, job

DRAWS = int(os.environ.get("PONCTUEL_DRAWS", "12"))
HOUR = timedelta(hours=1)
# Seconds that an invocation still has when it begins: none, less than the reserve, a little more;
# and around what a call to a provider needs besides.
CALLING_S = RESERVE_S + CALL_S
CUTS = (-0.68, 0.0, 5.0, *(limit + n for limit in (RESERVE_S, CALLING_S) for n in (-0.1, 0.3, 1.0)))


@dataclass
class Woken:
    """A trigger that only remembers."""

    calls: list[tuple[str, str]] = field(default_factory=list)

    def wake(self, job: str, door: str, run_id: UUID | None) -> None:
        self.calls.append((job, door))


@dataclass
class Time:
    """An invocation's time, which passes only where the test says so."""

    left: float

    def pass_by(self, seconds: float) -> None:
        self.left -= seconds

    def deadline(self) -> Deadline:
        return Deadline(lambda: self.left)


@pytest.mark.parametrize("draw", range(0, DRAWS, 12))
def test_invocations_of_any_length_do_each_item_once_and_stop_in_time(
    database: Database, draw: int
) -> None:
    database.set_clock(NOW)
    stand = Stand(database.engine())
    stand.install()
    stand.work(job())
    for case in range(draw, min(draw + 12, DRAWS)):
        _cut_at_random(stand, random.Random(case))


def _cut_at_random(stand: Stand, draw: random.Random) -> None:
    items = [f"i{n:03}" for n in range(draw.choice((0, 1, 2, 37, 60)))]
    batch, cost = draw.randint(1, 20), draw.uniform(0.1, 4.0)
    with stand.engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE ponctuel.probe_due, ponctuel.probe_done")
    stand.install(*[("B1", item) for item in items])
    stand.advance(HOUR)
    statuses: list[str] = []
    useful = 0
    while "succeeded" not in statuses:
        budget = draw.choice((-0.68, 0.0, *(RESERVE_S + n for n in (-0.1, 0.0, 0.5, 5.0, 25.0))))
        useful += budget >= RESERVE_S
        assert useful <= len(items) + 2, "each invocation that has time for a batch does one"
        time = Time(budget)
        probe = job(Probe(before=partial(time.pass_by, cost)), batch=batch)
        done = len(stand.done())
        results = work(probe, stand.bench(), time.deadline())
        statuses = [result.status for result in results]
        if budget < RESERVE_S:
            assert (statuses, len(stand.done())) == ([], done)
        else:
            assert time.left >= min(budget, RESERVE_S) - cost, "one batch past the reserve, at most"
    assert sorted(stand.done()) == items
    assert [run["status"] for run in stand.runs()[-1:]] == ["succeeded"]


@pytest.mark.parametrize("job", jobs.NAMES)
def test_a_job_that_is_cut_again_and_again_loses_nothing_and_repeats_nothing(
    deployment: Deployment, job: str
) -> None:
    scenario = SCENARIOS[job]
    scenario.load(deployment)
    deployment.smtp.fail("slow", seconds=0.15)
    deployment.advance_to_slot()
    draw = random.Random(job)
    for seconds in draw.sample(CUTS, k=len(CUTS)):
        deployment.tick(job, hours=0.1, seconds=seconds)
    deployment.smtp.heal()
    recover(deployment, job)
    found = verdict(deployment, scenario.expected)
    assert not found, found


def test_a_run_goes_on_by_waking_itself_a_bounded_number_of_times(stand_with_work: Stand) -> None:
    woken = Woken()
    bench = stand_with_work.bench()
    bench.trigger = woken
    for _ in range(3 * MAX_HOPS):
        time = Time(RESERVE_S + 0.5)
        slow = job(Probe(before=partial(time.pass_by, 1)), batch=1)
        before = len(woken.calls)
        results = work(slow, bench, time.deadline(), door="continuation")
        assert len(woken.calls) - before <= 1
        if "succeeded" in {result.status for result in results}:
            break
    assert sorted(stand_with_work.done()) == ITEMS
    assert len(woken.calls) <= MAX_HOPS + 1
    assert len(stand_with_work.runs()) == 1


@pytest.mark.parametrize("name", jobs.NAMES)
def test_a_function_whose_time_is_too_short_for_anything_does_not_wake_itself_forever(
    deployment: Deployment, name: str
) -> None:
    woken = Woken()
    triggers.install(woken)
    try:
        deployment.tick(name, seconds=5)
        assert woken.calls == [(name, "continuation")]
        event = envelope(name, door="continuation")
        jobs.module(name).handler(event, Context(5))
        assert len(woken.calls) == 1
    finally:
        triggers.install(None)


def test_a_tick_with_no_time_left_wakes_the_job_once_whatever_the_number_of_zones(
    stand_with_work: Stand,
) -> None:
    with stand_with_work.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO ponctuel.businesses (id, name, zone) SELECT zone, zone, zone "
            "FROM unnest(ARRAY['Europe/Paris', 'Indian/Reunion', 'America/Cayenne']) AS zone"
        )
    woken = Woken()
    bench = stand_with_work.bench()
    bench.trigger = woken
    local = job(zone="business")
    assert work(local, bench, Time(1.0).deadline()) == []
    assert woken.calls == [("probe", "continuation")]


ITEMS = [f"i{n:02}" for n in range(12)]


@pytest.fixture
def stand_with_work(database: Database) -> Stand:
    database.set_clock(NOW)
    stand = Stand(database.engine())
    stand.install(*[("B1", item) for item in ITEMS])
    stand.work(job())
    stand.advance(HOUR)
    return stand
