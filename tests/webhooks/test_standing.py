"""A message's state does not depend on the order in which providers tell us about it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.webhooks.events import StatusEvent
from chalicelib.webhooks.standing import (
    NOT_KNOWN_TO_HAVE_LEFT,
    Known,
    Standing,
    moved,
    settled,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)
WHATSAPP = [
    ("accepted", None),
    ("sent", None),
    ("delivered", None),
    ("read", None),
    ("failed", "131026"),
    ("failed", "131049"),
]
MAIL = [
    ("sent", None),
    ("delivered", None),
    ("failed", "bounce_transient"),
    ("failed", "bounce_permanent"),
    ("failed", "suppressed"),
]


def event(state: str, code: str | None = None) -> StatusEvent:
    return StatusEvent("meta", "wamid.1", 1, state, code, NOW, f"{state}:{code}")


def after(state: str, events: list[tuple[str, str | None]]) -> str:
    """The state once these events have come, in their order."""
    now, code = state, None
    for name, why in events:
        new = moved(now, event(name, why), code=code)
        if new is not None:
            now, code = new, why
    return now


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([("sent", None)], "accepted"),
        ([("delivered", None), ("sent", None)], "delivered"),
        ([("read", None), ("delivered", None), ("sent", None)], "read"),
        ([("sent", None), ("failed", "131026")], "failed"),
        ([("failed", "131026"), ("sent", None)], "failed"),
        ([("failed", "131026"), ("delivered", None)], "delivered"),
        ([("read", None), ("failed", "131026")], "read"),
        ([("delivered", None), ("failed", "bounce_permanent")], "failed"),
        ([("failed", "bounce_permanent"), ("delivered", None)], "failed"),
        ([("delivered", None), ("failed", "bounce_transient")], "delivered"),
        ([("failed", "bounce_transient"), ("delivered", None)], "delivered"),
        ([("failed", "bounce_transient"), ("failed", "bounce_permanent")], "failed"),
    ],
)
def test_the_highest_event_decides(events, state):
    assert after("accepted", events) == state


@given(
    st.sampled_from([WHATSAPP, MAIL]).flatmap(
        lambda known: st.lists(st.sampled_from(known), min_size=1, max_size=8)
    ),
    st.sampled_from([*sorted(NOT_KNOWN_TO_HAVE_LEFT), "accepted"]),
    st.data(),
)
def test_no_order_and_no_repetition_changes_the_outcome(events, state, data):
    shuffled = data.draw(st.permutations(events * 2))
    assert after(state, shuffled) == after(state, events)


@given(st.lists(st.sampled_from(WHATSAPP), min_size=1, max_size=6))
def test_our_own_answer_may_come_before_between_or_after_the_events(events):
    outcomes = {
        after("submitting", [*events[:i], ("accepted", None), *events[i:]])
        for i in range(len(events) + 1)
    }
    assert len(outcomes) == 1


@pytest.mark.parametrize("state", sorted(NOT_KNOWN_TO_HAVE_LEFT))
def test_any_event_proves_that_the_provider_took_the_message(state):
    assert moved(state, event("accepted")) == "accepted"
    assert moved(state, event("sent")) == "accepted"
    assert moved(state, event("delivered")) == "delivered"
    assert moved(state, event("failed", "131026")) == "failed"


def test_a_state_of_a_later_version_stays():
    assert moved("archived", event("delivered")) is None


def test_every_state_of_the_ledger_is_known():
    """A state that is not known would never move."""
    ledger = import_module("chalicelib.db.migrations.ledger.0001_ledger").MESSAGES
    (allowed,) = re.findall(r"CHECK \(state IN\s*\(([^)]*)\)", ledger)
    states = set(re.findall(r"'(\w+)'", allowed))
    assert {"planned", "accepted", "delivered"} <= states
    for state in states - {"delivered", "failed"}:
        assert moved(state, event("delivered")) == "delivered"


def brought(now: Standing, events: list[Known]) -> str:
    """The state of a message of which these copies' events came, in their order."""
    before: list[Known] = []
    for told in events:
        now = settled(now, before, told) or now
        before.append(told)
    return now.state


copies = st.builds(
    lambda copy, told: Known(copy, *told),
    st.sampled_from(["A", "B", "C"]),
    st.sampled_from(WHATSAPP),
)
mails = st.builds(
    lambda copy, told: Known(copy, *told), st.sampled_from(["A", "B"]), st.sampled_from(MAIL)
)
beginnings = st.sampled_from(
    [Standing(state, None, None) for state in ("submitting", "uncertain", "planned", "accepted")]
    + [Standing("accepted", None, "A"), Standing("planned", None, "A")]
)


@given(
    st.one_of(st.lists(copies, min_size=1, max_size=8), st.lists(mails, min_size=1, max_size=8)),
    beginnings,
    st.data(),
)
def test_the_events_of_several_copies_may_come_in_any_order_and_again(events, now, data):
    shuffled = data.draw(st.permutations(events * 2))
    assert brought(now, shuffled) == brought(now, events)


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([("A", "failed"), ("B", "sent")], "accepted"),
        ([("A", "sent"), ("B", "sent"), ("A", "failed")], "accepted"),
        ([("A", "delivered"), ("B", "failed")], "delivered"),
        ([("A", "failed"), ("B", "failed")], "failed"),
        ([("B", "read"), ("A", "delivered")], "read"),
    ],
)
def test_the_most_fortunate_copy_counts(events, state):
    told = [Known(copy, name, None) for copy, name in events]
    assert brought(Standing("uncertain", None, None), told) == state


def test_a_late_event_of_a_copy_that_failed_does_not_stop_it_from_being_sent_again():
    failed, late = Known("A", "failed", "131026"), Known("A", "sent", None)
    again = Standing("planned", None, "A")
    assert settled(again, [failed], late) is None
    found = settled(again, [failed], Known("B", "sent", None))
    assert found == Standing("accepted", None, "B")
    assert settled(Standing("archived", None, "A"), [], Known("B", "delivered", None)) is None
