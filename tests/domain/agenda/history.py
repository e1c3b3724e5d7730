"""A time in the life of a business, drawn: what its users have to do, when that changes, and when
Ponctuel is down.

A `Thing` is what its row is from each instant on. The tables are brought up to date at each wake
(`world`), so that what the job finds and what `Thing.at` says is the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PARIS = ZoneInfo("Europe/Paris")
# The last two are none: whoever has them goes by the business's.
ZONES = (None, "Indian/Reunion", "Pacific/Tahiti", "America/New_York", "Asia/Kolkata", "CET+1", "")
OFFSETS = {
    "1440,60": (1440, 60), "-60": (60,), "30; 4320": (4320, 30), "0,15": (15, 0), "10": (10,),
    "bientôt": (1440, 60), "10080,1440,60": (10080, 1440, 60),
}  # fmt: skip
DEFAULT = "1440,60"
# Of the two clock changes of Paris, and of New York's.
BEGINNINGS = (date(2026, 3, 12), date(2026, 10, 19), date(2027, 3, 8), date(2026, 6, 1))

Row = Mapping[str, Any]


@dataclass(frozen=True)
class User:
    """`offsets`: as they are written. `digest_at`: None for who is told at once."""

    id: str
    zone: str | None = None
    by_email: bool = True
    digest_at: time | None = None
    offsets: str = DEFAULT

    @property
    def local(self) -> ZoneInfo:
        return ZoneInfo(self.zone) if self.zone and "/" in self.zone else PARIS


@dataclass
class Thing:
    """A row of `relation`; None while it is not there. An invoice's `cycle` is the database's own
    count of its payments that were taken back."""

    relation: str
    id: str
    states: list[tuple[datetime, Row | None]]

    def at(self, instant: datetime) -> Row | None:
        found = None
        for since, row in self.states:
            if since > instant:
                break
            found = row
        return found

    def change(self, instant: datetime, **columns: Any) -> None:
        """From `instant` on; without columns it is gone."""
        last = self.states[-1][1] or {}
        self.states.append((instant, {**last, **columns} if columns else None))


@dataclass
class History:
    begin: datetime
    days: int
    users: dict[str, User]
    outages: list[tuple[datetime, timedelta]] = field(default_factory=list)
    things: list[Thing] = field(default_factory=list)

    @property
    def end(self) -> datetime:
        return self.begin + self.days * DAY

    def of(self, relation: str) -> list[Thing]:
        return [thing for thing in self.things if thing.relation == relation]

    def minutes(self, appointment: Row) -> tuple[int, ...]:
        """The offsets that count."""
        own = appointment.get("offsets")
        return OFFSETS[own or self.users[appointment["user_id"]].offsets]

    def down(self, instant: datetime) -> bool:
        return any(begin <= instant <= begin + length for begin, length in self.outages)

    def wakes(self) -> list[tuple[datetime, bool]]:
        """(instant, whether the job runs or the delivery alone), in order. The hours in which
        nothing can happen are left out."""
        runs = {self.begin + n * DAY + 8 * HOUR for n in range(self.days)}
        deliveries = set()
        for instant in self._instants():
            minute = instant.replace(second=0, microsecond=0)
            hour = minute.replace(minute=0)
            runs |= {hour + n * HOUR for n in (-2, 0, 1)}
            deliveries.add(minute + MINUTE)
        wakes = sorted({(at, True) for at in runs} | {(at, False) for at in deliveries - runs})
        return [(at, job) for at, job in wakes if self.begin < at < self.end and not self.down(at)]

    def _instants(self) -> Iterable[datetime]:
        yield from (begin + length for begin, length in self.outages)
        for thing in self.things:
            for _, row in thing.states:
                if row is None:
                    continue
                if thing.relation == "appointments":
                    for minutes in self.minutes(row):
                        yield row["starts_at"] - minutes * MINUTE
                elif thing.relation == "tasks":
                    yield ended(row, self.users[row["user_id"] or "U1"])
                else:
                    yield midnight(row["due_on"] + DAY, PARIS)


def ended(task: Row, user: User) -> datetime:
    """When a task becomes overdue."""
    at: datetime | None = task.get("due_at")
    return at or midnight(task["due_on"] + DAY, user.local)


def midnight(day: date, local: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, local).astimezone(UTC)


def drawn(draw: random.Random, days: int, outages: Iterable[timedelta]) -> History:
    """`outages`: their lengths, in the order in which they come."""
    begin = datetime.combine(draw.choice(BEGINNINGS), time.min, UTC)
    users = {"U1": User("U1", draw.choice(ZONES))}
    for n in range(2, 7):
        users[f"U{n}"] = User(
            f"U{n}", draw.choice(ZONES), by_email=n != 3, offsets=draw.choice(list(OFFSETS)),
            # At no run's own minute, in no zone: twelve hours late, to the second, is either.
            digest_at=time(draw.randrange(24), draw.choice((10, 40))) if n == 4 else None,
        )  # fmt: skip
    history = History(begin, days, users)
    lengths = list(outages)
    share = days * DAY / max(1, len(lengths))
    for n, length in enumerate(lengths):
        room = max(share - length - DAY, HOUR)
        minutes = draw.randrange(int(room / MINUTE))
        history.outages.append((begin + n * share + DAY / 2 + minutes * MINUTE, length))
    _appointments(history, draw)
    _tasks(history, draw)
    _invoices(history, draw)
    return history


def _appointments(history: History, draw: random.Random) -> None:
    ends = [begin + length for begin, length in history.outages]
    near = [end + draw.randrange(-30, 1600) * MINUTE for end in ends for _ in "1234"]
    anywhere = [_instant(history, draw) for _ in range(2 + history.days // 8)]
    for n, start in enumerate(near + anywhere):
        made = start - draw.choice((20 * DAY, 3 * DAY, 5 * HOUR))
        row = {
            "title": f"Visite {n}", "user_id": f"U{draw.randrange(1, 7)}", "starts_at": start,
            "offsets": draw.choice((None, None, *OFFSETS)), "created_at": made,
            "status": "scheduled",
        }  # fmt: skip
        thing = Thing("appointments", f"A{n}", [(made, row)])
        happens = made
        for _ in range(draw.choice((0, 0, 1, 2, 3))):
            happens += draw.randrange(10, 1 + max(11, int((start - made) / MINUTE))) * MINUTE
            what = draw.choice(("moved", "moved back", "cancelled", "set back", "gone"))
            if what == "gone":
                thing.change(happens)
                break
            if what == "moved":
                thing.change(happens, starts_at=start + draw.randrange(-2880, 5760) * MINUTE)
            elif what == "moved back":
                thing.change(happens, starts_at=start)
            else:
                thing.change(happens, status="cancelled" if what == "cancelled" else "scheduled")
        history.things.append(thing)


def _tasks(history: History, draw: random.Random) -> None:
    # Of the one who wishes a digest: it never comes to an end, so that each day has one.
    row = {"title": "À voir", "user_id": "U4", "critical": False, "status": "open"}
    row |= {"due_on": (history.begin - 2 * DAY).date(), "due_at": None}
    history.things.append(Thing("tasks", "T", [(history.begin, row)]))
    for n in range(4 + history.days // 8):
        due = _instant(history, draw)
        with_hour = draw.random() < 0.5
        row = {
            "title": f"Tâche {n}", "user_id": draw.choice((None, "U2", "U3", "U4", "U5")),
            "critical": draw.random() < 0.3, "status": "open",
            "due_on": None if with_hour else due.date(), "due_at": due if with_hour else None,
        }  # fmt: skip
        thing = Thing("tasks", f"T{n}", [(history.begin, row)])
        happens = due - 2 * DAY
        for _ in range(draw.randrange(5)):
            happens += draw.randrange(30, 4 * 1440) * MINUTE
            what = draw.choice(("done", "open", "moved", "snoozed"))
            if what == "moved":
                later = happens + draw.randrange(-1440, 4320) * MINUTE
                if with_hour:
                    thing.change(happens, due_at=later)
                else:
                    thing.change(happens, due_on=later.date())
            elif what == "snoozed":
                thing.change(happens, snoozed_until=happens + draw.randrange(60, 4320) * MINUTE)
            else:
                thing.change(happens, status=what)
        history.things.append(thing)


def _invoices(history: History, draw: random.Random) -> None:
    for n in range(3 + history.days // 12):
        due = _instant(history, draw)
        row = {"due_on": due.date(), "balance": 100, "status": "sent"}
        thing = Thing("invoices", f"F{n}", [(history.begin, {**row, "cycle": 0})])
        happens = due - DAY
        # Each time the payment is taken back.
        for cycle in range(1, 1 + draw.randrange(3)):
            happens += draw.randrange(60, 5 * 1440) * MINUTE
            thing.change(happens, balance=0, status="paid")
            happens += draw.randrange(60, 5 * 1440) * MINUTE
            thing.change(happens, balance=100, status="sent", cycle=cycle)
        if draw.random() < 0.3:
            happens += draw.randrange(60, 5 * 1440) * MINUTE
            thing.change(happens, due_on=happens.date() + draw.randrange(1, 9) * DAY)
        history.things.append(thing)


def _instant(history: History, draw: random.Random) -> datetime:
    first, last = 1440, (history.days - 1) * 1440
    return history.begin + draw.randrange(first, last) * MINUTE
