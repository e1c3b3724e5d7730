from __future__ import annotations

import os
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import SettingsError
from chalicelib.runner.schedule import DueSlots, Schedule
from tests.runner.brute_force import (
    ZONES,
    at,
    changes,
    check_case,
    minute_by_minute,
    minute_of,
    random_case,
    slots,
)

EXAMPLES = int(os.environ.get("PONCTUEL_EXAMPLES", "150"))
PARIS = ZoneInfo("Europe/Paris")
PARIS_CHANGE_DAYS = [
    local
    for local in (at(minute).astimezone(PARIS) for minute in changes("Europe/Paris"))
    if 2020 <= local.year <= 2040
]


def paris(expression: str) -> Schedule:
    return Schedule.parse(expression, "Europe/Paris")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def midnight(day: datetime, days_later: int = 0) -> datetime:
    """Local midnight in Paris of that day, or days later, in UTC."""
    date = day.replace(tzinfo=None) + timedelta(days=days_later)
    return datetime(date.year, date.month, date.day, tzinfo=PARIS).astimezone(UTC)


@given(st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_schedule_in_any_zone_agrees_with_brute_force(rng: random.Random) -> None:
    expression, zone, instant = random_case(rng)
    Schedule.parse(expression, zone)
    check_case(expression, zone, instant)


@pytest.mark.parametrize("zone", [zone for zone in ZONES if changes(zone)])
def test_brute_force_agrees_with_a_look_at_the_clock_each_minute(zone: str) -> None:
    for change in changes(zone)[1:4]:
        for expression in ("*/20 * * * *", "15 * * * *", "0,45 0-3 * * *", "30 2 * * *"):
            low, high = change - 150, change + 200
            by_the_minute = minute_by_minute(expression, zone, low, high)
            assert list(slots(expression, zone, low, high)) == by_the_minute
            assert list(slots(expression, zone, low, high, back=True))[::-1] == by_the_minute


@pytest.mark.parametrize("time", ["0 0", "59 1", "0 2", "30 2", "59 2", "0 3", "30 3"])
def test_a_daily_job_runs_once_on_each_of_the_42_clock_change_days(time: str) -> None:
    daily = paris(f"{time} * * *")
    runs = [list(daily.between(midnight(day), midnight(day, 1))) for day in PARIS_CHANGE_DAYS]
    assert [len(slots) for slots in runs] == [1] * 42


def test_a_skipped_time_runs_at_the_change_and_a_repeated_one_the_first_time() -> None:
    daily = paris("30 2 * * *")
    assert daily.next_after(utc("2026-03-28T12:00")) == utc("2026-03-29T01:00")  # 03:00 summer time
    assert daily.next_after(utc("2026-10-24T12:00")) == utc("2026-10-25T00:30")  # 02:30 summer time


def test_an_hourly_job_runs_23_24_or_25_times_a_day() -> None:
    for change in PARIS_CHANGE_DAYS:
        counts = [
            len(list(paris("0 * * * *").between(midnight(change, day), midnight(change, day + 1))))
            for day in (-1, 0, 1)
        ]
        assert counts == [24, 23 if change.month == 3 else 25, 24]


def test_inside_a_repeated_hour_the_next_slot_is_never_in_the_past() -> None:
    second_pass = utc("2026-10-25T01:10")  # 02:10 winter time, after 02:10 summer time
    assert paris("45 2 * * *").next_after(second_pass) == utc("2026-10-26T01:45")
    assert paris("45 2 * * *").latest_at(second_pass) == utc("2026-10-25T00:45")
    assert paris("*/15 2 * * *").next_after(second_pass) == utc("2026-10-25T01:15")
    assert paris("*/15 2 * * *").latest_at(second_pass) == utc("2026-10-25T01:00")


def test_a_schedule_of_repeated_hours_only_gives_both_passes_of_each_year_in_order() -> None:
    last_sundays = paris("*/30 2 * 10 0L")
    found = list(last_sundays.between(utc("2025-01-01"), utc("2027-01-01")))
    assert found == [
        utc(f"{day}T{time}")
        for day in ("2025-10-26", "2026-10-25")
        for time in ("00:00", "00:30", "01:00", "01:30")
    ]


def test_the_last_day_of_the_month_is_found_in_every_month() -> None:
    days = paris("0 7 L * *").between(utc("2028-01-01"), utc("2029-01-01"))
    assert [day.day for day in days] == [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    both = [
        day.astimezone(PARIS)
        for day in islice(paris("0 7 1,L * *").between(utc("2027-02-01"), utc("2028-01-01")), 4)
    ]
    assert [(day.month, day.day, day.hour) for day in both] == [
        (2, 1, 7), (2, 28, 7), (3, 1, 7), (3, 31, 7),
    ]  # fmt: skip


def test_the_29th_of_february_is_waited_for() -> None:
    leap_days = paris("0 12 29 2 *")
    years = [day.year for day in leap_days.between(utc("2020-01-01"), utc("2041-01-01"))]
    assert years == [2020, 2024, 2028, 2032, 2036, 2040]
    assert leap_days.next_after(utc("2097-01-01")).year == 2104
    assert leap_days.latest_at(utc("2103-01-01")) == utc("2096-02-29T11:00")


def test_a_restricted_date_and_weekday_are_alternatives_unless_one_starts_with_a_star() -> None:
    august = (utc("2026-08-01"), utc("2026-09-01"))
    either = Schedule.parse("0 12 13 * 5", "UTC").between(*august)
    both = Schedule.parse("0 12 */2 * 5", "UTC").between(*august)
    assert [slot.day for slot in either] == [7, 13, 14, 21, 28]
    assert [slot.day for slot in both] == [7, 21]


@pytest.mark.parametrize(
    "expression",
    ["* * * * *", "*/5 * * * *", "0 * * * *", "0 */6 * * *", "30 0 * * *", "0 7 1,L * *"],
)
def test_cronsim_itself_walks_a_year_of_paris_in_the_same_way(expression: str) -> None:
    start, days = utc("2026-03-28T10:00"), 3 if expression.startswith("*") else 365
    end = start + timedelta(days=days)
    walk = (slot.astimezone(UTC) for slot in CronSim(expression, start.astimezone(PARIS)))
    expected = list(iter(lambda: min(next(walk), end), end))
    assert list(paris(expression).between(start + timedelta(seconds=1), end)) == expected


def test_due_slots_lie_after_what_is_covered_and_include_the_present() -> None:
    hourly = paris("0 * * * *")
    ten, noon = utc("2026-05-04T10:00"), utc("2026-05-04T12:00")
    assert hourly.due(ten, noon) == DueSlots(utc("2026-05-04T11:00"), noon)
    assert hourly.due(ten, utc("2026-05-04T11:30")) == DueSlots(*[utc("2026-05-04T11:00")] * 2)
    assert hourly.due(noon, utc("2026-05-04T12:59:59.999999")) is None
    assert hourly.due(noon, noon) is None
    assert hourly.due(noon, ten) is None


def test_due_slots_of_twenty_years_of_minutes_cost_no_more_than_one() -> None:
    covered, until = utc("2020-01-01"), utc("2040-01-01T00:00:30")
    due = paris("* * * * *").due(covered, until)
    assert due == DueSlots(utc("2020-01-01T00:01"), utc("2040-01-01"))


def test_a_year_of_hours_is_walked_from_its_start_to_before_its_end() -> None:
    year = list(paris("0 * * * *").between(utc("2027-12-31T23:00"), utc("2028-12-31T23:00")))
    assert len(year) == 366 * 24
    assert (year[0], year[-1]) == (utc("2027-12-31T23:00"), utc("2028-12-31T22:00"))


def test_an_instant_of_another_zone_is_the_same_instant_and_answers_are_in_utc() -> None:
    instant = datetime(2026, 7, 1, 23, 30, tzinfo=timezone(timedelta(hours=-10)))
    slot = paris("0 12 * * *").next_after(instant)
    assert slot == utc("2026-07-02T10:00")
    assert slot.tzinfo is UTC


def test_a_naive_datetime_is_refused() -> None:
    naive, aware = datetime(2026, 1, 1), utc("2026-01-01")  # noqa: DTZ001  what is tested
    daily = paris("0 2 * * *")
    for ask in (
        lambda: daily.next_after(naive),
        lambda: daily.latest_at(naive),
        lambda: daily.due(naive, aware),
        lambda: daily.due(aware, naive),
        lambda: next(daily.between(naive, aware)),
        lambda: next(daily.between(aware, naive)),
    ):
        with pytest.raises(ValueError, match="aware"):
            ask()


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "cinq champs"),
        ("@daily", "cinq champs"),
        ("0 0 * *", "cinq champs"),
        ("0 0 0 * * *", "cinq champs"),
        ("60 * * * *", "la minute"),
        ("*/0 * * * *", "la minute"),
        ("0 24 * * *", "l’heure"),
        ("0 0 30 2 *", "le jour du mois"),
        ("0 0 W * *", "le jour du mois"),
        ("0 0 * 13 *", "le mois"),
        ("0 0 * * 8", "le jour de la semaine"),
        ("0 0 * * LUN", "le jour de la semaine"),
        (f"{'9' * 5000} * * * *", "illisible"),
        ("0 0 */30 4 1#5", "ne tombe jamais"),
        ("*/10 2 * 3 0L", "ne tombe jamais"),  # Paris skips that hour
    ],
)
def test_what_is_no_schedule_is_refused_in_french(expression: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as refusal:
        paris(expression)
    assert len(str(refusal.value)) < 250


@pytest.mark.parametrize(
    "zone",
    [
        *("", "Paris", "europe/paris", "Europe", "UTC+1", "x" * 5000, "business"),
        *("../Paris", "/etc/localtime", "localtime", "right/Europe/Paris", "Europe/Paris\0"),
    ],
)
def test_what_is_no_zone_is_refused_in_french(zone: str) -> None:
    with pytest.raises(SettingsError, match="Le fuseau horaire") as refusal:
        Schedule.parse("0 0 * * *", zone)
    assert len(str(refusal.value)) < 250


@given(
    st.one_of(
        st.text(),
        st.lists(st.text(alphabet="0123456789*/-,#LWMONJAN", min_size=1, max_size=6), min_size=5,
                 max_size=5).map(" ".join),
    )
)  # fmt: skip
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    try:
        schedule = paris(text)
    except SettingsError:
        return
    assert schedule.next_after(utc("2026-01-01")) > utc("2026-01-01")


def test_schedules_with_other_spacing_are_equal() -> None:
    assert paris(" 0  10 * *\t1 ") == paris("0 10 * * 1")
    assert len({paris("0 10 * * 1"), paris("0 10 * * 1 ")}) == 1


def test_the_end_of_the_brute_force_window_is_a_whole_minute() -> None:
    assert at(minute_of(utc("2026-01-01T10:00:59.999999"))) == utc("2026-01-01T10:00")


def test_importing_a_schedule_does_not_import_what_reads_it() -> None:
    code = (
        "import sys, chalicelib.runner.schedule, chalicelib.runner.rule;"
        "assert not {'cronsim', 'zoneinfo'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
