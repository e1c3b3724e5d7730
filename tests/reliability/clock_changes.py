"""The days on which Paris changes its clocks: a daily job at 02:30, and every registered job,
each called by its own EventBridge rule."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from chalicelib import jobs
from chalicelib.runner.rule import eventbridge_rule
from tests.database import Database
from tests.harness import Deployment
from tests.reliability.trial import Finding
from tests.runner.brute_force import at, minute_of, slots
from tests.runner.eventbridge import parse_rule
from tests.runner.probe import Stand
from tests.runner.probe import job as probe

PARIS = ZoneInfo("Europe/Paris")
DAILY = "30 2 * * *"
# Around the change: a job that is called each minute is not called a whole day long.
AROUND = timedelta(hours=2)


def change_days() -> list[date]:
    """The days of Paris, 2020 to 2040, that do not have 24 hours: 42."""
    days = (date(2020, 1, 1) + timedelta(days=n) for n in range(21 * 366))
    return [day for day in days if day.year <= 2040 and _length(day) != timedelta(days=1)]


def daily_trial(deployment: Deployment, job: str, case: str, draw: random.Random) -> Finding:
    """`case`: the day. A job at 02:30 runs once on it, and at the right instant."""
    day = date.fromisoformat(case)
    check_daily(deployment.database, day)
    return Finding(Counter(), done=Counter(days=1))


def check_daily(database: Database, day: date) -> None:
    """Ticks from noon to noon by the rule in force; the tables of runs begin and end empty."""
    stand = Stand(database.engine())
    daily = probe(schedule=DAILY, steps=())
    before = datetime.combine(day - timedelta(days=1), time(12), UTC)
    database.set_clock(before)
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM ponctuel.job_state; DELETE FROM ponctuel.runs")
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
    at_change = time(3) if day.month == 3 else time(2, 30)
    assert (slot.date(), slot.time(), slot.fold) == (day, at_change, 0)
    assert run["started_at"] - run["slot_to"] <= timedelta(minutes=61)


def job_trial(deployment: Deployment, job: str, case: str, draw: random.Random) -> Finding:
    """`case`: the day. A registered job, around the change: what its state says is covered after
    each tick is what brute force says is due, and no run covers a slot twice."""
    found, change = jobs.job(job), _change(date.fromisoformat(case))
    zone = found.zone if found.zone in ("Europe/Paris", "UTC") else "Europe/Paris"
    start, end = change - AROUND, change + AROUND
    deployment.database.set_clock(start)
    deployment.execute("UPDATE ponctuel.job_state SET covered_through = ponctuel.clock()")
    rule = eventbridge_rule(found.schedule, zone, now=start)
    called = 0
    for tick in ticks(rule, start + timedelta(minutes=1), end):
        deployment.database.set_clock(tick)
        deployment.tick(job, hours=0)
        called += 1
    due = [
        at(minute) for minute in slots(found.schedule, zone, minute_of(start) + 1, minute_of(end))
    ]
    runs = deployment.rows(
        "SELECT slot_from, slot_to FROM ponctuel.runs WHERE job = :job ORDER BY number", job=job
    )
    times = [sum(run["slot_from"] <= slot <= run["slot_to"] for run in runs) for slot in due]
    expected = {0} if found.quiet else {1}
    assert set(times) <= expected, dict(zip(map(str, due), times, strict=True))
    if due:
        (state,) = deployment.rows(
            "SELECT covered_through FROM ponctuel.job_state WHERE job = :job", job=job
        )
        assert state["covered_through"] >= due[-1]
    return Finding(Counter(), done=Counter(slots=len(due), ticks=called))


def ticks(rule: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """The instants in [start, end) at which EventBridge calls."""
    parsed, minute = parse_rule(rule), minute_of(start)
    while (tick := at(parsed.first_from(minute))) < end:
        yield tick
        minute = minute_of(tick) + 1


def _change(day: date) -> datetime:
    """The instant of the change, 01:00 UTC since 1996 (directive 2000/84/EC, article 2)."""
    return datetime.combine(day, time(1), UTC)


def _length(day: date) -> timedelta:
    midnights = (datetime.combine(d, time(), PARIS) for d in (day, day + timedelta(days=1)))
    start, end = (midnight.astimezone(UTC) for midnight in midnights)
    return end - start
