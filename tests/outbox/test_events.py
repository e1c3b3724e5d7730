"""What providers tell brings each message to one state, whatever the order and however often."""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from chalicelib.outbox import events
from chalicelib.webhooks.events import BounceEvent, ComplaintEvent, Notice, Unreadable
from tests.database import Database
from tests.harness import NOW
from tests.outbox.ledger import PERSON, message, named, row, rows, status, suppressed, tell

WEEK = timedelta(days=7)
KINDS = [("sent", None), ("delivered", None), ("read", None)]
KINDS += [("failed", "131026"), ("failed", "131049"), ("failed", "131050")]


@pytest.fixture
def database(database: Database) -> Database:
    database.set_clock(NOW)
    return database


def test_an_event_proves_that_a_message_whose_answer_is_lost_was_taken(database: Database) -> None:
    """Also one that is planned again: it must not leave a second time."""
    told = {"accepted": "accepted", "sent": "accepted", "read": "delivered"}
    for before, event in itertools.product(
        ("submitting", "uncertain", "planned", "held", "claimed"), told
    ):
        number = message(
            database,
            state=before,
            hold_reason="window" if before == "held" else None,
            subject=f"{before} {event}",
        )
        copy = f"wamid.{number}"
        applied = tell(database, status(event, provider_id=copy, reference=named(database, number)))
        assert (applied.outcomes, applied.moved) == ({"applied": 1}, (number,))
        found = row(database, number)
        assert (found["state"], found["provider"]) == (told[event], "meta")
        assert found["provider_id"] == copy
        assert (found["hold_reason"], found["proof_at"], found["key_free"]) == (None, None, False)
        assert found["counted_at"] == NOW - timedelta(hours=1)
        assert NOW <= found["settled_at"] < NOW + timedelta(minutes=1)
        history = "SELECT event, actor FROM ponctuel.message_events WHERE message_id = :id"
        assert rows(database, history, id=number) == [(event, "webhook")]


def test_a_message_that_was_never_sent_from_here_is_not_moved(database: Database) -> None:
    number = message(database, state="planned", submitting_at=None, proof_at=None)
    applied = tell(database, status("delivered", reference=named(database, number)))
    assert applied.outcomes == {"noted": 1}
    assert row(database, number)["state"] == "planned"


def test_a_reference_of_another_deployment_moves_nothing(database: Database) -> None:
    number = message(database)
    ours = named(database, number)
    foreign = ("1" if ours[0] == "0" else "0") + ours[1:]
    assert tell(database, status("delivered", reference=foreign)).outcomes == {"noted": 1}
    assert row(database, number)["state"] == "uncertain"


def test_a_message_planned_after_the_event_has_only_got_its_number(database: Database) -> None:
    number = message(database, planned_at=NOW + timedelta(minutes=1))
    applied = tell(database, status("delivered", reference=named(database, number)))
    assert applied.outcomes == {"pending": 1}


def test_an_event_about_the_other_channel_is_not_about_this_message(database: Database) -> None:
    number = message(database, channel="email", contact="a@example.fr")
    assert tell(database, status("delivered", reference=named(database, number))).moved == ()


@pytest.mark.parametrize("freed", ["cancelled", "expired"])
def test_a_key_that_was_freed_is_taken_again_unless_another_message_has_it(
    database: Database, freed: str
) -> None:
    alone = message(database, state=freed, key_free=True)
    tell(database, status("delivered", reference=named(database, alone)))
    assert (row(database, alone)["state"], row(database, alone)["key_free"]) == ("delivered", False)
    first = message(database, state=freed, key_free=True, subject="F2")
    second = message(database, state="planned", submitting_at=None, subject="F2")
    told = status("delivered", provider_id="wamid.2", reference=named(database, first))
    tell(database, told)
    assert (row(database, first)["state"], row(database, first)["key_free"]) == ("delivered", True)
    assert row(database, second)["state"] == "planned"


def test_a_failure_is_kept_under_the_codes_of_the_ledger(database: Database) -> None:
    for provider, told, kept in (
        ("meta", "131026", "invalid_recipient"),
        ("twilio", "63016", "window_closed"),
        ("twilio", "undelivered", "undelivered"),
        ("ses", "bounce_permanent", "bounce_permanent"),
    ):
        said = "renvoyé, définitivement" if provider == "ses" else told
        channel = "email" if provider == "ses" else "whatsapp"
        number = message(database, state="accepted", channel=channel, subject=told)
        event = status("failed", told, provider=provider, reference=named(database, number))
        tell(database, event)
        found = row(database, number)
        assert (found["state"], found["error_code"]) == ("failed", kept)
        assert said in found["error"]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["wamid.A", "wamid.B"]), st.sampled_from(KINDS), st.booleans()),
        min_size=1,
        max_size=7,
    ),
    st.sampled_from(["submitting", "uncertain", "planned", "accepted"]),
    st.data(),
)
def test_no_order_and_no_repetition_changes_what_becomes_of_a_message(
    database: Database, told: list, before: str, data: st.DataObject
) -> None:
    """Two copies were taken, their events come in any order, several in a call, again and again."""
    states = []
    for _ in range(2):
        with database.begin() as connection:
            for table in ("webhook_events", "suppressions", "message_events", "messages"):
                connection.execute(text(f"DELETE FROM ponctuel.{table}"))
        known = {"provider": "meta", "provider_id": "wamid.A"} if before == "accepted" else {}
        number = message(database, state=before, **known)
        reference = named(database, number)
        order = data.draw(st.permutations(told * 2))
        events = [
            status(state, code, provider_id=copy, reference=reference)
            for copy, (state, code), _ in order
        ]
        while events:
            size = data.draw(st.integers(1, len(events)))
            tell(database, *events[:size])
            events = events[size:]
        states.append((row(database, number)["state"], suppressed(database)))
    assert states[0] == states[1]


def test_our_own_answer_may_come_in_between(database: Database) -> None:
    """Delivery has kept the id of its own call; what is told of a lost copy does not undo it."""
    number = message(database, state="accepted", provider="meta", provider_id="wamid.B")
    reference = named(database, number)
    stale = tell(database, status("failed", "131026", provider_id="wamid.A", reference=reference))
    assert stale.outcomes == {"stale": 1}
    assert row(database, number)["state"] == "accepted"
    tell(database, status("delivered", provider_id="wamid.A", reference=reference))
    assert (row(database, number)["state"], row(database, number)["provider_id"]) == (
        "delivered",
        "wamid.A",
    )


def test_an_early_event_waits_for_the_answer_that_names_the_message(database: Database) -> None:
    number = message(database, state="submitting")
    early = [status("sent"), status("delivered")]
    assert tell(database, *early).outcomes == {"pending": 2}
    with database.begin() as connection:
        assert events.settle_pending(connection) == 0
        connection.execute(
            text(
                "UPDATE ponctuel.messages SET state = 'accepted', provider = 'meta', "
                "provider_id = 'wamid.1' WHERE id = :id"
            ),
            {"id": number},
        )
    with database.begin() as connection:
        assert events.settle_pending(connection) == 2
        assert events.settle_pending(connection) == 0
    assert row(database, number)["state"] == "delivered"
    assert tell(database, *early).replayed == 2


def test_what_is_pending_for_a_week_is_given_up(database: Database) -> None:
    complaint = ComplaintEvent(
        "ses", "0107-1", None, "abuse", ("a@example.fr",), "f", NOW, "ses:0107-1:complaint"
    )
    tell(database, status("delivered"), complaint)
    database.set_clock(NOW + WEEK + timedelta(seconds=1))
    with database.begin() as connection:
        assert events.settle_pending(connection) == 0
    kept = rows(database, "SELECT DISTINCT outcome, payload ->> 'recipients' FROM "
                "ponctuel.webhook_events")  # fmt: skip
    assert kept == [("noted", None)]


def test_settling_nothing_is_one_statement(database: Database) -> None:
    with database.begin() as connection:
        # Whatever the last test has left of statistics: that the index fits is what counts.
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = connection.execute(text("EXPLAIN " + str(events._KNOWN_BY_NOW)))
        assert "webhook_events_pending" in "\n".join(found[0] for found in plan)


def test_a_mail_that_comes_back_for_good_is_on_everybodys_list(database: Database) -> None:
    number = message(database, channel="email", contact="Client@example.fr", state="accepted")
    about = {"provider": "ses", "provider_id": "0107-1", "reference": named(database, number)}
    bounce = BounceEvent(
        permanent=True,
        reason="General",
        recipients=("Client@Example.fr",),
        feedback_id="f",
        at=NOW,
        event_key="ses:0107-1:bounce",
        **about,
    )
    tell(database, status("failed", "bounce_permanent", **about), bounce)
    assert row(database, number)["state"] == "failed"
    assert suppressed(database) == [("*", "client@example.fr", "*", "hard_bounce")]
    unknown = replace(
        bounce, reference=None, provider_id="x", event_key="2", recipients=("b@c.fr",)
    )
    assert tell(database, unknown).outcomes == {"applied": 1}
    soft = replace(bounce, permanent=False, event_key="3", recipients=("d@e.fr",))
    tell(database, soft)
    assert [entry[1] for entry in suppressed(database)] == ["b@c.fr", "client@example.fr"]


def test_a_complaint_is_an_opt_out_from_that_business_alone(database: Database) -> None:
    message(database, channel="email", business_id="B2", provider="ses", provider_id="0107-2")
    number = message(database, channel="email", provider="ses", provider_id="0107-1")
    complaint = ComplaintEvent(
        "ses", "0107-1", None, "abuse", ("Client@example.fr",), "f", NOW, "ses:0107-1:complaint"
    )
    assert tell(database, complaint).outcomes == {"applied": 1}
    assert suppressed(database) == [("B1", "client@example.fr", "*", "complaint")]
    kept = rows(database, "SELECT message_id, payload FROM ponctuel.webhook_events")
    assert kept == [(number, {"reason": "abuse"})]


def test_a_number_that_is_not_on_whatsapp_is_not_written_to_again_until_it_is_reached(
    database: Database,
) -> None:
    number = message(database, state="accepted", provider="meta", provider_id="wamid.1")
    tell(database, status("failed", "131026"))
    assert suppressed(database) == [("B1", PERSON, "*", "unreachable")]
    tell(database, status("delivered"))
    assert row(database, number)["state"] == "delivered"
    assert suppressed(database) == []


@pytest.mark.parametrize(
    ("provider", "code", "entry"),
    [
        ("twilio", "21610", ("B1", PERSON, "*", "stop")),
        ("meta", "131050", ("B1", PERSON, "marketing", "unsubscribe")),
    ],
)
def test_who_told_the_provider_to_stop_is_on_the_list_of_that_business(
    database: Database, provider: str, code: str, entry: tuple[str, str, str, str]
) -> None:
    message(database, state="accepted", provider=provider, provider_id="wamid.1")
    tell(database, status("failed", code, provider=provider))
    assert suppressed(database) == [entry]


def test_what_cannot_be_read_is_kept_and_what_is_of_no_concern_is_noted(database: Database) -> None:
    body = b"\x00{" + b"x" * 100_000
    unreadable = Unreadable("meta", "a" * 64, "not_json")
    notice = Notice("meta", "template_status", "meta:template:1")
    applied = tell(database, unreadable, replace(unreadable, where="entry.1"), notice, body=body)
    assert applied.outcomes == {"unreadable": 2, "noted": 1}
    kept = rows(database, "SELECT payload FROM ponctuel.webhook_events WHERE payload ? 'body'")
    ((payload,),) = kept
    assert (payload["length"], payload["reason"]) == (len(body), "not_json")
    assert len(json.dumps(payload)) < 100_000
    assert tell(database, unreadable, notice, body=body).replayed == 2


def test_an_event_that_is_twice_in_one_call_is_one(database: Database) -> None:
    number = message(database)
    told = status("delivered", reference=named(database, number))
    applied = tell(database, told, told)
    assert (dict(applied.outcomes), applied.replayed) == ({"applied": 1}, 1)


def test_the_same_event_at_the_same_time_is_applied_once(database: Database) -> None:
    number = message(database)
    told = status("delivered", reference=named(database, number))
    start, outcomes = threading.Barrier(4), []

    def call() -> None:
        start.wait()
        outcomes.append(tell(database, told))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied.replayed for applied in outcomes) == [0, 1, 1, 1]
    assert rows(database, "SELECT count(*) FROM ponctuel.message_events") == [(1,)]


def test_no_event_is_nothing(database: Database) -> None:
    assert tell(database).outcomes == {}
