"""What Meta posts, as our own events."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.webhooks.events import (
    InboundEvent,
    Notice,
    PreferenceEvent,
    StatusEvent,
    Unreadable,
)
from chalicelib.webhooks.meta import read
from tests.webhooks.posts import (
    PHONE_NUMBER_ID,
    RECEIVED,
    SENT_AT,
    USER_ID,
    WAMID,
    message,
    meta,
    status,
    value,
)

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def events(*items, field: str = "messages"):
    return read(meta(*items, field=field), received_at=RECEIVED)


def one(item, field: str = "messages"):
    (event,) = events(item, field=field)
    return event


def test_a_delivery_names_the_message_it_is_about():
    assert one(value(statuses=[status()])) == StatusEvent(
        "meta", WAMID, "3f2a91bc-42", "delivered", None, SENT_AT, f"meta:{WAMID}:delivered"
    )


@pytest.mark.parametrize(
    ("name", "state"),
    [("sent", "sent"), ("read", "read"), ("played", "read"), ("failed", "failed")],
)
def test_each_status_is_a_state(name, state):
    assert one(value(statuses=[status(name)])).state == state


def test_a_failure_says_why():
    errors = [{"code": 131050, "title": "stopped"}, {"code": 131026}]
    event = one(value(statuses=[status("failed", errors=errors)]))
    assert (event.code, event.event_key) == ("131050", f"meta:{WAMID}:failed:131050")
    assert one(value(statuses=[status("failed", errors=[])])).code == "failed"


def test_a_status_that_is_not_known_yet_is_noted():
    assert one(value(statuses=[status("pinned")])) == Notice(
        "meta", "status_pinned", f"meta:{WAMID}:pinned"
    )


@pytest.mark.parametrize("data", [None, "", "42x", "-1", "٤٢", "9" * 30, 42, {"id": 42}])
def test_somebody_elses_callback_data_is_no_message_of_ours(data):
    assert one(value(statuses=[status(biz_opaque_callback_data=data)])).reference is None


def test_a_status_without_a_phone_number_is_read():
    row = status(recipient_user_id=USER_ID)
    del row["recipient_id"]
    assert one(value(statuses=[row])).reference == "3f2a91bc-42"


def test_a_text_is_read_with_who_wrote_it():
    event = one(value(messages=[message(context={"id": "wamid.question", "from": "33155783881"})]))
    assert event == InboundEvent(
        provider="meta",
        provider_id=WAMID,
        from_="+33612345678",
        to=PHONE_NUMBER_ID,
        kind="text",
        text="Bonjour",
        media_count=0,
        at=SENT_AT,
        event_key=f"meta:{WAMID}:inbound",
        in_reply_to="wamid.question",
    )
    assert "Bonjour" not in repr(event)
    assert "33612345678" not in repr(event)


def test_somebody_who_withholds_the_number_is_known_by_the_user_id():
    row = message(from_user_id=USER_ID)
    del row["from"]
    event = one(value(messages=[row]))
    assert (event.from_, event.user_id) == (USER_ID, USER_ID)


def test_the_user_id_is_kept_beside_the_number():
    contacts = [{"profile": {"name": "Léa"}, "wa_id": "33612345678", "user_id": USER_ID}]
    event = one(value(messages=[message()], contacts=contacts))
    assert (event.from_, event.user_id) == ("+33612345678", USER_ID)


def test_a_sender_named_among_the_contacts_only_is_found_when_there_is_one():
    row = message()
    del row["from"]
    lea, tom = {"wa_id": "33612345678"}, {"wa_id": "33687654321"}
    assert one(value(messages=[row], contacts=[lea])).from_ == "+33612345678"
    assert one(value(messages=[row], contacts=[lea, tom])).reason == "sender"


@pytest.mark.parametrize(
    ("kind", "content", "text", "media"),
    [
        ("image", {"id": "1", "caption": "Voilà"}, "Voilà", 1),
        ("audio", {"id": "1"}, "", 1),
        ("button", {"payload": "no", "text": "Stop promotions"}, "Stop promotions", 0),
        ("interactive", {"type": "list_reply", "list_reply": {"title": "Oui"}}, "Oui", 0),
        ("interactive", {"type": ["x"]}, "", 0),
        ("reaction", {"message_id": "wamid.q", "emoji": "👍"}, "👍", 0),
        ("location", {"latitude": 48.8, "name": "Paris"}, "Paris", 0),
        ("contacts", [{"name": {}}], "", 0),
        ("unsupported", {}, "", 0),
    ],
)
def test_every_kind_of_message_is_an_answer(kind, content, text, media):
    event = one(value(messages=[message(kind, content)]))
    assert (event.kind, event.text, event.media_count) == (kind, text, media)


def test_a_reaction_says_to_what():
    row = message("reaction", {"message_id": "wamid.question", "emoji": "👍"})
    assert one(value(messages=[row])).in_reply_to == "wamid.question"


def test_a_changed_number_is_no_message():
    row = message("system", {"body": "x", "type": "user_changed_number"})
    assert isinstance(one(value(messages=[row])), Notice)


def test_somebody_who_stops_marketing_in_the_application_is_heard():
    row = {"wa_id": "33612345678", "category": "marketing_messages", "value": "stop"}
    row["timestamp"] = int(SENT_AT.timestamp())
    event = one(value(user_preferences=[row]), field="user_preferences")
    assert isinstance(event, PreferenceEvent)
    assert (event.from_, event.category, event.wanted) == (
        "+33612345678",
        "marketing_messages",
        False,
    )
    resumed = one(value(user_preferences=[row | {"value": "resume"}]), field="user_preferences")
    assert resumed.wanted
    assert resumed.event_key != event.event_key


@pytest.mark.parametrize("field", ["message_template_status_update", "phone_number_quality_update"])
def test_other_news_of_the_account_is_noted(field):
    assert one({"event": "PAUSED"}, field=field).name == field


@pytest.mark.parametrize(
    ("field", "told", "heard"),
    [
        (
            "template_category_update",
            {
                "message_template_id": 12,
                "message_template_name": "relance_rappel",
                "message_template_language": "fr",
                "previous_category": "UTILITY",
                "new_category": "MARKETING",
            },
            ("relance_rappel", "fr", "UTILITY", "MARKETING"),
        ),
        (
            "message_template_status_update",
            {"event": "PAUSED", "message_template_name": "relance_ferme", "reason": "x y\n" * 99},
            ("relance_ferme", "PAUSED"),
        ),
        ("message_template_status_update", {"event": "APPROVED"}, None),
        ("phone_number_quality_update", {"event": "FLAGGED", "current_limit": "TIER_1K"},
         ("FLAGGED", "TIER_1K")),
        ("phone_number_quality_update", {"event": "UNFLAGGED"}, None),
        ("message_template_quality_update", {"new_quality_score": "RED"}, ("RED",)),
        ("message_template_quality_update", {"new_quality_score": "GREEN"}, None),
        ("account_update", {"event": ["odd"], "decision": {}}, ()),
        ("security", {"event": "PIN_CHANGED"}, None),
    ],
)  # fmt: skip
def test_bad_news_of_the_account_is_for_the_operator(field, told, heard):
    assert one(told, field=field).tell == heard


def test_an_error_of_the_account_is_noted():
    assert one(value(errors=[{"code": 130429}])).name == "error_130429"


def test_a_batch_keeps_its_order_and_loses_nothing_to_one_bad_item():
    body = meta(
        value(statuses=[status("sent"), status(id=None), status("read")]), "absurd", value()
    )
    found = read(body, received_at=RECEIVED)
    sha256 = hashlib.sha256(body).hexdigest()
    assert [getattr(event, "state", None) for event in found] == ["sent", None, "read", None, None]
    assert found[1] == Unreadable(
        "meta", sha256, "message_id", "entry.0.changes.0.value.statuses.1"
    )
    assert found[3] == Unreadable("meta", sha256, "no_value", "entry.0.changes.1")
    assert isinstance(found[4], Notice)


def test_the_same_event_has_the_same_key_and_another_has_another():
    names = ["sent", "delivered", "read", "failed"]
    rows = [status(name) for name in names] + [status("sent", id="wamid.other")]
    keys = [event.event_key for event in events(value(statuses=rows))]
    assert len(set(keys)) == len(rows)
    again = events(value(statuses=list(reversed(rows)), contacts=[{"new": "field"}]))
    assert [event.event_key for event in again] == list(reversed(keys))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"entry":{}}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"entry":[NaN]}',
        b'{"a":' + b"9" * 5_000 + b"}",
        b" " * (3 * 1024 * 1024 + 1),
    ],
)
def test_a_body_that_cannot_be_read_is_reported_by_its_hash(body):
    (event,) = read(body, received_at=RECEIVED)
    assert isinstance(event, Unreadable)
    assert event.sha256 == hashlib.sha256(body).hexdigest()


def test_a_body_cut_anywhere_is_reported_or_read_whole():
    body = meta(value(statuses=[status()], messages=[message()]))
    for end in range(0, len(body), 7):
        assert [type(event) for event in read(body[:end], received_at=RECEIVED)] == [Unreadable]


@given(st.binary(max_size=60) | anything.map(lambda found: json.dumps(found).encode()))
def test_no_body_crashes_the_reading(body):
    read(body, received_at=RECEIVED)


@given(
    st.sampled_from(["statuses", "messages", "user_preferences", "errors", "contacts"]),
    st.sampled_from(["id", "status", "timestamp", "type", "text", "from", "errors", "context"]),
    anything,
)
def test_no_field_crashes_the_reading_and_every_item_leaves_something(name, field, absurd):
    rows = {"statuses": [status("failed", errors=[{"code": 1}])], "messages": [message()]}
    rows[name] = [rows.get(name, [{}])[0] | {field: absurd}]
    found = events(value(**rows))
    assert len(found) >= 2
    for event in found:
        assert event.event_key
        assert "\x00" not in getattr(event, "text", "")
        if isinstance(event, StatusEvent | InboundEvent):
            assert event.at <= RECEIVED


@pytest.mark.parametrize("absurd", ["99999999999999", "-1", "0", "soon", None, 1e30, True, 10**20])
def test_an_absurd_time_is_the_time_of_receipt(absurd):
    assert one(value(statuses=[status(timestamp=absurd)])).at == RECEIVED


def test_a_text_can_always_be_stored():
    (event,) = events(value(messages=[message(content={"body": "a\x00b\ud800c" + "é" * 70_000})]))
    assert event.text.startswith("a\ufffdb\ufffdcé")
    assert len(event.text) == 65_536


def test_three_megabytes_of_statuses_are_all_read():
    rows = [status(id=f"wamid.{number}") for number in range(15_000)]
    body = meta(value(statuses=rows))
    assert len(body) < 3 * 1024 * 1024
    assert len(read(body, received_at=RECEIVED)) == 15_000
