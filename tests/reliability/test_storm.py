"""The same slot, delivered again and again by several processes at once, through every door."""

from __future__ import annotations

import os
import random
from datetime import datetime, timedelta

import pytest

from chalicelib import jobs
from chalicelib.runner.schedule import Schedule
from tests.harness import Deployment
from tests.reliability import knocking
from tests.reliability.child import barrier, ended, spawn
from tests.reliability.conftest import child_environment
from tests.reliability.scenarios import SCENARIOS, at_all_hours, verdict

SLOTS = 2 * int(os.environ.get("PONCTUEL_DRAWS", "1"))
PROCESSES = int(os.environ.get("PONCTUEL_PROCESSES", "4"))
CALLS = 4  # of each process, for each slot


@pytest.mark.parametrize("job", jobs.NAMES)
def test_a_slot_delivered_many_times_through_all_doors_takes_effect_once(
    deployment: Deployment, job: str
) -> None:
    scenario = SCENARIOS[job]
    scenario.load(deployment)
    at_all_hours(deployment)
    expected = set(scenario.expected)
    begun = _covered_through(deployment, job)
    for slot in range(SLOTS):
        expected |= scenario.add(deployment, slot)
        deployment.advance_to_slot()
        _storm(job, random.Random(f"{job}/{slot}"))
    found = verdict(deployment, expected)
    assert not found, found
    assert deployment.rows("SELECT id FROM ponctuel.runs WHERE finished_at IS NULL") == []
    _every_slot_is_covered_once(deployment, job, begun)


def test_jobs_that_deliver_side_by_side_never_send_the_same_message(
    deployment: Deployment,
) -> None:
    scenario = SCENARIOS["deliver_messages"]
    scenario.load(deployment)
    expected = set(scenario.expected)
    for n in range(10):
        expected |= SCENARIOS["followups"].add(deployment, n)
    deployment.smtp.fail("slow", seconds=0.02)
    deployment.advance_to_slot()
    start = barrier(2)
    children = [
        spawn(knocking.main, child_environment(), job, ["tick"], start)
        for job in ("followups", "deliver_messages")
    ]
    assert [ended(child) for child in children] == [0, 0]
    deployment.deliver()
    found = verdict(deployment, expected)
    assert not found, found


def _storm(job: str, draw: random.Random) -> None:
    """Each process calls through several doors; all begin together."""
    start = barrier(PROCESSES)
    environment = child_environment(CRON_SECRET=knocking.SECRET)
    children = [
        spawn(knocking.main, environment, job, draw.choices(knocking.DOORS, k=CALLS), start)
        for _ in range(PROCESSES)
    ]
    assert [ended(child) for child in children] == [0] * PROCESSES


def _every_slot_is_covered_once(deployment: Deployment, job: str, begun: datetime) -> None:
    runs = deployment.rows(
        "SELECT slot_from, slot_to, status FROM ponctuel.runs "
        "WHERE job = :job AND slot_from IS NOT NULL",
        job=job,
    )
    assert {run["status"] for run in runs} == {"succeeded"}
    found = jobs.job(job)
    slots = list(
        Schedule.parse(found.schedule, found.zone).between(
            begun + timedelta(seconds=1), _covered_through(deployment, job) + timedelta(seconds=1)
        )
    )
    assert len(slots) >= SLOTS
    times = [sum(run["slot_from"] <= slot <= run["slot_to"] for run in runs) for slot in slots]
    # A quiet job keeps no row of a run that found nothing to do.
    assert set(times) <= ({0, 1} if found.quiet else {1})
    assert sum(times) >= SLOTS


def _covered_through(deployment: Deployment, job: str) -> datetime:
    rows = deployment.rows("SELECT covered_through FROM ponctuel.job_state WHERE job = :j", j=job)
    covered: datetime = rows[0]["covered_through"]
    return covered
