"""No rate is exceeded, and none is left unused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.outbox.rates import (
    Bucket,
    Rate,
    backoff,
    drained,
    full,
    give_back,
    refilled,
    seconds_until,
    take,
)

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
rates = st.builds(Rate, st.floats(0.01, 500), st.integers(1, 200))
pauses = st.lists(
    st.tuples(
        st.integers(0, 10_000_000).map(lambda n: timedelta(microseconds=n)), st.integers(0, 50)
    ),
    max_size=30,
)


@given(rates, pauses)
def test_no_stretch_of_time_lets_more_through_than_its_rate_and_one_burst(rate, calls):
    bucket, now, sent = full(rate, NOW), NOW, 0
    for pause, wanted in calls:
        now += pause
        granted, bucket = take(bucket, rate, now, wanted)
        assert 0 <= granted <= wanted
        sent += granted
    elapsed = (now - NOW).total_seconds()
    assert sent <= rate.burst + rate.per_second * elapsed + 1e-6


@given(rates, st.integers(1, 50))
def test_after_the_wait_that_was_announced_the_message_may_leave(rate, wanted):
    wanted = min(wanted, int(rate.burst))
    empty = drained(full(rate, NOW), NOW)
    assert take(empty, rate, NOW)[0] == 0
    wait = seconds_until(empty, rate, NOW, wanted)
    then = NOW + timedelta(seconds=wait) + timedelta(microseconds=1)
    assert take(empty, rate, then, wanted)[0] == wanted
    assert seconds_until(empty, rate, then, wanted) == 0


def test_ten_tenths_of_a_second_are_a_second():
    rate = Rate(per_second=1, burst=1)
    bucket, now = Bucket(0.0, NOW), NOW
    for _ in range(10):
        now += timedelta(milliseconds=100)
        bucket = refilled(bucket, rate, now)
    assert take(bucket, rate, now)[0] == 1


@given(rates, st.integers(1, 3600))
def test_a_clock_that_goes_back_gives_nothing(rate, seconds):
    empty = drained(full(rate, NOW), NOW)
    before = NOW - timedelta(seconds=seconds)
    granted, after = take(empty, rate, before, 10)
    assert (granted, after) == (0, empty)
    assert seconds_until(empty, rate, before) >= seconds


def test_a_burst_that_is_lowered_counts_at_once():
    bucket = full(Rate(10, 100), NOW)
    assert take(bucket, Rate(10, 5), NOW, 50)[0] == 5


def test_what_did_not_leave_is_given_back_up_to_a_burst():
    rate = Rate(1, 10)
    _, bucket = take(full(rate, NOW), rate, NOW, 8)
    assert give_back(bucket, rate, 3).tokens == 5
    assert give_back(bucket, rate, 300).tokens == 10


@pytest.mark.parametrize(
    ("per_second", "burst"), [(0, 1), (-1, 1), (1, 0.5), (float("inf"), 1), (float("nan"), 1)]
)
def test_a_rate_that_lets_nothing_through_is_refused(per_second, burst):
    with pytest.raises(ValueError, match="rate"):
        Rate(per_second, burst)


@given(st.integers(1, 10_000), st.floats(0, 1), st.none() | st.floats(0, 1e6))
def test_a_wait_grows_to_its_limit_and_never_comes_before_what_was_asked(attempts, chance, asked):
    wait = backoff(attempts, first=30, longest=21_600, chance=chance, retry_after=asked)
    assert wait >= max(15.0, asked or 0.0)
    assert wait <= max(21_600 * 1.5, asked or 0.0)
    later = backoff(attempts + 1, first=30, longest=21_600, chance=chance, retry_after=asked)
    assert later >= wait


def test_two_senders_do_not_come_back_together():
    waits = {backoff(3, first=30, longest=3600, chance=chance) for chance in (0, 0.5, 1)}
    assert waits == {60, 120, 180}
