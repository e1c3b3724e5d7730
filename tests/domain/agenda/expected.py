"""What a history has to come to, by docs/agenda.md, item by item in Python: nothing of it is the
job's own SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

from tests.domain.agenda.history import DAY, HOUR, MINUTE, PARIS, History, Row, Thing, User, ended

Wakes = list[tuple[datetime, bool]]
Key = tuple[str, str, str, str]
# A wake's clock goes on ticking while it works.
TICK = timedelta(seconds=1)
AHEAD = 135 * MINUTE


@dataclass
class Expected:
    """`told`: (sort, subject, cycle, user) of what is shown in the application, once each.
    `reminders`: of the e-mails, when each can leave. `notices`: e-mails by user and sort.
    `digests`: by user and day."""

    told: set[Key] = field(default_factory=set)
    reminders: dict[Key, datetime] = field(default_factory=dict)
    notices: Counter[tuple[str, str]] = field(default_factory=Counter)
    digests: set[tuple[str, str]] = field(default_factory=set)


def expected(history: History, wakes: Wakes) -> Expected:
    found = Expected()
    for appointment in history.of("appointments"):
        _remind(history, wakes, appointment, found)
    _tell(history, wakes, found)
    _digest(history, wakes, found)
    return found


def iso(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def _useful(history: History, row: Row | None, now: datetime) -> dict[int, datetime]:
    """Minutes before → instant, of the reminders that are of use at `now` or shortly after."""
    if row is None or row["status"] != "scheduled" or row["starts_at"] <= now - 5 * MINUTE:
        return {}
    dues = {minutes: row["starts_at"] - minutes * MINUTE for minutes in history.minutes(row)}
    dues = {m: due for m, due in dues.items() if row["created_at"] <= due <= now + AHEAD}
    late = [m for m, due in dues.items() if due <= now]
    return {
        m: due
        for m, due in dues.items()
        if due > now or (m == min(late) and now <= due + _lateness(m))
    }


def _lateness(minutes: int) -> timedelta:
    return max(minutes // 2, 5) * MINUTE


def _remind(history: History, wakes: Wakes, thing: Thing, found: Expected) -> None:
    waiting: dict[Key, tuple[datetime, datetime]] = {}
    previous = None
    for at, runs in wakes:
        now, row = at + TICK, thing.at(at)
        useful = _useful(history, row, now)
        if runs:
            for minutes, due in useful.items():
                assert row is not None
                cycle = f"{iso(row['starts_at'])}/{minutes}"
                key = ("appointment", thing.id, cycle, row["user_id"])
                if due <= now and previous is not None and due <= previous:
                    continue  # its instant had passed when it was moved or set back
                found.told.add(key)
                if key in found.reminders or key in waiting:
                    continue
                if history.users[row["user_id"]].by_email:
                    first = max(due, now)
                    last = min(row["starts_at"], due + _lateness(minutes))
                    waiting[key] = (first, max(first + 5 * MINUTE, last))
            previous = now
        for key, (first, last) in list(waiting.items()):
            if first > now:
                continue
            del waiting[key]
            start, _, minutes_text = key[2].partition("/")
            stands = row is not None and iso(row["starts_at"]) == start
            if now <= last and stands and int(minutes_text) in useful:
                found.reminders[key] = at


def _overdue(history: History, now: datetime, at: datetime) -> Iterator[tuple[Key, bool]]:
    """All that is overdue at a wake: its key, and whether its user is written to about it."""
    for thing in history.of("tasks"):
        row = thing.at(at)
        if row is None or row["status"] != "open" or row.get("snoozed_until", at) > now:
            continue
        user = history.users[row["user_id"] or "U1"]
        end = ended(row, user)
        if end > now:
            continue
        cycle = iso(row["due_at"]) if row["due_at"] else row["due_on"].isoformat()
        at_once = user.by_email and (row["critical"] or user.digest_at is None)
        yield ("task_overdue", thing.id, cycle, user.id), at_once and end >= now - 8 * DAY
        nth = (now - end - DAY) // (3 * DAY)
        if row["critical"] and 0 <= nth < 10:
            yield ("task_escalated", thing.id, f"{cycle}/{nth}", "U1"), True
    for thing in history.of("invoices"):
        row, today = thing.at(at), now.astimezone(PARIS).date()
        if row is not None and row["balance"] > 0 and row["due_on"] < today:
            key = ("invoice_overdue", thing.id, f"{row['due_on']}/{row['cycle']}", "U1")
            yield key, row["due_on"] >= today - 8 * DAY


def _tell(history: History, wakes: Wakes, found: Expected) -> None:
    letters: list[tuple[datetime, str, str, set[Key]]] = []
    for at, runs in wakes:
        now = at + TICK
        overdue = dict(_overdue(history, now, at))
        if runs:
            planned: dict[tuple[str, str], set[Key]] = {}
            for key, by_email in overdue.items():
                if key not in found.told and by_email:
                    planned.setdefault((key[3], key[0]), set()).add(key)
                found.told.add(key)
            letters += [(now, user, sort, keys) for (user, sort), keys in planned.items()]
        for letter in list(letters):
            planned_at, user, sort, keys = letter
            if not _may_be_written_to(history.users[user], now):
                continue
            letters.remove(letter)
            if now <= planned_at + 2 * DAY and any(overdue.get(key) for key in keys):
                found.notices[user, sort] += 1


def _may_be_written_to(user: User, now: datetime) -> bool:
    return time(8) <= now.astimezone(user.local).time() < time(21)


def _digest(history: History, wakes: Wakes, found: Expected) -> None:
    runs = [at for at, runs in wakes if runs]
    for user in history.users.values():
        if user.digest_at is None:
            continue
        # At the first run there is nothing yet that was told.
        for at in runs[1:]:
            here = (at + TICK).astimezone(user.local).replace(tzinfo=None)
            begun = here.time() >= user.digest_at
            day = here.date() if begun else here.date() - DAY
            if here - datetime.combine(day, user.digest_at) <= 12 * HOUR:
                found.digests.add((user.id, day.isoformat()))
