"""Invocations that are cut short, anywhere: each item once, and none outlives its time."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

import pytest

from chalicelib import jobs
from chalicelib.runner import triggers
from chalicelib.runner.deadline import RESERVE_S
from chalicelib.runner.events import envelope
from chalicelib.runner.work import MAX_HOPS, work
from tests.database import Database
from tests.harness import NOW, Context, Deployment
from tests.reliability.deadline import HOUR, Time, cut_at_random, job_trial
from tests.runner.probe import Probe, Stand, job


@dataclass
class Woken:
    """A trigger that only remembers."""

    calls: list[tuple[str, str]] = field(default_factory=list)

    def wake(self, job: str, door: str, run_id: UUID | None) -> None:
        self.calls.append((job, door))


def test_invocations_of_any_length_do_each_item_once_and_stop_in_time(database: Database) -> None:
    database.set_clock(NOW)
    stand = Stand(database.engine())
    stand.install()
    stand.work(job())
    for case in range(12):
        found = cut_at_random(stand, random.Random(case))
        assert found.passed, found


@pytest.mark.parametrize("name", jobs.NAMES)
def test_a_job_that_is_cut_again_and_again_loses_nothing_and_repeats_nothing(
    deployment: Deployment, name: str
) -> None:
    found = job_trial(deployment, name, "", random.Random(name))
    assert found.passed, found


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
