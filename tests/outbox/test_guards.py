"""Who may be written to, and when: what is asked of every kind just before a message leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.outbox import consents
from chalicelib.outbox.suppressions import Suppression, lift, suppress
from tests.harness import Deployment
from tests.outbox import probes
from tests.outbox.probes import AT_ANY_HOUR, MARKETING, PLAIN, fate, one, plan

ALICE = "alice@customers.example"
SECRET = "desinscription-" * 3


@pytest.fixture
def live(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    probes.register(monkeypatch)
    monkeypatch.setenv("PUBLIC_URL", "https://ponctuel.example/api")
    monkeypatch.setenv("UNSUBSCRIBE_SECRET", SECRET)
    deployment.go_live("B1", "B2")
    return deployment


def stop(deployment: Deployment, business: str = "B1", **options: str) -> None:
    entry = {"business_id": business, "channel": "email", "contact": ALICE, "reason": "stop"}
    with deployment.database.begin() as connection:
        suppress(connection, [Suppression(**(entry | options))])  # type: ignore[arg-type]  # texts


def consent(deployment: Deployment, business: str = "B1") -> None:
    with deployment.database.begin() as connection:
        consents.grant(
            connection, business_id=business, channel="email", contact=ALICE, source="formulaire"
        )


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("stop", "opted_out"),
        ("unsubscribe", "unsubscribed"),
        ("complaint", "complained"),
        ("hard_bounce", "address_dead"),
        ("manual", "opted_out"),
    ],
)
def test_an_opt_out_between_planning_and_sending_is_obeyed_and_its_key_stays_taken(
    live: Deployment, reason: str, code: str
) -> None:
    plan(live, "Alice")
    plan(live, "Bob")
    stop(live, reason=reason)
    live.deliver()
    assert fate(live, "Alice") == ("cancelled", code)
    assert one(live, "Alice")["key_free"] is False
    assert fate(live, "Bob") == ("accepted", None)


def test_who_stopped_one_business_is_written_to_by_the_other(live: Deployment) -> None:
    plan(live, "Alice")
    plan(live, "Alice", business_id="B2")
    stop(live)
    live.deliver()
    assert [(m["business_id"], m["state"]) for m in live.messages()] == [
        ("B1", "cancelled"),
        ("B2", "accepted"),
    ]


def test_a_dead_address_is_dead_for_every_business_in_any_case_of_its_letters(
    live: Deployment,
) -> None:
    plan(live, "Alice", recipient="ALICE@Customers.example")
    plan(live, "Alice", business_id="B2")
    stop(live, business="*", reason="hard_bounce")
    live.deliver()
    assert {m["state"] for m in live.messages()} == {"cancelled"}


def test_an_entry_for_one_kind_or_for_marketing_stops_that_alone(live: Deployment) -> None:
    consent(live)
    plan(live, "Alice")
    plan(live, "Alice", MARKETING)
    stop(live, category="marketing", reason="unsubscribe")
    live.deliver()
    assert one(live, "Alice", kind=PLAIN.name)["state"] == "accepted"
    assert one(live, "Alice", kind=MARKETING.name)["error_code"] == "unsubscribed"
    stop(live, category=PLAIN.name, reason="unsubscribe")
    plan(live, "again", person="Alice", recipient=ALICE)
    live.deliver()
    assert fate(live, "again") == ("cancelled", "unsubscribed")


def test_who_is_taken_off_the_list_is_written_to_again(live: Deployment) -> None:
    stop(live)
    with live.database.begin() as connection:
        lift(
            connection,
            business_id="B1",
            channel="email",
            contact=ALICE,
            reasons=["stop"],
            by="Léa",
            why="il le demande",
        )
    plan(live, "Alice")
    live.deliver()
    assert fate(live, "Alice") == ("accepted", None)


def test_a_recipient_who_stopped_is_left_out_and_the_others_of_the_letter_get_it(
    live: Deployment,
) -> None:
    plan(live, "Alice", recipient=f"{ALICE}; bob@customers.example")
    stop(live)
    live.deliver()
    assert one(live, "Alice")["recipient"] == "bob@customers.example"


def test_marketing_asks_for_a_consent_and_its_withdrawal_counts_at_once(live: Deployment) -> None:
    plan(live, "Alice", MARKETING)
    live.deliver()
    assert fate(live, "Alice") == ("cancelled", "no_consent")
    consent(live)
    plan(live, "Alice2", MARKETING, recipient=ALICE)
    live.deliver()
    assert fate(live, "Alice2") == ("accepted", None)
    (mail,) = live.smtp.folder.glob("*.eml")
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in mail.read_bytes()
    with live.database.begin() as connection:
        consents.withdraw(connection, business_id="B1", channel="email", contact=ALICE, by="Alice")
    plan(live, "Alice3", MARKETING, recipient=ALICE)
    live.deliver()
    assert fate(live, "Alice3") == ("cancelled", "no_consent")


def test_a_message_is_held_for_the_night_and_leaves_in_the_morning(live: Deployment) -> None:
    live.database.set_clock(datetime(2026, 3, 10, 21, 40, tzinfo=UTC))  # 22:40 in Paris
    plan(live, "Alice")
    plan(live, "Bob", AT_ANY_HOUR)
    live.deliver()
    assert fate(live, "Alice") == ("held", "quiet")
    morning = one(live, "Alice")["not_before"]
    assert morning == datetime(2026, 3, 11, 7, 0, tzinfo=UTC)
    assert fate(live, "Bob") == ("accepted", None)
    live.database.set_clock(morning - timedelta(minutes=2))
    live.deliver()
    assert fate(live, "Alice") == ("held", "quiet")
    live.deliver()
    live.deliver()
    assert fate(live, "Alice") == ("accepted", None)


@pytest.mark.parametrize(
    ("zone", "state"),
    [("Indian/Reunion", "held"), ("America/Guadeloupe", "accepted"), ("Europe/Paris", "accepted")],
)
def test_it_is_the_recipients_night_that_counts(live: Deployment, zone: str, state: str) -> None:
    live.database.set_clock(datetime(2026, 3, 10, 18, 0, tzinfo=UTC))  # 19:00, 22:00 in La Réunion
    plan(live, "Alice", content=json.dumps({"zone": zone}))
    live.deliver()
    assert one(live, "Alice")["state"] == state


@pytest.mark.parametrize(
    ("evening", "morning"),
    [
        # The nights in which the clocks of Paris are moved, and the ones after them.
        (datetime(2026, 3, 28, 22, 0, tzinfo=UTC), datetime(2026, 3, 29, 6, 0, tzinfo=UTC)),
        (datetime(2026, 10, 24, 21, 0, tzinfo=UTC), datetime(2026, 10, 25, 7, 0, tzinfo=UTC)),
        (datetime(2026, 10, 25, 21, 0, tzinfo=UTC), datetime(2026, 10, 26, 7, 0, tzinfo=UTC)),
    ],
)
def test_the_night_ends_at_eight_also_when_the_clocks_are_moved_in_it(
    live: Deployment, evening: datetime, morning: datetime
) -> None:
    live.database.set_clock(evening)
    plan(live, "Alice")
    live.deliver()
    assert one(live, "Alice")["not_before"] == morning


def test_a_message_that_the_night_makes_too_late_is_closed_and_never_sent(
    live: Deployment,
) -> None:
    live.database.set_clock(datetime(2026, 3, 10, 21, 40, tzinfo=UTC))
    number = plan(live, "Alice")
    live.execute(
        "UPDATE ponctuel.messages SET expires_at = not_before + interval '3 hours' WHERE id = :id",
        id=number,
    )
    live.deliver()
    live.tick("deliver_messages", hours=11)
    assert one(live, "Alice")["state"] == "expired"
    assert live.smtp.received() == []
