"""When a business may write."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.billing.calendar import next_opening
from chalicelib.outbox.windows import Window, is_business_day, zone

PARIS = ZoneInfo("Europe/Paris")
OFFICE = Window(time(9), time(18), business_days_only=True)
ZONES = (
    "Europe/Paris",
    "Indian/Reunion",
    "America/Martinique",
    "Pacific/Tahiti",
    "Australia/Lord_Howe",
)


def test_an_open_window_is_open_now() -> None:
    now = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
    assert next_opening(now, PARIS, OFFICE) == now


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        (datetime(2026, 3, 10, 20, 0, tzinfo=UTC), datetime(2026, 3, 11, 8, 0, tzinfo=UTC)),
        (datetime(2026, 3, 13, 20, 0, tzinfo=UTC), datetime(2026, 3, 16, 8, 0, tzinfo=UTC)),
        # Easter Monday 2026, and the clock change of the week before
        (datetime(2026, 4, 3, 18, 0, tzinfo=UTC), datetime(2026, 4, 7, 7, 0, tzinfo=UTC)),
        # Friday 1 May, then the week-end
        (datetime(2026, 4, 30, 18, 0, tzinfo=UTC), datetime(2026, 5, 4, 7, 0, tzinfo=UTC)),
        # 8 May 2026 is a Friday too
        (datetime(2026, 5, 7, 18, 0, tzinfo=UTC), datetime(2026, 5, 11, 7, 0, tzinfo=UTC)),
    ],
)
def test_a_closed_window_opens_on_the_next_working_day(now: datetime, opens: datetime) -> None:
    assert next_opening(now, PARIS, OFFICE) == opens


def test_the_abolition_of_slavery_is_a_holiday_in_la_reunion_only() -> None:
    assert not is_business_day(date(2027, 12, 20), "974")
    assert is_business_day(date(2027, 12, 20), None)


def test_good_friday_is_a_holiday_in_alsace_moselle_only() -> None:
    assert not is_business_day(date(2026, 4, 3), "57")
    assert is_business_day(date(2026, 4, 3), None)


def test_an_unknown_subdivision_has_the_common_holidays() -> None:
    assert is_business_day(date(2026, 4, 3), "<script>")
    assert not is_business_day(date(2026, 7, 14), "<script>")


def test_a_window_that_ends_before_it_starts_never_opens() -> None:
    night = Window(time(22), time(6), business_days_only=False)
    assert next_opening(datetime(2026, 3, 10, tzinfo=UTC), PARIS, night) is None


@pytest.mark.parametrize("name", ["", "CET+1", "../etc/passwd", "Europe/Nulle-Part", "\x00"])
def test_what_is_no_zone_is_none(name: str) -> None:
    assert zone(name) is None


@given(
    instant=st.integers(0, 15 * 366 * 24 * 60).map(
        lambda minutes: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    ),
    name=st.sampled_from(ZONES),
    start=st.integers(0, 22),
    length=st.integers(1, 23),
    weekdays=st.booleans(),
)
def test_an_opening_is_the_first_open_minute_at_or_after_the_instant(
    instant: datetime, name: str, start: int, length: int, weekdays: bool
) -> None:
    local = ZoneInfo(name)
    window = Window(time(start), time(min(start + length, 23), 59), weekdays)
    opening = next_opening(instant, local, window)
    assert opening is not None
    assert opening >= instant
    assert _open(opening, local, window)
    if opening > instant:
        # Nothing was open in between: a brute-force look every quarter of an hour.
        quarter = timedelta(minutes=15)
        steps = int((opening - instant) / quarter)
        assert not any(_open(instant + n * quarter, local, window) for n in range(steps))


def _open(instant: datetime, local: ZoneInfo, window: Window) -> bool:
    here = instant.astimezone(local)
    if window.business_days_only and not is_business_day(here.date(), window.subdivision):
        return False
    return window.start <= here.time().replace(tzinfo=None) < window.end
