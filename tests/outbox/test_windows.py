"""A message leaves in its recipient's hours, also on the days on which the clock is moved."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.outbox.windows import Window, is_business_day, is_open, next_allowed, zone

PARIS = ZoneInfo("Europe/Paris")
OFFICE = Window(time(9), time(18), business_days_only=True)
DAYTIME = Window(time(8), time(20), business_days_only=True, saturdays=True)
# Clocks are moved by an hour, by half an hour, at midnight, and not at all.
ZONES = (
    "Europe/Paris",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Miquelon",
    "Indian/Reunion",
    "Pacific/Tahiti",
)
MINUTE = timedelta(minutes=1)


def paris(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=PARIS)


@pytest.mark.parametrize(
    ("now", "leaves"),
    [
        (paris(2026, 3, 10, 9, 0), paris(2026, 3, 10, 9, 0)),
        (paris(2026, 3, 10, 17, 59), paris(2026, 3, 10, 17, 59)),
        (paris(2026, 3, 10, 18, 0), paris(2026, 3, 11, 9, 0)),
        (paris(2026, 3, 13, 20, 0), paris(2026, 3, 16, 9, 0)),  # over the week-end
        (paris(2026, 4, 3, 20, 0), paris(2026, 4, 7, 9, 0)),  # Easter Monday
        (paris(2026, 12, 31, 20, 0), paris(2027, 1, 4, 9, 0)),  # 1 January is a Friday
        (paris(2026, 3, 28, 20, 0), paris(2026, 3, 30, 9, 0)),  # the clock goes forward
        (paris(2026, 10, 24, 20, 0), paris(2026, 10, 26, 9, 0)),  # the clock goes back
    ],
)
def test_office_hours_are_those_of_the_recipient(now, leaves):
    assert next_allowed(now, PARIS, OFFICE) == leaves


def test_the_same_instant_is_day_for_one_and_night_for_another():
    noon = paris(2026, 3, 10, 12, 0)
    tahiti = ZoneInfo("Pacific/Tahiti")
    assert next_allowed(noon, PARIS, OFFICE) == noon
    assert next_allowed(noon, tahiti, OFFICE) == datetime(2026, 3, 10, 9, tzinfo=tahiti)


def test_a_saturday_counts_only_where_it_is_said():
    saturday = paris(2026, 3, 14, 10, 0)
    assert next_allowed(saturday, PARIS, DAYTIME) == saturday
    assert next_allowed(saturday, PARIS, OFFICE) == paris(2026, 3, 16, 9, 0)
    assumption = paris(2026, 8, 15, 10, 0)  # 15 August 2026 is a Saturday
    assert next_allowed(assumption, PARIS, DAYTIME) == paris(2026, 8, 17, 8, 0)


@pytest.mark.parametrize(
    ("day", "subdivision", "works"),
    [
        (date(2026, 4, 3), None, True),
        (date(2026, 4, 3), "57", False),  # Good Friday in Moselle
        (date(2026, 12, 18), None, True),
        (date(2026, 12, 21), "974", True),
        (date(2027, 12, 20), "974", False),  # abolition of slavery in La Réunion
        (date(2027, 12, 20), "unknown", True),
        (date(2026, 7, 14), "unknown", False),
    ],
)
def test_holidays_are_those_of_the_place(day, subdivision, works):
    assert is_business_day(day, subdivision) is works


@pytest.mark.parametrize(
    ("start", "end", "opens"),
    [
        # 29 March 2026: 02:00 becomes 03:00, at 01:00 UTC
        (time(1, 30), time(4), datetime(2026, 3, 29, 0, 30, tzinfo=UTC)),
        (time(2, 30), time(4), datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        (time(2, 30), time(3, 15), datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        (time(2, 10), time(2, 50), datetime(2026, 3, 30, 0, 10, tzinfo=UTC)),
    ],
)
def test_an_hour_that_is_skipped_opens_nothing_outside_its_window(start, end, opens):
    window = Window(start, end, business_days_only=False)
    assert next_allowed(datetime(2026, 3, 28, 23, 0, tzinfo=UTC), PARIS, window) == opens


def test_an_hour_that_comes_twice_is_open_both_times():
    window = Window(time(2, 15), time(2, 45), business_days_only=False)
    first = datetime(2026, 10, 25, 0, 15, tzinfo=UTC)
    assert next_allowed(first - MINUTE, PARIS, window) == first
    between = first + 30 * MINUTE
    assert next_allowed(between, PARIS, window) == first + 60 * MINUTE


def test_a_window_until_the_end_of_the_day_is_closed_for_no_minute():
    window = Window(time.min, time.max, business_days_only=False)
    late = paris(2026, 3, 10, 23, 59)
    assert next_allowed(late, PARIS, window) == late


@pytest.mark.parametrize("end", [time(6), time(22)])
def test_a_window_that_ends_before_it_starts_never_opens(end):
    assert next_allowed(paris(2026, 3, 10), PARIS, Window(time(22), end, False)) is None


@pytest.mark.parametrize("name", ["", "CET+1", "../etc/passwd", "Europe/Nulle-Part", "\x00"])
def test_what_is_no_zone_is_none(name):
    assert zone(name) is None


minutes = st.integers(0, 24 * 60 - 1).map(lambda number: time(number // 60, number % 60))
# Around the changes of clock of 2026 and 2027, and on other days.
days = st.sampled_from(
    (
        "2026-03-29 2026-10-25 2026-04-05 2026-10-04 2026-04-24 2026-10-30 "
        "2026-03-08 2026-11-01 2026-05-14 2027-01-01"
    ).split()
)


@given(days, st.integers(-1500, 1500), st.sampled_from(ZONES), minutes, minutes, st.integers(0, 2))
@example("2026-10-30", -60, "Africa/Cairo", time(0), time(0, 30), 0)
def test_the_first_open_minute_is_found_on_any_day(day, shift, name, start, end, kind):
    local, window = ZoneInfo(name), Window(start, end, kind > 0, saturdays=kind > 1)
    instant = datetime.fromisoformat(f"{day}T00:00:00+00:00") + shift * MINUTE
    found = next_allowed(instant, local, window)
    if end <= start:
        assert found is None
        return
    assert found is not None
    assert found >= instant
    assert is_open(found, local, window)
    # A look at each minute before it, for two days at most.
    earlier = min(int((found - instant) / MINUTE), 2 * 24 * 60)
    looked = (instant + n * MINUTE for n in range(0, earlier, max(1, earlier // 300)))
    assert not any(is_open(minute, local, window) for minute in looked)
    if found > instant:
        assert not is_open(found - timedelta(seconds=1), local, window)
