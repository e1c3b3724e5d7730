"""A year of the agenda with outages of a minute, 78 minutes, three days and thirty: what becomes
overdue is told once, a reminder leaves once while it is useful, and nothing leaves stale.

The hours in which nothing can happen are left out: the job runs daily, and each hour around what
happens.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from tests import factories
from tests.harness import NOW, Deployment
from tests.jobs.test_overdue_and_reminders import JOB, insert, open_business

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BEGIN = datetime(2026, 3, 11, tzinfo=UTC)
END = BEGIN + 365 * DAY
# (begin, length): neither the job nor the delivery runs, both ends included.
OUTAGES = (
    (BEGIN + 20 * DAY + timedelta(hours=12), timedelta(minutes=1)),
    (BEGIN + 60 * DAY + timedelta(hours=13, minutes=30), timedelta(minutes=78)),
    (BEGIN + 100 * DAY + timedelta(hours=12, minutes=10), 3 * DAY),
    (BEGIN + 200 * DAY + timedelta(hours=12, minutes=10), 30 * DAY),
)
OFFSETS = (1440, 60)
AHEAD = timedelta(minutes=135)
MINUTE = timedelta(minutes=1)


def _starts() -> list[datetime]:
    """Appointments around the ends of the outages, and elsewhere."""
    chance = random.Random(6)
    ends = [begin + length for begin, length in OUTAGES]
    near = [
        end + timedelta(minutes=minutes)
        for end in ends
        for minutes in (-20, 25, 55, 95, 780, 1380, 1500)
    ]
    return near + [BEGIN + timedelta(minutes=chance.randrange(3 * 1440, 360 * 1440)) for _ in "ten"]


def _down(instant: datetime) -> bool:
    return any(begin <= instant <= begin + length for begin, length in OUTAGES)


def _wakes(instants: list[datetime]) -> list[tuple[datetime, bool]]:
    """(instant, whether the job runs or the delivery alone), in order."""
    runs = {BEGIN + n * DAY + 8 * HOUR for n in range(365)}
    for instant in instants:
        hour = instant.replace(minute=0)
        runs |= {hour + n * HOUR for n in range(-2, 3)}
    deliveries = {instant + MINUTE for instant in instants} - runs
    wakes = [(at, True) for at in runs] + [(at, False) for at in deliveries]
    return sorted(wake for wake in wakes if BEGIN <= wake[0] < END and not _down(wake[0]))


def _sent(due: datetime, minutes: int, wakes: list[tuple[datetime, bool]]) -> bool:
    """Whether a reminder can still be of use when it can first leave."""
    planned = next(at for at, runs in wakes if runs and at >= due - AHEAD)
    leaves = next(at for at, _ in wakes if at >= max(planned, due))
    return leaves - due <= timedelta(minutes=max(minutes // 2, 5))


@pytest.mark.slow
def test_a_year_with_outages_loses_nothing_and_repeats_nothing(deployment: Deployment) -> None:
    open_business(deployment)
    with deployment.database.begin() as connection:
        factories.user(connection, "U3", "B1", email="u3@b1.example")
    insert(deployment, "user_preferences", business_id="B1", user_id="U3", digest=True)
    starts = dict(enumerate(_starts()))
    for n, start in starts.items():
        insert(
            deployment, "appointments", business_id="B1", id=f"A{n}", title=f"Visite {n}",
            user_id="U2", starts_at=start, created_at=NOW - 10 * DAY,
        )  # fmt: skip
    days = {n: (BEGIN + n * DAY).date() for n in range(3, 360, 9)}
    for n, day in days.items():
        task = {"business_id": "B1", "id": f"T{n}", "title": f"Tâche {n}", "user_id": "U2"}
        insert(deployment, "tasks", **task, due_on=day)
        deployment.invoice(f"F{n}", due_on=day, status="sent")
    insert(
        deployment, "tasks", business_id="B1", id="D", title="À voir", user_id="U3",
        due_on=BEGIN.date(),
    )  # fmt: skip
    reminders = {
        (f"A{n}", minutes): start - timedelta(minutes=minutes)
        for n, start in starts.items()
        for minutes in OFFSETS
    }
    ends = [begin + length + MINUTE for begin, length in OUTAGES]
    wakes = _wakes([*reminders.values(), *ends])
    for at, runs in wakes:
        deployment.database.set_clock(at)
        if runs:
            deployment.tick(JOB, hours=0)
        deployment.tick("deliver_messages", hours=0)

    told = Counter(
        (row["kind"].removeprefix("agenda."), row["subject"])
        for row in deployment.rows("SELECT kind, subject FROM ponctuel.notifications")
        if row["kind"] != "agenda.appointment"
    )
    assert told == Counter(
        [("task_overdue", f"T{n}") for n in days]
        + [("invoice_overdue", f"F{n}") for n in days]
        + [("task_overdue", "D")]
    )
    left = [m for m in deployment.messages() if m["state"] == "accepted"]
    reminded = Counter(
        (m["subject"], int(m["cycle"].split("/")[1]))
        for m in left
        if m["kind"] == "agenda.reminder"
    )
    useful = [key for key, due in reminders.items() if _sent(due, key[1], wakes)]
    assert reminded == Counter(useful)
    assert len(OFFSETS) * len(starts) > len(useful) > len(starts)
    up = {at.date() for at, runs in wakes if runs}
    digests = Counter(m["cycle"] for m in left if m["kind"] == "agenda.digest")
    assert set(digests.values()) == {1}
    assert len(digests) in range(len(up) - 2, len(up) + 1)
    _news_is_news(deployment, {f"Tâche {n}": day for n, day in days.items()}, wakes)


def _news_is_news(
    deployment: Deployment, due: dict[str, date], wakes: list[tuple[datetime, bool]]
) -> None:
    """A task is written about once, unless the outage made it old; then it is shown alone."""
    notices = deployment.rows("""
      SELECT n.title, count(m.id) AS n FROM ponctuel.notifications n
        JOIN ponctuel.agenda_told d USING (business_id, kind, subject, cycle, user_id)
        LEFT JOIN ponctuel.messages m
          ON m.business_id = n.business_id AND m.kind = 'agenda.notice' AND m.state = 'accepted'
         AND m.subject = n.user_id AND m.cycle = d.notice || '/' || d.kind
       WHERE n.kind = 'agenda.task_overdue' AND n.user_id = 'U2' GROUP BY n.title""")
    written = {row["title"].removeprefix("Tâche en retard\u00a0: "): row["n"] for row in notices}
    runs = [at for at, job in wakes if job]
    for title, day in due.items():
        ended = datetime.combine(day, datetime.min.time(), UTC) + DAY
        first = next(at for at in runs if at >= ended - HOUR)
        assert written[title] == int(first - ended < 8 * DAY), title
    assert {written[title] for title in due} == {0, 1}
    assert any(later - earlier > 29 * DAY for earlier, later in pairwise(runs))
