"""How much may leave: caps per person, quotas with their reserve, rates, circuits, order."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event

from chalicelib.outbox import consents
from chalicelib.outbox.allowance import PERSON_PER_DAY, PERSON_PER_WEEK
from tests.harness import NOW, Deployment
from tests.outbox import probes
from tests.outbox.probes import MARKETING, UNCAPPED, fate, one, plan

ALICE = {"person": "Alice", "recipient": "alice@customers.example"}


@pytest.fixture
def live(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    probes.register(monkeypatch)
    monkeypatch.setenv("PUBLIC_URL", "https://ponctuel.example/api")
    monkeypatch.setenv("UNSUBSCRIBE_SECRET", "desinscription-" * 3)
    deployment.go_live("B1", "B2")
    return deployment


def limit(deployment: Deployment, **limits: int) -> None:
    names = ", ".join(limits)
    values = ", ".join(f":{name}" for name in limits)
    deployment.execute(
        f"INSERT INTO ponctuel.sending_limits (business_id, channel, {names}, set_at, set_by)"
        f" VALUES ('B1', 'email', {values}, ponctuel.clock(), 'test')",
        **limits,
    )


def states(deployment: Deployment) -> Counter[tuple[str, str | None]]:
    return Counter((m["state"], m["hold_reason"]) for m in deployment.messages())


# Caps


def test_who_had_how_many_is_not_sought_among_all_messages_of_the_day(live: Deployment) -> None:
    """As after a mass of messages that no statistics know of yet."""
    # The pages that other tests have left empty would be counted as full of messages.
    live.execute("TRUNCATE ponctuel.messages CASCADE")
    plan(live, "other", **ALICE)
    live.execute("ANALYZE ponctuel.messages")
    live.execute(
        "INSERT INTO ponctuel.messages (business_id, kind, subject, channel, person, recipient,"
        " contact, content, state, planned_at, not_before, expires_at, counted_at)"
        " SELECT 'B1', 'probe.plain', 's' || n, 'email', 'P' || n, 'r', 'c' || n, '{}', 'accepted',"
        " ponctuel.clock(), ponctuel.clock(), ponctuel.clock() + interval '1 day', ponctuel.clock()"
        " FROM generate_series(1, 2000) n"
    )
    plans: list[str] = []

    @event.listens_for(Engine, "before_cursor_execute")
    def explain(connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.strip().startswith(("SELECT q.id, q.contact", "WITH claimed AS")):
            plans.extend(connection.exec_driver_sql("EXPLAIN " + statement, values).scalars().all())

    try:
        live.deliver()
    finally:
        event.remove(Engine, "before_cursor_execute", explain)
    assert [m["state"] for m in live.messages(subject="other")] == ["accepted"]
    read = [line for line in plans if " on messages m" in line]
    assert any("messages_by_person" in line for line in read)
    assert any("messages_of_contact" in line for line in read)
    # The account's own count, and that of a business with a limit.
    assert sum("messages_counted" in line for line in read) <= 2


def test_nobody_gets_more_than_the_cap_in_a_day_over_all_kinds_and_the_rest_follows(
    live: Deployment,
) -> None:
    for n in range(PERSON_PER_DAY + 2):
        plan(live, f"m{n}", **ALICE)
    live.deliver()
    assert states(live) == {("accepted", None): PERSON_PER_DAY, ("held", "cap"): 2}
    held = live.messages(state="held")
    assert {m["not_before"] - m["planned_at"] > timedelta(hours=23) for m in held} == {True}
    live.tick("deliver_messages", hours=24.1)
    assert states(live) == {("accepted", None): PERSON_PER_DAY + 2}


def test_the_week_has_its_cap_too(live: Deployment) -> None:
    limit(live, person_per_day=100, person_per_week=3)
    for n in range(5):
        plan(live, f"m{n}", **ALICE)
    live.deliver()
    live.tick("deliver_messages", hours=26)
    assert states(live) == {("accepted", None): 3, ("held", "cap"): 2}
    assert PERSON_PER_WEEK > PERSON_PER_DAY


def test_a_kind_that_is_not_capped_leaves_and_counts(live: Deployment) -> None:
    for n in range(PERSON_PER_DAY + 1):
        plan(live, f"order{n}", UNCAPPED, **ALICE)
    live.deliver()
    plan(live, "relance", **ALICE)
    live.deliver()
    assert len(live.messages(state="accepted")) == PERSON_PER_DAY + 1
    assert fate(live, "relance") == ("held", "cap")


def test_two_persons_with_one_address_are_one_to_the_cap(live: Deployment) -> None:
    for n in range(PERSON_PER_DAY + 1):
        plan(live, f"m{n}", person=f"P{n % 2}", recipient="Foyer@customers.example")
    live.deliver()
    assert states(live) == {("accepted", None): PERSON_PER_DAY, ("held", "cap"): 1}


def test_a_refused_message_does_not_count_and_one_of_the_other_business_neither(
    live: Deployment,
) -> None:
    limit(live, person_per_day=1)
    live.smtp.fail("too_large", count=1)
    plan(live, "refused", **ALICE)
    live.deliver()
    plan(live, "theirs", business_id="B2", **ALICE)
    plan(live, "next", **ALICE)
    live.deliver()
    assert fate(live, "refused")[0] == "refused"
    assert fate(live, "next") == ("accepted", None)


# Quotas


def test_what_is_beyond_the_accounts_quota_waits_until_it_is_free_again(
    live: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_QUOTA", "3")
    for n in range(5):
        plan(live, f"m{n}", business_id="B1" if n % 2 else "B2")
    live.deliver()
    assert states(live) == {("accepted", None): 3, ("held", "quota"): 2}
    live.tick("deliver_messages", hours=24.1)
    assert states(live) == {("accepted", None): 5}


def test_marketing_leaves_the_reserve_to_the_other_messages(
    live: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_QUOTA", "5")
    monkeypatch.setenv("QUOTA_RESERVE", "40")
    for n in range(5):
        with live.database.begin() as connection:
            consents.grant(
                connection,
                business_id="B1",
                channel="email",
                contact=f"m{n}@customers.example",
                source="formulaire",
            )
        plan(live, f"m{n}", MARKETING)
    live.deliver()
    assert states(live) == {("accepted", None): 3, ("held", "quota"): 2}
    for n in range(3):
        plan(live, f"t{n}")
    live.deliver()
    assert Counter(m["state"] for m in live.messages(kind="probe.plain")) == {
        "accepted": 2,
        "held": 1,
    }


def test_a_businesss_own_quota_is_no_bound_for_the_other(live: Deployment) -> None:
    limit(live, per_day=1)
    for n in range(3):
        plan(live, f"a{n}")
        plan(live, f"b{n}", business_id="B2")
    live.deliver()
    found = Counter((m["business_id"], m["state"]) for m in live.messages())
    assert found == {("B1", "accepted"): 1, ("B1", "held"): 2, ("B2", "accepted"): 3}


# Rates and circuits


def test_the_accounts_rate_bounds_what_leaves_in_a_second(
    live: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_RATE", "4")
    for n in range(8):
        plan(live, f"m{n}")
    begin = time.monotonic()
    live.deliver()
    assert len(live.messages(state="accepted")) == 8
    assert time.monotonic() - begin >= 0.9, "four at once, the others a second later"


def test_a_provider_that_fails_for_everybody_is_left_alone_then_tried_with_one_message(
    live: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENDING_CONCURRENCY", "8")
    for n in range(8):
        plan(live, f"m{n}")
    live.smtp.fail("drop_before_data")
    live.deliver()
    (state,) = live.rows("SELECT * FROM ponctuel.channel_states")
    assert (state["channel"], state["business_id"], state["openings"]) == ("email", "", 1)
    assert {m["state"] for m in live.messages()} == {"planned"}
    live.execute("UPDATE ponctuel.messages SET not_before = ponctuel.clock()")
    calls = len(live.smtp.received())
    live.database.set_clock(NOW + timedelta(seconds=90))
    live.tick("deliver_messages", hours=0)
    live.database.advance(timedelta(minutes=1))
    live.execute("UPDATE ponctuel.messages SET not_before = ponctuel.clock()")
    live.tick("deliver_messages", hours=0)
    assert len({m["id"] for m in live.messages() if m["submitting_at"]}) == 8
    live.smtp.heal()
    live.execute("UPDATE ponctuel.messages SET not_before = ponctuel.clock()")
    live.tick("deliver_messages", hours=3)
    live.deliver()
    assert {m["state"] for m in live.messages()} == {"accepted"}
    assert len(live.smtp.accepted()) == 8
    assert len(live.smtp.received()) >= calls
    (state,) = live.rows("SELECT * FROM ponctuel.channel_states")
    assert (state["failures"], state["opened_at"]) == (0, None)


# Order


def test_a_message_waits_for_the_earlier_ones_of_its_order(live: Deployment) -> None:
    plan(live, "first", order_key="commande-7")
    plan(live, "second", order_key="commande-7")
    plan(live, "other", order_key="commande-8")
    plan(live, "theirs", order_key="commande-7", business_id="B2")
    live.smtp.fail("refuse_temporary", recipient="first@")
    live.deliver()
    assert fate(live, "second")[0] == "planned"
    assert (fate(live, "other")[0], fate(live, "theirs")[0]) == ("accepted", "accepted")
    live.smtp.heal()
    live.tick("deliver_messages", hours=1)
    live.deliver()
    order = [entry.recipients[0] for entry in live.smtp.accepted()]
    assert order.index("first@customers.example") < order.index("second@customers.example")


def test_a_closed_message_holds_nobody_up(live: Deployment) -> None:
    first = plan(live, "first", order_key="k")
    plan(live, "second", order_key="k")
    live.execute("UPDATE ponctuel.messages SET state = 'cancelled' WHERE id = :id", id=first)
    live.deliver()
    assert fate(live, "second") == ("accepted", None)


def test_what_leaves_is_counted_once_and_given_back_when_it_does_not(live: Deployment) -> None:
    plan(live, "sent")
    live.smtp.fail("refuse_temporary", recipient="later@")
    plan(live, "later")
    live.deliver()
    assert one(live, "sent")["counted_at"] is not None
    assert one(live, "later")["counted_at"] is None


def test_a_dry_run_of_delivery_tells_what_waits_for_its_order_or_for_a_channel(
    live: Deployment,
) -> None:
    plan(live, "first", order_key="k")
    plan(live, "second", order_key="k")
    plan(live, "message", channel="whatsapp", recipient="06 39 98 00 01")
    report = live.rehearse("deliver_messages")
    assert [message["subject"] for message in report["messages"]] == ["first"]
    waiting = {row["subject"]: row["reason"] for row in report["left_out"]}
    assert waiting == {"second": "order", "message": "no_channel"}
