"""A daily job at 02:30, ticked by its own EventBridge rule, on every day on which Paris changes its
clocks from 2020 to 2040: 42 days, 42 runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from chalicelib.runner.rule import eventbridge_rule
from tests.database import Database
from tests.runner.eventbridge import parse_rule
from tests.runner.probe import Stand, job

PARIS = ZoneInfo("Europe/Paris")
DAILY = "30 2 * * *"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def change_days() -> list[date]:
    """The days of Paris, 2020 to 2040, that do not have 24 hours."""
    days = (date(2020, 1, 1) + timedelta(days=n) for n in range(21 * 366))
    return [day for day in days if day.year <= 2040 and _length(day) != timedelta(days=1)]


def _length(day: date) -> timedelta:
    midnights = (datetime.combine(d, time(), PARIS) for d in (day, day + timedelta(days=1)))
    start, end = (midnight.astimezone(UTC) for midnight in midnights)
    return end - start


def ticks(rule: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """The instants in [start, end) at which EventBridge calls."""
    parsed = parse_rule(rule)
    minute = int((start - EPOCH).total_seconds()) // 60
    while (tick := EPOCH + timedelta(minutes=parsed.first_from(minute))) < end:
        yield tick
        minute = int((tick - EPOCH).total_seconds()) // 60 + 1


@pytest.mark.parametrize("month", [3, 10])
def test_a_daily_job_runs_once_on_every_day_on_which_the_clocks_change(
    database: Database, month: int
) -> None:
    stand = Stand(database.engine())
    daily = job(schedule=DAILY, steps=())
    days = [day for day in change_days() if day.month == month]
    assert len(days) == 21
    for day in days:
        before = datetime.combine(day - timedelta(days=1), time(12), UTC)
        database.set_clock(before)
        with database.begin() as connection:
            connection.exec_driver_sql("TRUNCATE ponctuel.job_state, ponctuel.runs CASCADE")
        assert [result.status for result in stand.work(daily)] == ["nothing_due"]
        rule = eventbridge_rule(DAILY, "Europe/Paris", now=before)
        for tick in ticks(rule, before, before + timedelta(days=1)):
            database.set_clock(tick)
            stand.work(daily)
        (run,) = stand.runs()
        assert run["status"] == "succeeded"
        assert run["slot_from"] == run["slot_to"]
        slot = run["slot_to"].astimezone(PARIS)
        # 02:30 does not exist in March: the job runs at the change. In October it comes twice.
        assert (slot.date(), slot.time(), slot.fold) == (
            day,
            time(3) if month == 3 else time(2, 30),
            0,
        )
        assert run["started_at"] - run["slot_to"] <= timedelta(minutes=61)
