"""What Amazon SES publishes, as our own events."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.providers.mail import ses as provider
from chalicelib.webhooks import ses as webhook
from chalicelib.webhooks.events import (
    BounceEvent,
    ComplaintEvent,
    Notice,
    StatusEvent,
    Unreadable,
)
from chalicelib.webhooks.ses import read
from tests.webhooks.posts import RECEIVED, SENT_AT, bounce, ses

CLIENT, COPY = "client@example.fr", "comptable@example.fr"


def events(message: str):
    return read(message, received_at=RECEIVED)


def test_our_id_comes_back_in_the_tag_that_it_left_in():
    assert webhook.TAG == provider.TAG


def test_a_bounce_is_about_the_message_and_about_the_address():
    status, fact = events(ses("Bounce", bounce(CLIENT)))
    assert isinstance(status, StatusEvent)
    assert (status.reference, status.state, status.code) == (
        "3f2a91bc-42",
        "failed",
        "bounce_permanent",
    )
    assert isinstance(fact, BounceEvent)
    assert (fact.recipients, fact.feedback_id, fact.at) == (
        (CLIENT,),
        "01070192-feedback",
        SENT_AT,
    )
    assert fact.dead_address
    assert CLIENT not in repr(fact) + fact.event_key + status.event_key


@pytest.mark.parametrize(
    ("kind", "subtype", "code", "dead"),
    [
        ("Permanent", "NoEmail", "bounce_permanent", True),
        ("Permanent", "OnAccountSuppressionList", "bounce_permanent", True),
        ("Permanent", "UnsubscribedRecipient", "bounce_permanent", False),
        ("Transient", "General", "bounce_transient", False),
        ("Transient", "MailboxFull", "bounce_transient", False),
        ("Undetermined", "Undetermined", "bounce_undetermined", False),
        ("Newly invented", "General", "bounce_undetermined", False),
    ],
)
def test_only_a_dead_address_is_never_written_to_again(kind, subtype, code, dead):
    status, fact = events(ses("Bounce", bounce(CLIENT, kind=kind, subtype=subtype)))
    assert (status.code, fact.dead_address) == (code, dead)


def test_a_copy_that_bounces_is_no_failure_of_the_message():
    status, fact = events(ses("Bounce", bounce(COPY)))
    assert status.state == "sent"
    assert fact.recipients == (COPY,)
    assert events(ses("Bounce", bounce("CLIENT@Example.FR", COPY)))[0].state == "failed"


def test_without_headers_everybody_has_to_bounce():
    assert events(ses("Bounce", bounce(CLIENT), commonHeaders=None))[0].state == "sent"
    assert events(ses("Bounce", bounce(CLIENT, COPY), commonHeaders=None))[0].state == "failed"
    assert events(ses("Bounce", bounce()))[0].state == "failed"


def test_a_delivery_to_the_addressee_is_a_delivery():
    details = {"timestamp": "2026-11-21T08:59:30Z", "recipients": [CLIENT]}
    (event,) = events(ses("Delivery", details))
    assert (event.state, event.at, event.provider_id) == (
        "delivered",
        SENT_AT,
        "01070192-abc-000000",
    )
    (event,) = events(ses("Delivery", details | {"recipients": [COPY]}))
    assert event.state == "sent"


def test_a_complaint_is_an_opt_out_of_a_message_that_arrived():
    details = {
        "complainedRecipients": [{"emailAddress": CLIENT}],
        "complaintFeedbackType": "abuse",
        "feedbackId": "f",
    }
    status, fact = events(ses("Complaint", details))
    assert status.state == "delivered"
    assert isinstance(fact, ComplaintEvent)
    assert (fact.reason, fact.recipients) == ("abuse", (CLIENT,))
    assert CLIENT not in repr(fact)


def test_a_complaint_that_ses_remembered_stopped_the_message():
    details = {"complaintSubType": "OnAccountSuppressionList", "complainedRecipients": []}
    status, fact = events(ses("Complaint", details))
    assert (status.state, status.code) == ("failed", "suppressed")
    assert isinstance(fact, ComplaintEvent)


def test_not_spam_is_no_complaint():
    details = {"complainedRecipients": [{"emailAddress": CLIENT}]}
    found = events(ses("Complaint", details | {"complaintFeedbackType": "not-spam"}))
    assert [type(event) for event in found] == [StatusEvent, Notice]


@pytest.mark.parametrize(
    ("kind", "name", "state", "code"),
    [
        ("Send", "send", "sent", None),
        ("DeliveryDelay", "deliveryDelay", "sent", "MailboxFull"),
        ("Reject", "reject", "failed", "rejected"),
        ("Rendering Failure", "failure", "failed", "rendering"),
    ],
)
def test_each_event_is_a_state(kind, name, state, code):
    details = {"delayType": "MailboxFull", "timestamp": "2026-11-21T08:59:30Z"}
    (event,) = events(ses(kind, details, name))
    assert (event.state, event.code) == (state, code)


@pytest.mark.parametrize("kind", ["Open", "Click", "Subscription", "Newly invented"])
def test_other_events_are_noted(kind):
    (event,) = events(ses(kind, {}))
    assert isinstance(event, Notice)


def test_the_greeting_of_a_new_topic_is_noted():
    (event,) = events("Successfully validated SNS topic for Amazon SES event publishing.")
    assert event.name == "topic_validated"


def test_feedback_notifications_are_read_too():
    event = json.loads(ses("Bounce", bounce(CLIENT)))
    event["notificationType"] = event.pop("eventType")
    del event["mail"]["tags"]
    status, fact = events(json.dumps(event))
    assert (status.state, status.reference, fact.recipients) == ("failed", None, (CLIENT,))


def test_the_same_event_has_the_same_key_and_another_has_another():
    message = ses("Bounce", bounce(CLIENT))
    assert events(message) == events(message)
    later = bounce(CLIENT) | {"timestamp": "2026-11-21T08:59:31Z"}
    keys = {event.event_key for event in events(message) + events(ses("Bounce", later))}
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", "not_json"),
        ("[]", "not_an_object"),
        ("{}", "event_type"),
        (ses("Bounce", None), "bounce"),
        (ses("Complaint", []), "complaint"),
        (ses("Send", {}, messageId=None), "message_id"),
        ("x" * 4_000_000, "too_large"),
    ],
)
def test_what_cannot_be_read_is_reported(message, reason):
    (event,) = events(message)
    assert isinstance(event, Unreadable)
    assert event.reason == reason


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
kinds = st.sampled_from(["Bounce", "Complaint", "Delivery", "Send", "DeliveryDelay", "Reject"])
fields = st.sampled_from(["bouncedRecipients", "timestamp", "bounceType", "feedbackId"])
members = st.sampled_from(["messageId", "tags", "commonHeaders", "destination", "timestamp"])


@given(kinds, fields, anything, members, anything)
def test_no_event_crashes_the_reading(kind, field, absurd, member, other):
    found = events(ses(kind, bounce(CLIENT) | {field: absurd}, **{member: other}))
    assert found
    assert all(event.event_key for event in found)
    assert events(ses(kind, absurd))


@pytest.mark.parametrize(
    "absurd",
    ["2026-11-21T08:59:30", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "soon", 17],
)
def test_an_absurd_time_is_the_time_of_receipt(absurd):
    status, _ = events(ses("Bounce", bounce(CLIENT) | {"timestamp": absurd}))
    assert status.at == RECEIVED
