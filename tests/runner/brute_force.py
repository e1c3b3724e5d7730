"""An independent judge of schedules: Debian cron, read minute by minute.

Written from the manual pages, without `cronsim` and without PEP 495's fold: a zone is a list of
pieces with one UTC offset each, a time is a whole number of minutes since 1970 (UTC or local).
`check_case` compares one random case with `chalicelib.runner.schedule`.
"""

from __future__ import annotations

import calendar
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from chalicelib.runner.schedule import DueSlots, Schedule

ZONES = (
    "Europe/Paris",
    "Indian/Reunion",
    "Pacific/Tahiti",
    "America/Martinique",
    "Australia/Lord_Howe",  # half an hour
    "Pacific/Chatham",  # 12:45
    "Antarctica/Troll",  # two hours
    "America/Santiago",  # at midnight
    "Asia/Beirut",  # at midnight
    "Africa/Casablanca",  # backwards for Ramadan
    "Asia/Kolkata",
    "UTC",
)
DAY = 24 * 60
HORIZON = 63 * DAY  # every month's 31st
FIRST_DAY, LAST_DAY = date(2019, 6, 1), date(2041, 6, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()

Names = dict[str, int]
_MONTH_NAMES = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"
MONTHS: Names = {name: number for number, name in enumerate(_MONTH_NAMES.split(), start=1)}
_WEEKDAY_NAMES = "SUN MON TUE WED THU FRI SAT"
WEEKDAYS: Names = {name: number for number, name in enumerate(_WEEKDAY_NAMES.split())}


@dataclass(frozen=True)
class Cron:
    """A parsed expression: its times of day in minutes, and whether a day is one of its days."""

    times: list[int]
    follows_clock: bool
    matches: Callable[[int], bool]


@cache
def day_names(day: int) -> tuple[int, set[str], set[str]]:
    """Of a day since 1970: its month, what its date may be called (`31`, `L`), and its weekday
    (`5`, `5L` if the month's last Friday, `5#2` if the second)."""
    it = date.fromordinal(day + _EPOCH_DAY)
    length, weekday = calendar.monthrange(it.year, it.month)[1], it.isoweekday() % 7
    dates, weekdays = {str(it.day)}, {str(weekday), f"{weekday}#{(it.day - 1) // 7 + 1}"}
    if it.day == length:
        dates.add("L")
    if it.day + 7 > length:
        weekdays.add(f"{weekday}L")
    return it.month, dates, weekdays


@lru_cache(maxsize=4096)
def parse_cron(expression: str) -> Cron:
    """Read five fields by crontab(5), with `L`, `5L` and `5#2` besides."""
    minute, hour, dom, month, dow = expression.upper().split()
    months = values_of(month, 1, 12, MONTHS)
    dates = {term for term in dom.split(",") if term == "L"}
    weekdays = {term.replace("7", "0", 1) for term in dow.split(",") if "L" in term or "#" in term}
    plain_dow = ",".join(term for term in dow.split(",") if "L" not in term and "#" not in term)
    dates |= {str(day) for day in values_of(dom.replace("L", ""), 1, 31, {})}
    weekdays |= {str(day % 7) for day in values_of(plain_dow, 0, 7, WEEKDAYS)}
    both = dom.startswith("*") or dow.startswith("*")

    def matches(day: int) -> bool:
        its_month, its_dates, its_weekdays = day_names(day)
        if its_month not in months:
            return False
        by_dom, by_dow = not dates.isdisjoint(its_dates), not weekdays.isdisjoint(its_weekdays)
        return by_dom and by_dow if both else by_dom or by_dow

    hours, minutes = values_of(hour, 0, 23, {}), values_of(minute, 0, 59, {})
    times = [60 * h + m for h in sorted(hours) for m in sorted(minutes)]
    return Cron(times, minute.startswith("*") or hour.startswith("*"), matches)


def values_of(field: str, low: int, high: int, names: Names) -> set[int]:
    values: set[int] = set()
    for term in filter(None, field.split(",")):
        span, _, step = term.partition("/")
        first, dash, last = span.partition("-")
        start = low if first == "*" else _number(first, names)
        to_the_end = first == "*" or step
        stop = _number(last, names) if dash else high if to_the_end else start
        values.update(range(start, stop + 1, int(step or 1)))
    return values


def _number(text: str, names: Names) -> int:
    return names[text] if text in names else int(text)


@dataclass(frozen=True)
class Piece:
    """UTC minutes [start, end) with one offset; the clock had shown all times before `shown`."""

    start: int
    end: int
    offset: int
    shown: int


@cache
def pieces(zone: str) -> list[Piece]:
    """The zone's pieces from FIRST_DAY to LAST_DAY."""
    clock = ZoneInfo(zone)

    def offset(minute: int) -> int:
        shift = at(minute).astimezone(clock).utcoffset()
        assert shift is not None
        return int(shift.total_seconds()) // 60

    found: list[Piece] = []
    start = (FIRST_DAY.toordinal() - _EPOCH_DAY) * DAY
    end = (LAST_DAY.toordinal() - _EPOCH_DAY) * DAY
    current, shown = offset(start), start + offset(start)
    for day in range(start, end, DAY):
        if offset(day + DAY) != current:
            change = next(m for m in range(day, day + DAY + 1) if offset(m) != current)
            found.append(Piece(start, change, current, shown))
            shown = max(shown, change + current)
            start, current = change, offset(change)
    return [*found, Piece(start, end, current, shown)]


def changes(zone: str) -> list[int]:
    """UTC minutes at which the zone's clock is moved."""
    return [piece.start for piece in pieces(zone)[1:]]


def slots(expression: str, zone: str, low: int, high: int, *, back: bool = False) -> Iterator[int]:
    """Slots in UTC minutes [low, high), distinct, in order (or in reverse)."""
    cron, step, last = parse_cron(expression), -1 if back else 1, None
    table = pieces(zone)
    start = bisect_right(table, low, key=lambda piece: piece.start) - 1
    stop = bisect_right(table, high - 1, key=lambda piece: piece.start)
    for piece in table[start:stop][::step]:
        first, end = max(piece.start, low), min(piece.end, high)
        shown_from = first + piece.offset
        if not cron.follows_clock:
            # Once each: nothing that was shown before; what was skipped comes at the change.
            at_change = piece.start == first
            shown_from = piece.shown if at_change else max(shown_from, piece.shown)
        for wall in _times(cron, shown_from, end + piece.offset, step):
            slot = max(wall - piece.offset, first)
            if slot != last:
                yield slot
            last = slot


def _times(cron: Cron, low: int, high: int, step: int) -> Iterator[int]:
    for day in range(low // DAY, (high - 1) // DAY + 1)[::step]:
        if cron.matches(day):
            for time in cron.times[::step]:
                if low <= day * DAY + time < high:
                    yield day * DAY + time


def minute_by_minute(expression: str, zone: str, low: int, high: int) -> list[int]:
    """The definition itself, for short windows: look at the clock each minute, as cron does."""
    cron, clock = parse_cron(expression), ZoneInfo(zone)

    def planned(wall: int) -> bool:
        return wall % DAY in cron.times and cron.matches(wall // DAY)

    def wall_at(minute: int) -> int:
        local = at(minute).astimezone(clock)
        return (local.toordinal() - _EPOCH_DAY) * DAY + local.hour * 60 + local.minute

    found, shown = [], max(wall_at(minute) for minute in range(low - DAY, low))
    for minute in range(low, high):
        wall = wall_at(minute)
        looked_at = [wall] if cron.follows_clock else range(shown + 1, wall + 1)
        if any(planned(time) for time in looked_at):
            found.append(minute)
        shown = max(shown, wall)
    return found


def at(minute: int) -> datetime:
    return _EPOCH + timedelta(minutes=minute)


def minute_of(instant: datetime) -> int:
    """The whole minute at or before `instant`."""
    return (instant - _EPOCH) // timedelta(minutes=1)


def check_case(expression: str, zone: str, instant: datetime) -> None:
    """Compare next_after, latest_at, due and between around `instant` (aware) with brute force.

    Raises AssertionError at the first difference; beyond HORIZON only "nothing nearer" is checked.
    """
    schedule, now = Schedule(expression, zone), minute_of(instant)
    case = f"{expression!r}, {zone!r}, {instant!r}"

    upcoming = list(islice(slots(expression, zone, now + 1, now + HORIZON), 4))
    following = schedule.next_after(instant)
    if upcoming:
        assert following == at(upcoming[0]), case
    else:
        assert following >= at(now + HORIZON), case

    latest = schedule.latest_at(instant)
    expected = next(slots(expression, zone, now - HORIZON, now + 1, back=True), None)
    if expected is not None:
        assert latest == at(expected), case
    else:
        assert latest is None or latest < at(now - HORIZON), case

    span = (1, 31, 90, 26 * 60, 40 * DAY)[now % 5]
    first = next(slots(expression, zone, now - span + 1, now + 1), None)
    due = None if first is None or expected is None else DueSlots(at(first), at(expected))
    assert schedule.due(instant - timedelta(minutes=span), instant) == due, case

    end = at(upcoming[-1] if upcoming else now + 1)
    distinct = list(schedule.between(instant + timedelta(microseconds=1), end))
    assert distinct == [at(minute) for minute in upcoming[:-1]], case


def random_case(rng: random.Random) -> tuple[str, str, datetime]:
    """A valid (expression, zone, instant) between 2020 and 2040, every second one within a day of
    a clock change, if the zone has any."""
    zone = rng.choice(ZONES)
    minute = rng.choice(("*", "0", "30", "*/5", "*/7", "*/15", "0,30", "15", "5-50/9", "1-3,59"))
    hour = rng.choice(("*", "*/6", "*/2", "0", "1", "2", "3", "0-3", "2,3", "10", "23", "1-23/2"))
    dom = rng.choice(("*", "*", "*", "*", "1", "L", "1,L", "2", "31", "28-31", "*/2", "29"))
    month = rng.choice(("*", "*", "*", "*", "*", "3,10", "*/3", "FEB", "APR-OCT", "1"))
    dow = rng.choice(("*", "*", "*", "*", "1", "0", "7", "MON-FRI", "*/2", "0L", "5#2", "1,0L"))
    if dom == "31" and month == "FEB":
        dom = "L"
    january = datetime(rng.choice(range(2020, 2041)), 1, 1, tzinfo=UTC)
    instant = january + timedelta(minutes=rng.randrange(365 * DAY))
    near = changes(zone)[1:-1]
    if near and rng.random() < 0.5:
        reach = rng.choice((90, 180, DAY))
        instant = at(rng.choice(near) + rng.randrange(-reach, reach))
    return (
        f"{minute} {hour} {dom} {month} {dow}",
        zone,
        instant + timedelta(seconds=rng.choice((0, 0, 0, 1, 59.999999))),
    )
