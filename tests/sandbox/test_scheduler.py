"""The local scheduler ticks at the slots, once for whatever was slept through."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import jobs
from chalicelib.errors import SettingsError
from chalicelib.runner.schedule import Schedule
from chalicelib.settings import Settings
from sandbox.scheduler import LONGEST_NAP_S, Scheduler, schedules
from tests.harness import Deployment

ROOT = Path(__file__).parents[2]
START = datetime(2026, 3, 10, 9, 0, 30, tzinfo=UTC)


@dataclass
class Life:
    """A clock that moves by itself: each wait takes as long as it was asked, or as `naps` says."""

    at: datetime = START
    until: datetime = START + timedelta(hours=3)
    naps: list[timedelta] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at

    def wait(self, timeout: float) -> bool:
        assert 0 < timeout <= LONGEST_NAP_S
        self.at += self.naps.pop(0) if self.naps else timedelta(seconds=timeout)
        return self.at > self.until


def ticks(life: Life, **expressions: str) -> list[tuple[str, datetime]]:
    """What is ticked, and when, in that life; without the ticks of the start."""
    found: list[tuple[str, datetime]] = []
    planned = {job: Schedule.parse(text, "UTC") for job, text in expressions.items()}
    Scheduler(lambda job: found.append((job, life.at)), planned, life.now).run(life)
    assert [job for job, _ in found[: len(planned)]] == list(planned)
    return found[len(planned) :]


def test_each_job_is_ticked_at_its_slots_and_not_between() -> None:
    found = ticks(Life(), followups="0 * * * *", deliver="*/30 * * * *")
    assert [at for job, at in found if job == "followups"] == [
        START.replace(hour=hour, minute=0, second=0) for hour in (10, 11, 12)
    ]
    assert len([job for job, _ in found if job == "deliver"]) == 6


def test_a_machine_that_slept_for_hours_ticks_each_job_once() -> None:
    life = Life(until=START + timedelta(hours=9), naps=[timedelta(hours=8)])
    found = ticks(life, minutely="* * * * *", hourly="0 * * * *")
    woke = START + timedelta(hours=8)
    assert [entry for entry in found if entry[1] == woke] == [("minutely", woke), ("hourly", woke)]


def test_a_clock_set_back_ticks_nothing_twice_at_once_and_goes_on() -> None:
    life = Life(naps=[timedelta(hours=1), timedelta(hours=-1)])
    found = ticks(life, hourly="0 * * * *")
    assert [at.hour for _, at in found] == [10, 10, 11, 12]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 20_000), max_size=20))
def test_no_slot_is_missed_however_long_each_sleep_was(naps: list[int]) -> None:
    life = Life(naps=[timedelta(seconds=seconds) for seconds in naps])
    life.until = START + timedelta(seconds=sum(naps) + 3700)
    schedule = Schedule.parse("*/7 * * * *", "UTC")
    found = [at for _, at in ticks(life, job="*/7 * * * *")]
    for slot in schedule.between(START, life.until - timedelta(seconds=1)):
        assert any(slot <= at for at in found)
    assert len(found) == len(set(found))


def test_schedules_and_zones_set_for_the_stage_are_followed() -> None:
    own = {"SCHEDULE_FOLLOWUPS": "15 8 * * *", "ZONE_DELIVER_MESSAGES": "business"}
    found = schedules(Settings.from_mapping(own))
    assert found["followups"] == Schedule("15 8 * * *", "Europe/Paris")
    assert found["deliver_messages"] == Schedule("*/15 * * * *", "UTC")
    assert list(found) == list(jobs.NAMES)
    with pytest.raises(SettingsError):
        schedules(Settings.from_mapping({"SCHEDULE_FOLLOWUPS": "61 8 * * *"}))


def test_the_scheduler_runs_the_jobs_and_stops_when_it_is_asked(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.database.advance(timedelta(hours=1))
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.scheduler"],
        cwd=ROOT,
        env={**os.environ, "LOG_FORMAT": "json"},
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    try:
        while not deployment.smtp.accepted():
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "scheduler_stopped" in log
    assert "Traceback" not in log


def test_without_a_database_the_scheduler_says_what_is_missing() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.scheduler"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert "DATABASE_URL n'est pas renseigné" in done.stderr
