"""A daily job at 02:30, ticked by its own EventBridge rule, on every day on which Paris changes its
clocks from 2020 to 2040: 42 days, 42 runs."""

from __future__ import annotations

import random

import pytest

from tests.database import Database
from tests.harness import Deployment
from tests.reliability.clock_changes import change_days, check_daily, job_trial


@pytest.mark.parametrize("month", [3, 10])
def test_a_daily_job_runs_once_on_every_day_on_which_the_clocks_change(
    database: Database, month: int
) -> None:
    days = [day for day in change_days() if day.month == month]
    assert len(days) == 21
    for day in days:
        check_daily(database, day)


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_relances_cover_each_hour_once_while_the_clocks_change(
    deployment: Deployment, day: str
) -> None:
    assert job_trial(deployment, "followups", day, random.Random(day)).done["slots"] == 3
