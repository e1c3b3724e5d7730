"""A provider that fails for everybody is left alone, and found again when it is back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.outbox.circuit import (
    CLOSED,
    Policy,
    failed,
    position,
    retry_at,
    succeeded,
    trial,
)

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
POLICY = Policy()
MINUTE = timedelta(minutes=1)


def opened(now=NOW):
    circuit = CLOSED
    for _ in range(POLICY.threshold):
        circuit = failed(circuit, POLICY, now)
    return circuit


def test_it_opens_after_failures_in_a_row_only():
    circuit = CLOSED
    for _ in range(20):
        for _ in range(POLICY.threshold - 1):
            circuit = failed(circuit, POLICY, NOW)
        assert position(circuit, POLICY, NOW) == "closed"
        circuit = succeeded(circuit)
    assert position(opened(), POLICY, NOW) == "open"


def test_after_its_pause_one_message_tries():
    circuit = opened()
    assert retry_at(circuit, POLICY) == NOW + MINUTE
    assert trial(circuit, POLICY, NOW + MINUTE / 2) is None
    trying = trial(circuit, POLICY, NOW + MINUTE)
    assert trying is not None
    assert position(trying, POLICY, NOW + MINUTE) == "open"
    assert trial(trying, POLICY, NOW + MINUTE) is None


def test_the_answer_of_the_trial_decides():
    circuit = trial(opened(), POLICY, NOW + MINUTE)
    assert circuit is not None
    assert succeeded(circuit, was_trial=True) == CLOSED
    again = failed(circuit, POLICY, NOW + MINUTE, was_trial=True)
    assert retry_at(again, POLICY) == NOW + 3 * MINUTE


def test_a_trial_that_never_answered_is_given_up():
    circuit = trial(opened(), POLICY, NOW + MINUTE)
    assert circuit is not None
    assert trial(circuit, POLICY, NOW + MINUTE + POLICY.trial - timedelta(seconds=1)) is None
    assert trial(circuit, POLICY, NOW + MINUTE + POLICY.trial) is not None


def test_calls_that_were_under_way_change_nothing():
    circuit = opened()
    assert failed(circuit, POLICY, NOW + MINUTE / 2) == circuit
    assert succeeded(circuit) == circuit


def test_nobody_has_to_ask_while_it_is_closed():
    assert trial(CLOSED, POLICY, NOW) is None
    assert retry_at(CLOSED, POLICY) is None


@pytest.mark.parametrize("openings", [1, 2, 7, 1_000])
def test_no_pause_is_longer_than_the_longest(openings):
    circuit = opened()
    for _ in range(openings):
        circuit = failed(circuit, POLICY, NOW, was_trial=True)
    assert NOW < retry_at(circuit, POLICY) <= NOW + POLICY.longest_pause


@given(
    st.integers(0, 6 * 60),
    st.lists(st.integers(20, 300), min_size=1, max_size=5),
)
def test_an_outage_costs_few_calls_and_ends_soon_after_the_provider_is_back(outage, steps):
    back, now, circuit, calls = NOW + outage * MINUTE, NOW, CLOSED, 0
    at_the_latest = back + POLICY.longest_pause + timedelta(seconds=max(steps))
    for step in cycle(steps):
        now += timedelta(seconds=step)
        assert now <= at_the_latest
        was_trial = position(circuit, POLICY, now) != "closed"
        if was_trial:
            trying = trial(circuit, POLICY, now)
            if trying is None:
                continue
            circuit = trying
        if now >= back:
            break
        circuit = failed(circuit, POLICY, now, was_trial=was_trial)
        calls += 1
    assert succeeded(circuit, was_trial=was_trial) == CLOSED
    assert calls <= POLICY.threshold + 6 + outage / 60
