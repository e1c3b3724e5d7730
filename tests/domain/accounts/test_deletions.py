"""When an account is erased: dates on the user's clock, and what the daily look decides."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.accounts.deletions import (
    LAST_OWNER,
    LEGAL_HOLD,
    NO_USER,
    NOT_TOLD,
    NOTICE,
    SURGE,
    Account,
    Deletion,
    adopted_date,
    follow,
    moved_date,
    obstacle,
    remaining_days,
    scheduled_for,
    scope,
    surge_limit,
    zone_of,
)

PARIS = "Europe/Paris"
NOW = datetime(2026, 3, 10, 1, 0, tzinfo=UTC)
DATE = NOW + timedelta(days=20)
ZONES = [PARIS, "Indian/Reunion", "Pacific/Noumea", "America/Cayenne", "America/Miquelon", "UTC"]

instants = st.integers(1_577_836_800, 2_114_380_800).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=seconds % 999)
)


def account(**changes: object) -> Account:
    """A member of a business that others own, without any date."""
    usual = Account("B1", "U1", True, None, False, 2, 1, False, PARIS)
    return replace(usual, **changes)  # type: ignore[arg-type]  # columns by name


def deletion(**changes: object) -> Deletion:
    usual = Deletion(1, "scheduled", DATE, DATE, None)
    return replace(usual, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "date"),
    [
        # Into summer time: thirty days on the clock are an hour less.
        ("2026-03-10T14:00+01:00", "2026-04-09T14:00+02:00"),
        ("2026-10-10T14:00+02:00", "2026-11-09T14:00+01:00"),
        # 02:30 does not exist on 29 March, and comes twice on 25 October.
        ("2026-02-27T02:30+01:00", "2026-03-29T03:30+02:00"),
        ("2026-09-25T02:30+02:00", "2026-10-25T02:30+01:00"),
        ("2026-01-30T23:59:59.5+01:00", "2026-03-02T00:00:00+01:00"),
    ],
)
def test_thirty_days_end_at_the_same_time_on_the_wall_or_just_after(asked: str, date: str) -> None:
    found = scheduled_for(datetime.fromisoformat(asked), 30, PARIS)
    assert found == datetime.fromisoformat(date)


@given(instants, st.integers(8, 90), st.sampled_from(ZONES))
def test_a_date_is_never_early_on_the_users_clock(now: datetime, days: int, zone: str) -> None:
    local = ZoneInfo(zone)
    found = scheduled_for(now, days, zone)
    wall = now.astimezone(local).replace(tzinfo=None) + timedelta(days=days)
    shown = found.astimezone(local).replace(tzinfo=None)
    assert wall <= shown <= wall + timedelta(hours=1, seconds=1)
    assert found.microsecond == 0


@given(instants, st.timedeltas(timedelta(-4000), timedelta(400)))
def test_an_adopted_account_has_a_notice_whatever_date_the_application_set(
    now: datetime, distance: timedelta
) -> None:
    found = adopted_date(now + distance, now)
    assert found >= now + NOTICE
    assert found >= now + distance
    assert found - max(now + distance, now + NOTICE) < timedelta(seconds=1)


@given(
    instants,
    st.timedeltas(timedelta(-400), timedelta(400)),
    st.timedeltas(timedelta(0), timedelta(90)),
)
def test_a_date_moved_nearer_leaves_the_notice_and_one_moved_away_is_kept(
    now: datetime, distance: timedelta, left: timedelta
) -> None:
    before, wanted = now + left, now + distance
    found = moved_date(wanted, now, before)
    assert found >= wanted
    assert found >= min(before, now + NOTICE)
    assert found <= max(wanted, before) + timedelta(seconds=1)


def test_days_are_midnights_where_the_user_is() -> None:
    date = datetime(2026, 4, 8, 1, 0, tzinfo=UTC)  # 3:00 in Paris, noon in Noumea
    assert remaining_days(date, datetime(2026, 4, 7, 21, 59, tzinfo=UTC), PARIS) == 1
    assert remaining_days(date, datetime(2026, 4, 7, 22, 1, tzinfo=UTC), PARIS) == 0
    assert remaining_days(date, datetime(2026, 4, 7, 21, 59, tzinfo=UTC), "Pacific/Noumea") == 0


def test_an_unusable_zone_falls_back_to_the_businesss_then_to_paris() -> None:
    assert zone_of("Mars/Olympus", "Indian/Reunion") == "Indian/Reunion"
    assert zone_of("../../etc/passwd", "", None) == PARIS


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"held": True}, LEGAL_HOLD),
        ({"known": False}, NO_USER),
        ({"is_owner": True, "others": 1, "owners": 0}, LAST_OWNER),
        ({"is_owner": True, "others": 1, "owners": 1}, None),
        ({"is_owner": True, "others": 0, "owners": 0}, None),
        ({"is_owner": False, "others": 3, "owners": 0}, None),
    ],
)
def test_what_stands_in_the_way(changes: dict[str, object], reason: str | None) -> None:
    assert obstacle(account(**changes)) == reason


def test_the_last_user_takes_the_business_along() -> None:
    assert scope(account(others=0)) == "business"
    assert scope(account(others=1)) == "user"


def test_an_account_without_a_date_is_left_alone() -> None:
    assert follow(account(), NOW) is None


def test_a_date_set_by_the_application_is_adopted() -> None:
    found = follow(account(wanted=DATE), NOW)
    assert found is not None
    assert (found.action, found.state, found.scheduled_at) == ("adopt", "scheduled", DATE)


def test_a_date_that_was_declined_is_not_adopted_again_until_it_changes() -> None:
    assert follow(account(wanted=DATE, declined=DATE), NOW) is None
    found = follow(account(wanted=DATE + timedelta(days=1), declined=DATE), NOW)
    assert found is not None
    assert found.action == "adopt"


def test_a_cleared_date_is_a_cancellation_and_a_locked_one_is_not() -> None:
    found = follow(account(deletion=deletion()), NOW)
    assert found is not None
    assert found.state == "cancelled"
    for state in ("locked", "erasing"):
        assert follow(account(deletion=deletion(state=state)), NOW) is None


def test_a_date_that_the_application_never_held_is_not_cancelled_by_its_absence() -> None:
    assert follow(account(deletion=deletion(wanted_at=None)), NOW) is None


def test_a_moved_date_is_followed() -> None:
    later = DATE + timedelta(days=5)
    found = follow(account(wanted=later, deletion=deletion()), NOW)
    assert found is not None
    assert (found.action, found.scheduled_at, found.wanted_at) == ("move", later, later)


def test_what_blocks_is_noted_once_and_heals_with_a_new_notice() -> None:
    stuck = account(wanted=DATE, is_owner=True, owners=0, deletion=deletion())
    found = follow(stuck, NOW)
    assert found is not None
    assert (found.state, found.blocked_reason) == ("blocked", LAST_OWNER)
    blocked = deletion(state="blocked", blocked_reason=LAST_OWNER)
    assert follow(replace(stuck, deletion=blocked), NOW) is None
    late = NOW + timedelta(days=30)
    healed = follow(account(wanted=DATE, owners=1, is_owner=True, deletion=blocked), late)
    assert healed is not None
    assert (healed.action, healed.state) == ("heal", "scheduled")
    assert healed.scheduled_at == late + NOTICE


def test_what_an_operator_has_to_decide_does_not_heal() -> None:
    for reason in (SURGE, NOT_TOLD):
        blocked = deletion(state="blocked", blocked_reason=reason)
        assert follow(account(wanted=DATE, deletion=blocked), NOW) is None


def test_a_surge_is_five_times_the_usual_day_and_more_than_ten_in_any_case() -> None:
    assert surge_limit([]) == 10
    assert surge_limit([1, 1, 2]) == 10
    assert surge_limit([4, 40, 5]) == 25
