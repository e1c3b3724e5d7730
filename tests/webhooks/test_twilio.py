"""What Twilio posts, as our own events."""

from __future__ import annotations

import hashlib
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.webhooks.events import InboundEvent, Notice, StatusEvent, Unreadable
from chalicelib.webhooks.twilio import read_inbound, read_status
from tests.webhooks.posts import RECEIVED, USER_ID

SID = "SM" + "0" * 32


def status(*, reference="3f2a91bc-42", **fields):
    given = {"MessageSid": SID, "MessageStatus": "delivered", "ChannelPrefix": "whatsapp"}
    body = urlencode(given | fields, doseq=True).encode()
    (event,) = read_status(body, reference=reference, received_at=RECEIVED)
    return event


def inbound(**fields):
    given = {
        "MessageSid": SID,
        "From": "whatsapp:+33612345678",
        "To": "whatsapp:+33155783881",
        "Body": "Bonjour",
        "NumMedia": "0",
    }
    body = urlencode(given | fields, doseq=True).encode()
    (event,) = read_inbound(body, received_at=RECEIVED)
    return event


def test_a_status_names_the_message_it_is_about():
    assert status() == StatusEvent(
        "twilio", SID, "3f2a91bc-42", "delivered", None, RECEIVED, f"twilio:{SID}:delivered"
    )


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("queued", "accepted"),
        ("sending", "accepted"),
        ("sent", "sent"),
        ("read", "read"),
        ("undelivered", "failed"),
        ("failed", "failed"),
        ("canceled", "failed"),
    ],
)
def test_each_status_is_a_state(name, state):
    assert status(MessageStatus=name).state == state


def test_a_failure_says_why():
    assert status(MessageStatus="failed", ErrorCode="63016").code == "63016"
    assert status(MessageStatus="undelivered").code == "undelivered"
    assert status(MessageStatus="delivered", ErrorCode="63016").code is None


def test_a_status_that_is_not_known_yet_is_noted():
    assert status(MessageStatus="partially_delivered") == Notice(
        "twilio", "status_partially_delivered", f"twilio:{SID}:partially_delivered"
    )


@pytest.mark.parametrize("reference", [None, "", "42x", "9" * 30])
def test_an_address_without_our_id_leaves_the_message_to_be_found_by_theirs(reference):
    event = status(reference=reference)
    assert (event.reference, event.provider_id) == (None, SID)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"MessageSid": ""}, "message_id"),
        ({"MessageSid": "SM 1"}, "message_id"),
        ({"MessageStatus": ""}, "status"),
        ({"MessageStatus": ["sent", "failed"]}, "repeated"),
    ],
)
def test_a_status_that_says_nothing_certain_is_reported(fields, reason):
    event = status(**fields)
    assert isinstance(event, Unreadable)
    assert event.reason == reason


def test_a_message_is_read_with_who_wrote_it():
    event = inbound(OriginalRepliedMessageSid="SM1", NumMedia="2", MessageType="image")
    assert event == InboundEvent(
        provider="twilio",
        provider_id=SID,
        from_="+33612345678",
        to="+33155783881",
        kind="image",
        text="Bonjour",
        media_count=2,
        at=RECEIVED,
        event_key=f"twilio:{SID}:inbound",
        in_reply_to="SM1",
    )


def test_somebody_who_withholds_the_number_is_known_by_the_user_id():
    assert inbound(From=f"whatsapp:{USER_ID}").user_id == USER_ID
    event = inbound(From="", ExternalUserId=USER_ID)
    assert (event.from_, event.user_id) == (USER_ID, USER_ID)
    assert inbound(From="whatsapp:nobody").reason == "sender"


def test_an_opt_out_that_twilio_acts_on_is_told():
    assert inbound(OptOutType="STOP").provider_opt == "out"
    assert inbound(OptOutType="START").provider_opt == "in"
    assert inbound(OptOutType="HELP").provider_opt is None


@pytest.mark.parametrize("media", ["", "-1", "many", "10" * 5, "²"])
def test_an_absurd_count_of_media_is_none(media):
    assert inbound(NumMedia=media).media_count == 0


def test_a_body_in_another_charset_is_read_as_far_as_it_can_be():
    (event,) = read_inbound(
        b"MessageSid=SM1&From=whatsapp:%2B33612345678&Body=pay%E9 \xe0 temps%00",
        received_at=RECEIVED,
    )
    assert event.text == "pay\ufffd \ufffd temps\ufffd"


def test_a_form_that_is_too_large_is_reported_by_its_hash():
    for body in (b"Body=" + b"x" * 1_000_000, b"a=1&" * 1_000):
        (event,) = read_inbound(body, received_at=RECEIVED)
        assert isinstance(event, Unreadable)
        assert event.sha256 == hashlib.sha256(body).hexdigest()


names = st.sampled_from(
    ["MessageSid", "MessageStatus", "From", "To", "Body", "NumMedia", "ErrorCode", "OptOutType"]
)


@given(st.binary(max_size=100) | st.lists(st.tuples(names, st.text(max_size=10))).map(urlencode))
def test_no_form_crashes_the_reading(posted):
    body = posted if isinstance(posted, bytes) else posted.encode()
    read_status(body, reference="1", received_at=RECEIVED)
    (event,) = read_inbound(body, received_at=RECEIVED)
    if isinstance(event, InboundEvent):
        event.text.encode()
        assert "\x00" not in event.text


def test_the_same_event_has_the_same_key_whenever_it_comes():
    assert status(New="field").event_key == status().event_key
    names = ["sent", "delivered", "read", "failed"]
    assert len({status(MessageStatus=name).event_key for name in names}) == 4
