from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import SettingsError
from chalicelib.runner.rule import BUSINESS, eventbridge_rule
from chalicelib.runner.schedule import Schedule
from tests.runner.brute_force import DAY, ZONES, at, changes, minute_of, parse_cron, random_case
from tests.runner.eventbridge import MAX_LENGTH, parse_rule

EXAMPLES = int(os.environ.get("PONCTUEL_EXAMPLES", "150"))
NOW = datetime(2026, 6, 1, tzinfo=UTC)

# The schedules of the jobs, and the rules that they become.
JOBS = [
    ("* * * * *", "Europe/Paris", "cron(* * * * ? *)"),
    ("*/5 * * * *", "Europe/Paris", "cron(0/5 * * * ? *)"),
    ("*/15 * * * *", "Europe/Paris", "cron(0/15 * * * ? *)"),
    ("0 * * * *", "Europe/Paris", "cron(0 * * * ? *)"),
    ("0 2 * * *", "Europe/Paris", "cron(0 0,1 * * ? *)"),
    ("0 4 * * *", "Europe/Paris", "cron(0 2,3 * * ? *)"),
    ("0 */6 * * *", "Europe/Paris", "cron(0 4,5,10,11,16,17,22,23 * * ? *)"),
    ("0 10 * * 1", "UTC", "cron(0 10 ? * MON *)"),
    ("15 * * * *", BUSINESS, "cron(15,45 * * * ? *)"),
    ("0 10 * * *", BUSINESS, "cron(0,30 * * * ? *)"),
    ("30 0 * * *", BUSINESS, "cron(0,30 * * * ? *)"),
    ("0 9 * * *", BUSINESS, "cron(0,30 * * * ? *)"),
    ("0 7 2 * *", BUSINESS, "cron(0,30 * * * ? *)"),
    ("0 7 1,L * *", BUSINESS, "cron(0,30 * * * ? *)"),
]


def lateness(rule: str, slot: datetime) -> int:
    """Minutes from a slot to the first tick that can see it."""
    return parse_rule(rule).first_from(minute_of(slot)) - minute_of(slot)


def bound(zone: str, slot: datetime) -> int:
    """What `eventbridge_rule` promises: on the minute, save at a clock change."""
    return 60 if minute_of(slot) in changes(zone) else 0


@pytest.mark.parametrize(("expression", "zone", "rule"), JOBS)
def test_a_job_has_a_readable_rule(expression: str, zone: str, rule: str) -> None:
    assert eventbridge_rule(expression, zone, now=NOW) == rule


@pytest.mark.parametrize(("expression", "zone", "rule"), JOBS)
def test_a_job_ticks_after_each_slot_around_every_clock_change(
    expression: str, zone: str, rule: str
) -> None:
    for place in ZONES[:4] if zone == BUSINESS else [zone]:
        schedule = Schedule(expression, place)
        for change in changes("Europe/Paris"):
            # The minutes are the same all day: the hours around the change are enough.
            reach = 5 * 60 if expression.startswith("*") else DAY
            for slot in schedule.between(at(change - reach), at(change + reach)):
                assert lateness(rule, slot) <= (29 if zone == BUSINESS else bound(place, slot))


@pytest.mark.parametrize(("expression", "zone", "rule"), JOBS)
def test_a_job_ticks_after_each_slot_of_a_leap_year(expression: str, zone: str, rule: str) -> None:
    start = datetime(2028, 1, 1, tzinfo=UTC)
    for place in ("Europe/Paris", "Pacific/Tahiti") if zone == BUSINESS else [zone]:
        days = 20 if expression.startswith("*") else 366
        for slot in Schedule(expression, place).between(start, start + timedelta(days=days)):
            # Not even late, where the offset is in whole hours.
            assert lateness(rule, slot) <= bound(place, slot)


@given(st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_schedule_in_any_zone_has_a_tick_in_time(rng: random.Random) -> None:
    expression, zone, instant = random_case(rng)
    rule = eventbridge_rule(expression, zone, now=instant)
    everywhere = eventbridge_rule(expression, BUSINESS, now=instant)
    schedule = Schedule(expression, zone)
    for slot in (schedule.next_after(instant), schedule.latest_at(instant)):
        assert slot is not None
        assert lateness(everywhere, slot) <= 29
        if abs(slot - instant) < timedelta(days=300):
            assert lateness(rule, slot) <= bound(zone, slot)


@given(st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES, deadline=None)
def test_in_utc_the_hours_of_a_rule_are_those_of_its_schedule(rng: random.Random) -> None:
    expression, _, instant = random_case(rng)
    minutes = ",".join(str(minute) for minute in rng.sample(range(60), rng.randint(1, 60)))
    expression = " ".join([minutes, *expression.split()[1:]])
    rule, cron = parse_rule(eventbridge_rule(expression, "UTC")), parse_cron(expression)
    assert rule.times == cron.times
    today = minute_of(instant) // DAY
    assert all(rule.matches(day) for day in range(today, today + 70) if cron.matches(day))


@pytest.mark.parametrize(
    ("expression", "zone", "rule"),
    [
        ("0 10 * * 1-5", "Europe/Paris", "cron(0 8,9 ? * MON-FRI *)"),
        ("0 10 * * 0,6,7", "Europe/Paris", "cron(0 8,9 ? * SUN,SAT *)"),
        ("0 7 L */3 *", "Europe/Paris", "cron(0 5,6 L 1/3 ? *)"),
        ("0 7 15 JAN,JUL *", "Europe/Paris", "cron(0 5,6 15 1,7 ? *)"),
        ("0 10 * * *", "Asia/Kolkata", "cron(30 4 * * ? *)"),
        ("0 10 * * *", "Pacific/Marquesas", "cron(30 19 * * ? *)"),
        ("0 10 * * *", "Africa/Casablanca", "cron(0 9,10 * * ? *)"),
    ],
)
def test_a_rule_keeps_the_days_that_it_can_say(expression: str, zone: str, rule: str) -> None:
    assert eventbridge_rule(expression, zone, now=NOW) == rule


@pytest.mark.parametrize(
    ("expression", "zone", "rule"),
    [
        ("0 1 1 1 *", "Europe/Paris", "cron(0 0,23 * * ? *)"),  # 31 December in UTC
        ("0 20 * * 5", "Pacific/Tahiti", "cron(0 6 * * ? *)"),  # Saturday in UTC
        ("0 7 1,L 3 *", "Europe/Paris", "cron(0 5,6 * 3 ? *)"),
        ("0 7 13 * 5", "UTC", "cron(0 7 * * ? *)"),  # the 13th or a Friday
        ("0 7 1-31 * 5", "UTC", "cron(0 7 * * ? *)"),
        ("0 7 13 * 0-6", "UTC", "cron(0 7 * * ? *)"),
        ("0 7 */2 * 5", "UTC", "cron(0 7 * * ? *)"),
        ("0 7 * * 5L", "UTC", "cron(0 7 * * ? *)"),
        ("0 7 LW * *", "UTC", "cron(0 7 * * ? *)"),
    ],
)
def test_a_rule_drops_the_days_that_it_cannot_say(expression: str, zone: str, rule: str) -> None:
    assert eventbridge_rule(expression, zone, now=NOW) == rule


@pytest.mark.parametrize(
    ("minutes", "field"),
    [
        ("0-59", "*"),
        ("*/20", "0/20"),
        ("7-59/13", "7/13"),
        ("10,20,30", "10,20,30"),
        ("30,0", "0,30"),
        ("5,50-59,7,6", "5-7,50-59"),
        ("1,2,4", "1,2,4"),
        ("50-59", "50-59"),
    ],
)
def test_minutes_are_written_in_the_shortest_way(minutes: str, field: str) -> None:
    assert eventbridge_rule(f"{minutes} 8 * * *", "UTC") == f"cron({field} 8 * * ? *)"


@pytest.mark.parametrize(
    ("zone", "year", "hours"),
    [
        ("America/Sao_Paulo", 2020, "12,13"),  # summer time ended in February 2019
        ("America/Sao_Paulo", 2021, "13"),
        ("Europe/Moscow", 2004, "6,7"),  # a new offset for all year in 2014
        ("Pacific/Apia", 2005, "10,20,21"),  # skipped 30 December 2011: 10:00 UTC is the change
    ],
)
def test_a_rule_knows_the_offsets_of_last_year_and_of_the_next_ten(
    zone: str, year: int, hours: str
) -> None:
    rule = eventbridge_rule("0 10 * * *", zone, now=datetime(year, 6, 1, tzinfo=UTC))
    assert rule == f"cron(0 {hours} * * ? *)"


def test_a_clock_that_skips_two_hours_gets_a_tick_at_the_change() -> None:
    assert eventbridge_rule("45 2 * * *", "Antarctica/Troll", now=NOW) == "cron(0,45 0-2 * * ? *)"


@pytest.mark.parametrize(
    ("expression", "rule"),
    [
        ("*/5 10 * * *", "cron(0/5 * * * ? *)"),
        ("*/20 * * * *", "cron(0/20 * * * ? *)"),
        ("10,40 8 * * 1", "cron(10,40 * * * ? *)"),
        ("50 8 1 1 *", "cron(20,50 * * * ? *)"),
        ("0,5 8 * * *", "cron(0,30 * * * ? *)"),
        ("0,29 8 * * *", "cron(0,30 * * * ? *)"),
    ],
)
def test_a_rule_for_every_zone_ticks_each_half_hour_or_as_often_as_the_schedule(
    expression: str, rule: str
) -> None:
    assert eventbridge_rule(expression, BUSINESS) == rule


def test_the_longest_rule_is_still_accepted() -> None:
    def pairs(first: int, last: int) -> str:
        """Neighbours by two: too short for a range, so nothing takes more room."""
        return ",".join(str(n) for n in range(first, last + 1) if (n - first) % 3 < 2)

    expression = f"{pairs(1, 59)} {pairs(0, 23)} {pairs(1, 31)} {pairs(1, 12)} *"
    rule = eventbridge_rule(expression, "UTC")
    assert rule == f"cron({expression[:-2]} ? *)"
    assert 230 < len(rule) <= MAX_LENGTH


def test_a_rule_for_what_is_no_schedule_or_no_zone_is_refused() -> None:
    for expression, zone in (("61 * * * *", BUSINESS), ("0 0 * *", "UTC"), ("0 0 * * *", "Paris")):
        with pytest.raises(SettingsError):
            eventbridge_rule(expression, zone)
