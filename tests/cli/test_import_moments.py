"""Moments as they are written, on the clock of a zone: never a silent shift."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cli.imports.dates import DateError
from cli.imports.moments import Clock, parse_clock, parse_day_and_clock, parse_moment

PARIS = ZoneInfo("Europe/Paris")
ZONES = sorted(available_timezones() - {"localtime"})
zones = st.sampled_from(ZONES).map(ZoneInfo)
walls = st.builds(
    datetime.combine,
    st.dates(date(2000, 1, 2), date(2100, 12, 30)),
    st.times().map(lambda clock: clock.replace(microsecond=0)),
)
FORMS = ("%d/%m/%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%d.%m.%Y à %H:%M:%S")


@pytest.mark.parametrize(
    "text",
    [
        "15/12/2026 14:30", "15/12/2026 14h30", "15/12/2026 à 14 h 30", "15.12.26, 14:30",
        "2026-12-15T14:30", "2026-12-15 14:30:00", "2026-12-15T14:30:00.000", "15/12/2026 2:30 PM",
        "15 décembre 2026 à 14h30", "mardi 15 déc. 2026 14:30", "15/12/2026 02:30 p.m.",
        "2026-12-15T13:30Z", "2026-12-15T13:30:00.000Z", "2026-12-15T15:30+02:00",
        "2026-12-15 08:30 -0500", "15/12/2026 13:30 UTC", "15/12/2026 14:30 GMT+01",
        " 15/12/2026  14:30 ",
    ],
)  # fmt: skip
def test_a_moment_is_read_in_the_ways_it_is_written(text: str) -> None:
    assert parse_moment(text, PARIS) == datetime(2026, 12, 15, 13, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("15/12/2026", "n'a pas d'heure"),
        ("15/12/2026 25:00", "heure possible"),
        ("15/12/2026 24:00", "heure possible"),
        ("15/12/2026 14:60", "heure possible"),
        ("15/12/2026 13:30 PM", "heure possible"),
        ("15/12/2026 0 PM", "heure possible"),
        ("30/02/2026 14:30", "n'existe pas au calendrier"),
        ("01/01/1970 14:30", "l'année doit être entre"),
        ("2026-12-15T14:30+25:00", "décalage horaire impossible"),
        ("2026-12-15T14:30+01:75", "décalage horaire impossible"),
        ("46371,604", "n'est pas une date"),
        ("=MAINTENANT()", "n'est pas une date"),
        ("demain 14h", "n'est pas une date"),
        ("14:30", "n'est pas une date"),
        ("", "n'est pas une date"),
    ],
)
def test_what_is_no_moment_is_refused(text: str, reason: str) -> None:
    with pytest.raises(DateError, match=reason):
        parse_moment(text, PARIS)


def test_an_hour_that_is_passed_over_or_comes_twice_needs_its_offset() -> None:
    with pytest.raises(DateError, match=r"« 29/03/2026 02:30 » n'existe pas \(Europe/Paris\)"):
        parse_moment("29/03/2026 02:30", PARIS)
    with pytest.raises(DateError, match=r"existe deux fois.*2026-10-25T02:30\+02:00 ou \+01:00"):
        parse_moment("25/10/2026 2h30", PARIS)
    assert parse_moment("2026-10-25T02:30+01:00", PARIS).hour == 1
    assert parse_moment("2026-10-25T02:30+02:00", PARIS).hour == 0
    assert parse_moment("25/10/2026 02:30", ZoneInfo("Indian/Reunion")).hour == 22


def test_a_day_alone_has_no_hour() -> None:
    for text in ("15/12/2026", "15 décembre 2026", "15 décembre 26", "2026-12-15"):
        assert parse_day_and_clock(text) == (date(2026, 12, 15), None)


def test_an_hour_alone_is_read_too() -> None:
    assert parse_clock("9h") == parse_clock("09:00") == parse_clock("9 AM") == Clock(time(9))
    assert parse_clock("30/12/1899 14:30:00") == Clock(time(14, 30))
    assert parse_clock("12:15 am") == Clock(time(0, 15))
    assert parse_clock("14:30+02:00") == Clock(time(14, 30), timedelta(hours=2))
    for text in ("9", "midi", "0,604", "15/12/2026", ""):
        with pytest.raises(DateError, match="n'est pas une heure"):
            parse_clock(text)


def test_a_file_that_writes_months_first_is_not_misread() -> None:
    with pytest.raises(DateError, match="mois/jour"):
        parse_moment("04/03/2026 10:00", PARIS, month_first_seen=True)


@settings(max_examples=300)
@given(walls, zones, st.sampled_from(FORMS))
def test_the_clock_of_the_zone_shows_what_was_written_or_it_is_refused(
    wall: datetime, zone: ZoneInfo, form: str
) -> None:
    try:
        found = parse_moment(wall.strftime(form), zone)
    except DateError:
        # Only where the clock is moved.
        offsets = {wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
        assert len(offsets) == 2
    else:
        assert found.tzinfo is UTC
        assert found.astimezone(zone).replace(tzinfo=None) == wall
        # No other instant is shown so.
        for fold in (0, 1):
            assert wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) == found


@settings(max_examples=300)
@given(walls, zones, st.integers(-14 * 60, 14 * 60))
def test_an_offset_is_taken_at_its_word(wall: datetime, zone: ZoneInfo, minutes: int) -> None:
    written = wall.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_moment(written.isoformat(), zone) == written


@settings(max_examples=200)
@given(walls, zones)
def test_the_days_on_which_clocks_are_moved_are_met(wall: datetime, zone: ZoneInfo) -> None:
    """Every half hour around the move reads as itself or not at all."""
    start = datetime(wall.year, 1, 1, tzinfo=UTC)
    moved = [
        day
        for day in (start + timedelta(days=n) for n in range(1, 365))
        if day.astimezone(zone).utcoffset()
        != (day + timedelta(days=1)).astimezone(zone).utcoffset()
    ]
    assume(moved)
    for half in range(-24, 96):
        local = (moved[0].replace(tzinfo=None)) + timedelta(minutes=30 * half)
        try:
            found = parse_moment(local.isoformat(), zone)
        except DateError:
            continue
        assert found.astimezone(zone).replace(tzinfo=None) == local
