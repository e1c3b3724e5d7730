"""What people write is kept once, obeyed when it is a STOP, and offered to the domains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from chalicelib.outbox import inbound
from chalicelib.outbox.inbound import Inbound
from chalicelib.webhooks.events import PreferenceEvent
from tests.database import Database
from tests.harness import NOW
from tests.outbox.ledger import (
    PERSON,
    SHARED,
    USER_ID,
    message,
    named,
    row,
    rows,
    status,
    suppressed,
    tell,
    wrote,
)

SENT: dict[str, Any] = {"state": "delivered", "provider": "meta"}


@pytest.fixture
def database(database: Database) -> Database:
    database.set_clock(NOW)
    return database


@pytest.fixture
def heard() -> Iterator[list[Inbound]]:
    """What the domain `shop` is offered; it takes it all."""
    offered: list[Inbound] = []

    def listen(_connection: Connection, message: Inbound) -> bool:
        offered.append(message)
        return True

    with listening(shop=listen):
        yield offered


class listening:  # noqa: N801 - reads as a function
    """Listeners of domains of the test's own, and no others."""

    def __init__(self, **listeners: inbound.Listener) -> None:
        self._ours = listeners

    def __enter__(self) -> None:
        self._before = dict(inbound.listeners())
        inbound._LISTENERS.clear()
        inbound._LISTENERS.update(self._ours)

    def __exit__(self, *_: object) -> None:
        inbound._LISTENERS.clear()
        inbound._LISTENERS.update(self._before)


def own_sender(database: Database, business: str, sender: str, provider: str = "meta") -> None:
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ponctuel.whatsapp_senders (provider, sender, business_id, set_at, "
                "set_by) VALUES (:provider, :sender, :business, now(), 'test')"
            ),
            {"provider": provider, "sender": sender, "business": business},
        )


def kept(database: Database) -> list[Any]:
    return rows(
        database,
        "SELECT business_id, person, known_by, in_reply_to, intent FROM ponctuel.inbound_messages "
        "ORDER BY id",
    )


def contacts(database: Database) -> list[Any]:
    return rows(
        database,
        "SELECT business_id, contact, user_id FROM ponctuel.contacts ORDER BY business_id, contact",
    )


def test_who_answers_a_message_is_known_by_it(database: Database, heard: list[Inbound]) -> None:
    """Another message was sent to that number since, by another business."""
    number = message(database, **SENT, provider_id="wamid.1")
    message(
        database, **SENT, business_id="B2", provider_id="wamid.2", person="C9", submitting_at=NOW
    )
    tell(database, wrote(in_reply_to="wamid.1"))
    assert kept(database) == [("B1", "C1", "billing.invoice_followup", number, None)]
    assert (heard[0].business_id, heard[0].in_reply_to, heard[0].text) == (
        "B1",
        number,
        "Bonjour, c'est réglé.",
    )
    assert contacts(database) == [("B1", PERSON, None)]


def test_else_by_the_last_message_of_thirty_days(database: Database) -> None:
    message(database, **SENT, provider_id="wamid.1")
    message(database, **SENT, business_id="B2", person="C9", submitting_at=NOW)
    message(database, **SENT, business_id="B3", contact="+33600000000", submitting_at=NOW)
    tell(database, wrote())
    later = NOW + timedelta(days=30, minutes=1)
    tell(database, wrote(at=later), at=later)
    known_by = "billing.invoice_followup"
    assert kept(database) == [("B2", "C9", known_by, None, None), ("", "", "", None, None)]


def test_a_business_with_its_own_sender_reads_what_is_written_to_it_and_nothing_else(
    database: Database,
) -> None:
    """The last message was another's, and one answers what another sent: tenants do not meet."""
    own_sender(database, "B1", "111")
    own_sender(database, "B2", "MG2", "twilio")
    message(database, **SENT, provider_id="wamid.1", submitting_at=NOW - timedelta(days=1))
    message(
        database, **SENT, business_id="B2", provider_id="wamid.2", person="C9", submitting_at=NOW
    )
    tell(database, wrote(to="111"), wrote(to="111", in_reply_to="wamid.2"))
    through_service = wrote(provider="twilio", to="+33939010203", service="MG2")
    tell(database, through_service)
    assert [found[:2] for found in kept(database)] == [("B1", "C1"), ("B1", "C1"), ("B2", "C9")]
    tell(database, wrote("STOP", to="111"))
    assert suppressed(database) == [("B1", PERSON, "*", "stop")]


def test_a_stop_to_a_shared_number_stops_every_business_that_wrote(
    database: Database, heard: list[Inbound]
) -> None:
    old = NOW - timedelta(days=200)
    message(database, **SENT, provider_id="wamid.1", planned_at=old, submitting_at=old)
    message(database, **SENT, business_id="B2", person="C9")
    message(database, **SENT, business_id="B3", contact="+33600000000")
    message(database, business_id="B4", state="planned", submitting_at=None)
    tell(database, wrote("Stop svp !", user_id=USER_ID))
    businesses = {"B1", "B2"}
    assert {entry[:2] for entry in suppressed(database)} == {
        (business, contact) for business in businesses for contact in (PERSON, USER_ID)
    }
    assert {entry[2:] for entry in suppressed(database)} == {("*", "stop")}
    assert heard[0].intent == "opt_out"


def test_start_lifts_the_stop_and_leaves_what_else_was_asked(database: Database) -> None:
    message(database, **SENT, provider_id="wamid.1")
    tell(database, preference(False, 0), wrote("ARRÊT"))
    assert len(suppressed(database)) == 2
    tell(database, wrote("start", at=NOW + timedelta(minutes=1)))
    assert suppressed(database) == [("B1", PERSON, "marketing", "unsubscribe")]


@pytest.mark.parametrize("late", [False, True])
def test_the_last_word_counts_in_whatever_order_they_come(database: Database, late: bool) -> None:
    message(database, **SENT, provider_id="wamid.1")
    stop, start = wrote("STOP"), wrote("START", at=NOW + timedelta(minutes=1))
    for event in (start, stop) if late else (stop, start):
        tell(database, event)
    assert suppressed(database) == []
    again = wrote("STOP", at=NOW + timedelta(minutes=2))
    at_once = wrote("START", at=NOW + timedelta(minutes=2))
    for event in (again, at_once) if late else (at_once, again):
        tell(database, event)
    assert suppressed(database) == [("B1", PERSON, "*", "stop")]


def preference(wanted: bool, minutes: int, **changes: Any) -> PreferenceEvent:
    event = PreferenceEvent(
        provider="meta",
        from_=PERSON,
        to=SHARED,
        category="marketing_messages",
        wanted=wanted,
        at=NOW + timedelta(minutes=minutes),
        event_key=f"meta:preference:{wanted}:{minutes}",
    )
    return replace(event, **changes)


@pytest.mark.parametrize("late", [False, True])
def test_who_tells_whatsapp_to_stop_marketing_gets_the_rest(database: Database, late: bool) -> None:
    message(database, **SENT, provider_id="wamid.1")
    said = [preference(False, 0), preference(True, 1), preference(False, 2)]
    for event in reversed(said) if late else said:
        tell(database, event)
    assert suppressed(database) == [("B1", PERSON, "marketing", "unsubscribe")]
    tell(database, preference(True, 3))
    assert suppressed(database) == []
    other = preference(False, 4, category="utility", event_key="other")
    assert tell(database, other).outcomes == {"noted": 1}


def test_only_words_of_their_own_are_a_stop(database: Database) -> None:
    message(database, **SENT, provider_id="wamid.1")
    for event, intent in (
        (wrote("bonjour", provider_opt="out"), "opt_out"),
        (wrote("bonjour", provider_opt="in"), "opt_in"),
        (wrote("STOP", kind="button"), "opt_out"),
        (wrote("STOP", kind="location"), None),
        (wrote("STOP", kind="reaction"), None),
        (wrote("Il faut que ça stop"), None),
    ):
        tell(database, event)
        assert kept(database)[-1][-1] == intent


def test_who_hides_the_number_is_the_same_person_with_and_without_it(database: Database) -> None:
    message(database, **SENT, provider_id="wamid.1")
    tell(database, wrote(user_id=USER_ID))
    assert contacts(database) == [("B1", PERSON, USER_ID), ("B1", USER_ID, USER_ID)]
    tell(database, wrote("STOP", from_=USER_ID, user_id=USER_ID, at=NOW + timedelta(minutes=1)))
    assert {entry[:2] for entry in suppressed(database)} == {("B1", PERSON), ("B1", USER_ID)}
    last = rows(database, "SELECT contact, last_inbound_at FROM ponctuel.contacts")
    assert dict(last) == dict.fromkeys((PERSON, USER_ID), NOW + timedelta(minutes=1))


def test_who_was_never_known_by_a_number_is_known_by_the_id_alone(database: Database) -> None:
    message(database, **SENT, contact=USER_ID, provider_id="wamid.1")
    tell(database, wrote("stop", from_=USER_ID, user_id=USER_ID))
    assert suppressed(database) == [("B1", USER_ID, "*", "stop")]
    assert kept(database)[0][:2] == ("B1", "C1")


def test_of_two_customers_with_one_number_the_message_says_which_and_a_stop_is_for_both(
    database: Database,
) -> None:
    first = message(database, **SENT, provider_id="wamid.1", submitting_at=NOW - timedelta(hours=2))
    message(database, **SENT, provider_id="wamid.2", person="C2", subject="F2")
    tell(database, wrote(), wrote(in_reply_to="wamid.1"), wrote("STOP"))
    assert [found[1] for found in kept(database)] == ["C2", "C1", "C2"]
    assert kept(database)[1][3] == first
    assert [entry[:2] for entry in suppressed(database)] == [("B1", PERSON)]


def test_the_last_time_somebody_wrote_never_goes_back(database: Database) -> None:
    message(database, **SENT, provider_id="wamid.1")
    tell(database, wrote(at=NOW))
    tell(database, wrote(at=NOW - timedelta(hours=3)))
    assert rows(database, "SELECT last_inbound_at FROM ponctuel.contacts") == [(NOW,)]


def test_a_message_that_comes_twice_is_kept_and_offered_once(
    database: Database, heard: list[Inbound]
) -> None:
    message(database, **SENT, provider_id="wamid.1")
    event = wrote("STOP")
    tell(database, event)
    assert tell(database, event).replayed == 1
    assert tell(database, replace(event, event_key="another")).outcomes == {"stale": 1}
    assert (len(kept(database)), len(heard), len(suppressed(database))) == (1, 1, 1)


def test_who_nobody_wrote_to_is_kept_under_no_business(
    database: Database, heard: list[Inbound]
) -> None:
    tell(database, wrote("STOP"))
    assert kept(database) == [("", "", "", None, "opt_out")]
    assert (suppressed(database), contacts(database)) == ([], [])
    assert heard[0].business_id == ""


def test_a_domain_that_fails_undoes_its_own_work_only_and_is_asked_again(
    database: Database,
) -> None:
    message(database, **SENT, provider_id="wamid.1")
    tried: list[int] = []

    def breaks(connection: Connection, message: Inbound) -> bool:
        connection.execute(text("UPDATE ponctuel.contacts SET user_id = 'undone'"))
        tried.append(message.id)
        if len(tried) < 3:
            connection.execute(text("SELECT 1 / 0"))
        return True

    with listening(agenda=lambda _c, _m: False, shop=breaks):
        tell(database, wrote("STOP"))
        offers = "SELECT domain, outcome, attempts, error FROM ponctuel.inbound_offers ORDER BY 1"
        assert rows(database, offers) == [
            ("agenda", "not_ours", 1, None),
            ("shop", "failed", 1, "22012"),
        ]
        assert contacts(database) == [("B1", PERSON, None)]
        assert len(suppressed(database)) == 1
        assert again(database) == 0
        database.advance(timedelta(minutes=1))
        assert (again(database), again(database)) == (1, 0)
        database.advance(timedelta(minutes=4))
        assert again(database) == 0
        database.advance(timedelta(minutes=1))
        assert again(database) == 1
    assert rows(database, offers)[1] == ("shop", "taken", 3, None)


def test_a_domain_is_asked_five_times_at_most(database: Database) -> None:
    def breaks(_connection: Connection, _message: Inbound) -> bool:
        raise RuntimeError("+33612345678 n'existe pas")

    with listening(shop=breaks):
        tell(database, wrote())
        for _ in range(10):
            database.advance(timedelta(days=1))
            again(database)
    found = rows(database, "SELECT outcome, attempts, error FROM ponctuel.inbound_offers")
    assert found == [("given_up", 5, "RuntimeError")]
    with listening():
        assert again(database) == 0


def again(database: Database) -> int:
    with database.begin() as connection:
        return inbound.offer_again(connection, 10)


def test_billing_and_leads_listen(database: Database) -> None:
    assert {"billing", "leads"} <= inbound.listeners().keys()
    number = message(database)
    tell(database, status("delivered", reference=named(database, number)), wrote())
    assert row(database, number)["state"] == "delivered"
    assert rows(database, "SELECT domain, outcome FROM ponctuel.inbound_offers ORDER BY 1") == [
        ("billing", "taken"),
        ("leads", "not_ours"),
    ]
