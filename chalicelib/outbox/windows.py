"""When a message may leave: the hours, days and public holidays of its recipient.

The wall clock decides, also on the days on which it is moved: a window is open when the local time
is in it. So an hour that is skipped opens nothing before its time, and one that comes twice is open
or closed both times.

Public holidays are those of Code du travail L3133-1, with the days of Alsace-Moselle and of the
overseas departments (L3134-13, L3422-2), as the `holidays` library keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# The longest run of closed days in France is four or five; past this the settings are at fault.
SEARCH_DAYS = 31
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Window:
    """Daily opening from `start` to `end` (excluded), local time; `end` must follow `start`, and
    `time.max` is the end of the day. `business_days_only`: Monday to Friday without public
    holidays (*jours ouvrés*); with `saturdays`, Saturdays too (*jours ouvrables*). `subdivision`
    is the `holidays` library's for France (`57`, `974`…); an unknown one has the national days."""

    start: time
    end: time
    business_days_only: bool
    subdivision: str | None = None
    saturdays: bool = False


# Quiet hours end at 8 and begin at 21, every day of the week.
DAYTIME = Window(time(8), time(21), business_days_only=False)


def zone(name: str) -> ZoneInfo | None:
    """The IANA zone, or None when there is no such zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def is_open(instant: datetime, local: ZoneInfo, window: Window) -> bool:
    """Whether a message may leave at `instant` (aware)."""
    here = instant.astimezone(local)
    return window.start <= here.time() < window.end and _is_open_day(here.date(), window)


def next_allowed(instant: datetime, local: ZoneInfo, window: Window) -> datetime | None:
    """The first instant (aware UTC) at or after `instant` at which the window is open, to the
    second; None when it never opens."""
    if window.end <= window.start:
        return None
    if is_open(instant, local, window):
        return instant.astimezone(UTC)
    today = instant.astimezone(local).date()
    for offset in range(SEARCH_DAYS):
        day = today + timedelta(days=offset)
        if not _is_open_day(day, window):
            continue
        for opening in sorted(_openings(day, local, window)):
            if opening >= instant and is_open(opening, local, window):
                return opening
    return None


def is_business_day(day: date, subdivision: str | None) -> bool:
    """Monday to Friday, public holidays of the subdivision excepted."""
    return day.weekday() < 5 and day not in _holidays(day.year, subdivision)


def _is_open_day(day: date, window: Window) -> bool:
    if not window.business_days_only:
        return True
    last = 5 if window.saturdays else 4
    return day.weekday() <= last and day not in _holidays(day.year, window.subdivision)


def _openings(day: date, local: ZoneInfo, window: Window) -> Iterator[datetime]:
    """The instants (UTC) at which the window may open that day: when the clock shows its start,
    once or twice, and when the clock is moved into it."""
    for fold in (0, 1):
        yield datetime.combine(day, window.start, local).replace(fold=fold).astimezone(UTC)
    before = datetime.combine(day, time.min, local).astimezone(UTC) - _SECOND
    after = datetime.combine(day + timedelta(days=1), time.min, local).astimezone(UTC) + _SECOND
    if _offset(before, local) != _offset(after, local):
        yield _clock_change(before, after, local)


def _clock_change(before: datetime, after: datetime, local: ZoneInfo) -> datetime:
    """The first second of the new offset, between two instants (UTC, whole seconds) whose offsets
    differ."""
    old = _offset(before, local)
    while after - before > _SECOND:
        middle = before + timedelta(seconds=(after - before) // _SECOND // 2)
        if _offset(middle, local) == old:
            before = middle
        else:
            after = middle
    return after


def _offset(instant: datetime, local: ZoneInfo) -> timedelta | None:
    return instant.astimezone(local).utcoffset()


@lru_cache(maxsize=64)
def _holidays(year: int, subdivision: str | None) -> frozenset[date]:
    from holidays.countries.france import France

    known = subdivision if subdivision in France.subdivisions else None
    return frozenset(France(subdiv=known, years=year))  # type: ignore[no-untyped-call]  # untyped library
