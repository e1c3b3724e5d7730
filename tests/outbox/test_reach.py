"""Whether somebody can be reached on WhatsApp is what was told last, whatever was told first."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from chalicelib.outbox.suppressions import Suppression, suppress
from chalicelib.webhooks.events import Event
from tests.database import Database
from tests.harness import NOW
from tests.outbox.ledger import (
    PERSON,
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

GONE = [("B1", PERSON, "*", "unreachable")]


@pytest.fixture
def database(database: Database) -> Database:
    database.set_clock(NOW)
    return database


def accepted(database: Database, copy: str, **changes: object) -> int:
    known = {"state": "accepted", "provider": "meta", "provider_id": copy, "subject": copy}
    return message(database, **known | changes)


def failed(copy: str, minutes: int = 0) -> Event:
    return status("failed", "131026", provider_id=copy, at=NOW + timedelta(minutes=minutes))


def delivered(copy: str, minutes: int = 0) -> Event:
    return status("delivered", provider_id=copy, at=NOW + timedelta(minutes=minutes))


def test_a_later_message_that_arrives_shows_that_the_number_is_reached(database: Database) -> None:
    accepted(database, "wamid.1")
    accepted(database, "wamid.2")
    tell(database, failed("wamid.1"))
    assert suppressed(database) == GONE
    tell(database, delivered("wamid.2", 1))
    assert suppressed(database) == []
    lifted = "SELECT source, lifted_by, lift_reason FROM ponctuel.suppressions"
    assert rows(database, lifted) == [
        ("meta:wamid.1:failed:131026", "webhook", "meta:wamid.2:delivered:None")
    ]


def test_what_arrived_before_a_failure_does_not_make_up_for_it(database: Database) -> None:
    accepted(database, "wamid.1")
    accepted(database, "wamid.2")
    tell(database, failed("wamid.1", 5))
    tell(database, delivered("wamid.2", 4))
    assert suppressed(database) == GONE


def test_a_failure_that_is_told_late_stops_nobody_who_was_reached_since(
    database: Database,
) -> None:
    first = accepted(database, "wamid.1")
    accepted(database, "wamid.2")
    tell(database, delivered("wamid.2", 5))
    tell(database, failed("wamid.1", 4))
    assert (suppressed(database), row(database, first)["state"]) == ([], "failed")


def test_who_writes_to_us_can_be_reached(database: Database) -> None:
    accepted(database, "wamid.1")
    tell(database, failed("wamid.1"))
    tell(database, wrote("Bonjour", at=NOW + timedelta(minutes=1)))
    assert suppressed(database) == []


def test_who_writes_without_the_number_is_reached_at_the_number_too(database: Database) -> None:
    accepted(database, "wamid.1")
    tell(database, wrote(user_id=USER_ID, at=NOW - timedelta(days=1)), failed("wamid.1"))
    assert suppressed(database) == GONE
    tell(database, wrote(from_=USER_ID, user_id=USER_ID, at=NOW + timedelta(minutes=1)))
    assert suppressed(database) == []


def test_a_copy_that_is_on_its_way_ends_what_the_failure_of_another_said(
    database: Database,
) -> None:
    """As it does when it is told first: acceptance proves nothing, but the message has not failed
    any more, and its own end will tell."""
    number = accepted(database, "wamid.A")
    tell(database, failed("wamid.A"))
    assert suppressed(database) == GONE
    tell(database, status("sent", provider_id="wamid.B", reference=named(database, number)))
    assert (row(database, number)["state"], suppressed(database)) == ("accepted", [])
    tell(database, failed("wamid.B", 1))
    assert (row(database, number)["state"], suppressed(database)) == ("failed", GONE)


def test_a_message_that_another_business_delivered_tells_this_one_nothing(
    database: Database,
) -> None:
    accepted(database, "wamid.1")
    accepted(database, "wamid.2", business_id="B2")
    tell(database, failed("wamid.1"), delivered("wamid.2", 1))
    assert suppressed(database) == GONE


def test_a_wrong_number_that_a_closer_told_of_stays_whoever_answers_there(
    database: Database,
) -> None:
    accepted(database, "wamid.1")
    with database.begin() as connection:
        entry = Suppression("B1", "whatsapp", PERSON, "unreachable", source="closer:U1")
        suppress(connection, [entry])
    tell(database, delivered("wamid.1"), wrote("Qui est-ce ?", at=NOW + timedelta(minutes=1)))
    assert suppressed(database) == GONE


def test_a_number_that_its_provider_refused_at_once_is_reached_again_by_who_writes(
    database: Database,
) -> None:
    """The refusal is an answer to our call: no event tells of it."""
    message(database, state="delivered", provider="meta", subject="F0")
    number = message(
        database, state="refused", error_code="invalid_recipient", settled_at=NOW, proof_at=None
    )
    with database.begin() as connection:
        entry = Suppression(
            "B1", "whatsapp", PERSON, "unreachable", person="C1", source=f"message:{number}"
        )
        suppress(connection, [entry])
    tell(database, wrote(at=NOW - timedelta(minutes=1)))
    assert suppressed(database) == GONE
    tell(database, wrote(at=NOW + timedelta(minutes=1)))
    assert suppressed(database) == []


COPIES = ("wamid.1", "wamid.2", "wamid.3")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.sampled_from([*COPIES, "writes"]), st.booleans(), st.integers(0, 5)),
        min_size=1,
        max_size=6,
        unique=True,
    ),
    st.data(),
)
def test_no_order_and_no_repetition_changes_who_can_be_reached(
    database: Database, told: list[tuple[str, bool, int]], data: st.DataObject
) -> None:
    """Three messages to one number, and somebody who writes from there."""
    # A provider says one end of a message, and of a delivery one time.
    told = list({(copy, arrives): (copy, arrives, at) for copy, arrives, at in told}.values())
    events = [
        wrote(at=NOW + timedelta(minutes=at))
        if copy == "writes"
        else delivered(copy, at)
        if arrives
        else failed(copy, at)
        for copy, arrives, at in told
    ]
    arrived = {copy for copy, arrives, _ in told if arrives}
    reached = [at for copy, arrives, at in told if arrives or copy == "writes"]
    gone = [
        at for copy, arrives, at in told if copy in COPIES and not arrives and copy not in arrived
    ]
    expected = GONE if gone and max(gone) > max(reached, default=-1) else []
    for _ in range(2):
        with database.begin() as connection:
            for table in ("webhook_events", "suppressions", "message_events", "messages",
                          "inbound_offers", "inbound_messages", "contacts"):  # fmt: skip
                connection.execute(text(f"DELETE FROM ponctuel.{table}"))
        for copy in COPIES:
            accepted(database, copy)
        order = list(data.draw(st.permutations(events * 2)))
        while order:
            size = data.draw(st.integers(1, len(order)))
            tell(database, *order[:size], at=NOW + timedelta(minutes=9))
            order = order[size:]
        assert suppressed(database) == expected
