"""When a mailbox is tried again, when it is switched off, and when its owner is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from chalicelib.mailboxes.standing import (
    DISABLED_AFTER,
    DISABLED_COUNT,
    GRAVITY,
    JITTER,
    LONGEST_WAIT,
    TOLD_AFTER,
    Decision,
    Host,
    Standing,
    failed,
    still_to_tell,
    succeeded,
)

NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)
ALONE = Host(1, 1)
TRANSIENT = ("connection", "unavailable", "certificate", "host", "folder")
OURS = ("settings", "oauth_client", "internal")


def fail(
    before: Standing, code: str, *, now: datetime = NOW, host: Host = ALONE, jitter: float = 0
) -> Decision:
    return failed(before, code, "Une phrase.", host, now, jitter=jitter)


def since(past: timedelta, refusals: int = 0, **others: object) -> Standing:
    """In trouble for that long."""
    refused_since = NOW - past if refusals else None
    return replace(
        Standing(failures=5, failing_since=NOW - past),
        refusals=refusals,
        refused_since=refused_since,
        **others,  # type: ignore[arg-type]  # a test's own fields
    )


@pytest.mark.parametrize(
    ("code", "minutes"),
    [
        ("connection", [5, 10, 20, 40, 60, 60]),
        ("credentials", [15, 30, 60, 60]),
        ("oauth_client", [5, 10, 20, 40, 60]),
    ],
)
def test_each_failure_doubles_the_wait_up_to_an_hour(code: str, minutes: list[int]) -> None:
    standing, waits = Standing(), []
    for _ in minutes:
        decision = fail(standing, code)
        standing = decision.standing
        waits.append((decision.next_sync_at - NOW) / timedelta(minutes=1))
    assert waits == minutes
    shortest = fail(Standing(), code, jitter=1).next_sync_at - NOW
    assert shortest == timedelta(minutes=minutes[0]) * (1 - JITTER)


def test_the_waits_of_a_mailbox_that_has_failed_for_years_are_still_numbers() -> None:
    assert fail(Standing(failures=100_000), "connection").next_sync_at - NOW == LONGEST_WAIT


def test_success_forgets_everything_and_waits_for_the_next_tick() -> None:
    troubled = since(timedelta(days=9), 9, error_code="credentials", told_code="credentials")
    assert succeeded(troubled, next_tick=NOW) == Decision(Standing(), NOW)


def test_who_paused_a_mailbox_during_its_sync_finds_it_paused() -> None:
    paused = since(timedelta(days=9), 99, state="paused")
    assert succeeded(paused, next_tick=NOW).standing.state == "paused"
    for code in ("credentials", "reauthorise"):
        decision = fail(paused, code)
        assert decision.standing.state == "paused"
        assert not decision.tell


@pytest.mark.parametrize(
    ("refused_for", "refusals", "host", "state"),
    [
        (DISABLED_AFTER, DISABLED_COUNT - 1, ALONE, "disabled"),
        (DISABLED_AFTER, DISABLED_COUNT - 2, ALONE, "active"),
        (DISABLED_AFTER - timedelta(seconds=1), 500, ALONE, "active"),
        # Three of nine, three of ten, two of two.
        (DISABLED_AFTER, 500, Host(9, 3), "active"),
        (DISABLED_AFTER, 500, Host(10, 3), "disabled"),
        (DISABLED_AFTER, 500, Host(2, 2), "disabled"),
        (DISABLED_AFTER, 500, Host(1000, 301), "active"),
    ],
)
def test_a_mailbox_is_switched_off_by_time_and_count_and_never_with_many_others(
    refused_for: timedelta, refusals: int, host: Host, state: str
) -> None:
    after = fail(since(refused_for, refusals), "credentials", host=host).standing
    assert after.state == state


@pytest.mark.parametrize("code", [*TRANSIENT, *OURS])
def test_only_a_refusal_of_the_credentials_switches_off(code: str) -> None:
    assert fail(since(timedelta(days=99), 99), code).standing.state == "active"


def test_a_time_out_between_refusals_neither_counts_nor_begins_anew() -> None:
    before = since(timedelta(days=2), 6)
    after = fail(before, "connection").standing
    assert (after.refusals, after.refused_since) == (6, before.refused_since)


def test_who_got_as_far_as_a_folder_was_let_in() -> None:
    after = fail(since(timedelta(days=2), 6), "folder").standing
    assert (after.refusals, after.refused_since) == (0, None)
    assert after.failing_since == NOW - timedelta(days=2)


def test_an_authorisation_that_ended_is_told_at_once() -> None:
    decision = fail(Standing(), "reauthorise", host=Host(9, 9))
    assert decision.standing.state == "reauthorise"
    assert decision.tell


@pytest.mark.parametrize("code", [*TRANSIENT, "credentials"])
def test_other_troubles_are_told_once_they_have_lasted_a_day(code: str) -> None:
    refusals = 5 if code == "credentials" else 0
    assert not fail(since(TOLD_AFTER - timedelta(seconds=1), refusals), code).tell
    told = fail(since(TOLD_AFTER, refusals), code)
    assert told.tell
    assert not fail(told.standing, code, now=NOW + timedelta(days=9)).tell
    again = fail(succeeded(told.standing, next_tick=NOW).standing, code)
    assert not again.tell
    assert fail(again.standing, code, now=NOW + TOLD_AFTER).tell


@pytest.mark.parametrize("code", OURS)
def test_what_is_ours_is_not_the_owners_to_hear(code: str) -> None:
    assert not fail(since(timedelta(days=9)), code).tell


def test_a_dead_server_is_one_trouble_whatever_it_dies_of() -> None:
    standing = since(timedelta(days=1))
    told = []
    for code in (*TRANSIENT, *TRANSIENT):
        decision = fail(standing, code)
        standing = decision.standing
        told.append(decision.tell)
    assert told.count(True) == 1


def test_a_password_that_is_refused_after_an_outage_is_another_trouble() -> None:
    standing = fail(since(timedelta(days=2)), "connection").standing
    first = fail(standing, "credentials")
    assert not first.tell
    assert fail(first.standing, "credentials", now=NOW + TOLD_AFTER).tell


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({}, "credentials"),
        # The server is down now: that is not what the owner has to hear.
        ({"error_code": "connection"}, "credentials"),
        ({"error_code": "settings"}, "credentials"),
        ({"state": "disabled"}, "credentials"),
        ({"state": "paused"}, None),
        ({"error_code": "reauthorise", "state": "reauthorise"}, None),
        ({"told_code": "reauthorise"}, None),
        ({"failing_since": None, "error_code": None, "told_code": None}, None),
    ],
)
def test_what_is_told_is_what_is_so_when_it_leaves(
    now: dict[str, object], told: str | None
) -> None:
    standing = since(timedelta(days=2), 9, error_code="credentials", told_code="credentials")
    changed = replace(standing, **now)  # type: ignore[arg-type]  # a test's own fields
    assert still_to_tell(changed, "credentials") == told


def test_a_server_that_is_unreachable_in_another_way_now_is_told_that_way() -> None:
    standing = since(timedelta(days=2), error_code="certificate", told_code="connection")
    assert still_to_tell(standing, "connection") == "certificate"


class Mailbox(RuleBasedStateMachine):
    """One mailbox over weeks, in the company of others of its host, while operators interfere."""

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.due = NOW
        self.standing = Standing()
        self.company = Host(1, 1)
        # As a reader of the log would count them, without the decisions' own counters.
        self.refusals: list[datetime] = []
        self.failing_since: datetime | None = None
        self.told: list[str] = []

    @rule(others=st.integers(0, 40), refused=st.integers(0, 40))
    def the_others_fare_otherwise(self, others: int, refused: int) -> None:
        self.company = Host(others + 1, min(refused, others) + 1)

    @precondition(lambda self: self.standing.state == "active")
    @rule(
        codes=st.lists(st.sampled_from([*GRAVITY, *OURS]), min_size=1, max_size=40)
        | st.integers(1, 90).map(lambda count: ["credentials"] * count)
        | st.integers(1, 90).map(lambda count: ["connection"] * count),
        late=st.floats(0, 3),
        jitter=st.floats(0, 1),
    )
    def it_fails(self, codes: list[str], late: float, jitter: float) -> None:
        for code in codes:
            if self.standing.state != "active":
                return
            self.now = self.due + timedelta(hours=late)
            self.failing_since = self.failing_since or self.now
            if code == "credentials":
                self.refusals.append(self.now)
            elif code == "folder":
                self.refusals = []
            before = self.standing
            decision = failed(before, code, "Une phrase.", self.company, self.now, jitter=jitter)
            self.standing, self.due = decision.standing, decision.next_sync_at
            self.check_the_end(code)
            self.check_what_is_told(code, decision)

    def check_the_end(self, code: str) -> None:
        assert timedelta(minutes=3) < self.due - self.now <= LONGEST_WAIT
        if self.standing.state == "disabled":
            assert code == "credentials"
            assert len(self.refusals) >= DISABLED_COUNT
            assert self.refusals[-1] - self.refusals[0] >= DISABLED_AFTER
            many = self.company.refused >= 3
            assert not (many and self.company.refused / self.company.mailboxes > 0.3)
        if self.standing.state == "reauthorise":
            assert code == "reauthorise"

    def check_what_is_told(self, code: str, decision: Decision) -> None:
        if not decision.tell:
            return
        assert self.failing_since is not None
        assert code in GRAVITY
        assert code == "reauthorise" or self.now - self.failing_since >= TOLD_AFTER
        assert all(GRAVITY[told] < GRAVITY[code] for told in self.told)
        self.told.append(code)

    @precondition(lambda self: self.standing.state == "active")
    @rule()
    def it_is_read(self) -> None:
        self.now = self.due
        self.standing = succeeded(self.standing, next_tick=self.now).standing
        self.due = self.now + timedelta(minutes=5)
        self.refusals, self.failing_since, self.told = [], None, []

    @precondition(lambda self: self.standing.state != "active")
    @rule()
    def somebody_mends_it(self) -> None:
        self.standing = Standing()
        self.due = self.now
        self.refusals, self.failing_since, self.told = [], None, []

    @invariant()
    def whoever_is_switched_off_was_told(self) -> None:
        if self.standing.state in ("disabled", "reauthorise"):
            needed = "credentials" if self.standing.state == "disabled" else "reauthorise"
            assert needed in self.told

    @invariant()
    def a_long_trouble_of_the_owners_was_told(self) -> None:
        long = self.failing_since and self.now - self.failing_since >= TOLD_AFTER
        if long and self.standing.error_code in TRANSIENT:
            assert self.told


TestMailbox = Mailbox.TestCase
TestMailbox.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
