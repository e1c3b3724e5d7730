"""The EventBridge rule that wakes a job: a UTC superset of its schedule.

EventBridge rules know neither time zones nor both day fields at once, so the rule only ticks; what
is due at a tick is `Schedule`'s business. A tick too many costs one short invocation.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cron-expressions.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from chalicelib.runner.schedule import Schedule, time_zone

if TYPE_CHECKING:
    from cronsim import CronSim

# The zone of jobs whose slots are computed in each business's own zone.
BUSINESS = "business"

_DAY = 24 * 60
_LATEST_TICK = 60
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_EVERY_DAY = ("*", "*", "?")


def eventbridge_rule(expression: str, zone: str, *, now: datetime | None = None) -> str:
    """`cron(minutes hours day-of-month month day-of-week year)` in UTC, valid for EventBridge.

    For an IANA `zone` every slot has a tick at its very minute, whatever UTC offset the zone uses
    between last year and ten years after `now` (aware, default: the current time). The exception is
    the slot that a skipped hour moves to the instant of the change: its tick follows within 60 min.

    For `zone` "business" ticks come every hour of every day, at the minutes of the schedule if they
    are never more than 30 min apart, otherwise twice an hour on its first minute: whatever a
    business's zone, a slot waits 29 min at most, and not at all where the offset is in whole hours
    and the slot is on that minute.

    Raises SettingsError as `Schedule.parse` does.
    """
    from cronsim import CronSim

    business = zone == BUSINESS
    schedule = Schedule.parse(expression, "UTC" if business else zone)
    cron = CronSim(schedule.expression, datetime(2020, 1, 1))  # noqa: DTZ001  only its fields are read
    if business:
        return _rule(_half_hourly(cron.minutes), range(24), _EVERY_DAY)

    offsets = _offsets_in_use(zone, (now or datetime.now(UTC)).year)
    times = [60 * hour + minute for hour in cron.hours for minute in cron.minutes]
    ticks = {time - offset for time in times for offset in offsets.every}
    for skipped in offsets.skipped:
        if any(skipped.first + _LATEST_TICK < time < skipped.end for time in times):
            ticks.add(skipped.instant)
    # Outside of one UTC day, the UTC date of a tick is not the local date of its slot.
    days = _days(cron) if all(0 <= tick < _DAY for tick in ticks) else _EVERY_DAY
    minutes, hours = {tick % 60 for tick in ticks}, {tick // 60 % 24 for tick in ticks}
    return _rule(minutes, hours, days)


class _SkippedHour(NamedTuple):
    """Minutes that a clock jumps over, [first, end), counted from 0:00 of the local day on which
    it starts; `instant` is the change, counted from 0:00 UTC of that date."""

    first: int
    end: int
    instant: int


class _Offsets(NamedTuple):
    """UTC offsets in minutes, and the clock changes that skip more than the bound on lateness."""

    every: frozenset[int]
    skipped: tuple[_SkippedHour, ...]


@cache
def _offsets_in_use(zone: str, year: int) -> _Offsets:
    """From the year before `year` to ten years after it, sampled weekly: a zone keeps an offset for
    weeks at least (Morocco's Ramadan is the shortest)."""
    clock = time_zone(zone)

    def offset(instant: datetime) -> int:
        shift = instant.astimezone(clock).utcoffset()
        assert shift is not None
        return int(shift.total_seconds()) // 60

    every, skipped = set(), set()
    week = datetime(year - 1, 1, 1, tzinfo=UTC)
    before = offset(week)
    while week.year <= year + 10:
        every.add(before)
        after = offset(week + timedelta(weeks=1))
        if after - before > _LATEST_TICK:
            change = week
            while offset(change) != after:
                change += timedelta(minutes=1)
            local = change + timedelta(minutes=before)
            first = 60 * local.hour + local.minute
            skipped.add(_SkippedHour(first, first + after - before, first - before))
        week, before = week + timedelta(weeks=1), after
    return _Offsets(frozenset(every), tuple(skipped))


def _half_hourly(minutes: Iterable[int]) -> set[int]:
    ordered = sorted(minutes)
    following = [*ordered[1:], ordered[0] + 60]
    if all(later - earlier <= 30 for earlier, later in zip(ordered, following, strict=True)):
        return set(ordered)
    return {ordered[0] % 30, ordered[0] % 30 + 30}


def _days(cron: CronSim) -> tuple[str, str, str]:
    """Day-of-month, month and day-of-week fields that match every day of the schedule.

    EventBridge takes only one of the two day fields. What it cannot say, or does not document
    (`1,L`), becomes every day of the month.
    """
    month = _field(cron.months, range(1, 13))
    if not cron.day_and:  # either day field is enough: together they exceed what a rule can say
        return "*", month, "?"
    weekdays = {day % 7 for day in cron.weekdays if isinstance(day, int)}
    only_weekdays = all(isinstance(day, int) for day in cron.weekdays)
    any_weekday, any_day = len(weekdays) == 7, cron.days.issuperset(range(1, 32))
    if any_day and only_weekdays and not any_weekday:
        return "?", month, _list(weekdays, _WEEKDAYS)
    if any_weekday and cron.days == {cron.LAST}:
        return "L", month, "?"
    if any_weekday and min(cron.days) > 0:
        return _field(cron.days, range(1, 32)), month, "?"
    return "*", month, "?"


def _rule(minutes: Iterable[int], hours: Iterable[int], days: tuple[str, str, str]) -> str:
    minute, hour = _field(minutes, range(60)), _field(hours, range(24))
    return f"cron({minute} {hour} {' '.join(days)} *)"


def _field(values: Iterable[int], domain: range) -> str:
    """The shortest of `*`, `first/step` and a list with ranges."""
    ordered = sorted(values)
    if ordered == list(domain):
        return "*"
    if len(ordered) > 2:
        first, step = ordered[0], ordered[1] - ordered[0]
        if step > 1 and ordered == list(range(first, domain.stop, step)):
            return f"{first}/{step}"
    return _list(ordered, range(domain.stop))


def _list(values: Iterable[int], names: Sequence[object]) -> str:
    """`1,2,5-9`: ranges from three values on; `names` gives what to write for each value."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ",".join(
        f"{names[run[0]]}-{names[run[-1]]}"
        if len(run) > 2
        else ",".join(str(names[value]) for value in run)
        for run in runs
    )
