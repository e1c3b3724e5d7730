"""Meta's WhatsApp webhooks: one body carries many changes, in any order.

Names are those of developers.facebook.com, webhooks reference, read in 2026. Since 2026 a person
may withhold the number: `wa_id`, `from` and `recipient_id` can be absent. Check the signature
first, with `signatures.verify_meta`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from chalicelib.message_reference import known
from chalicelib.webhooks.events import (
    Event,
    InboundEvent,
    Notice,
    PreferenceEvent,
    State,
    StatusEvent,
    Unreadable,
)
from chalicelib.webhooks.payload import (
    Malformed,
    canonical,
    code,
    digest,
    identifier,
    json_object,
    mapping,
    rows,
    text,
    unix_instant,
)

PROVIDER = "meta"

# A voice message is `played` after it was delivered, as a text is read.
_STATES: dict[str, State] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",
    "failed": "failed",
}
# Fields of Meta's webhooks about an account and its templates (webhooks reference, read in 2026).
_OF_THE_ACCOUNT = frozenset(
    {
        "account_alerts",
        "account_review_update",
        "account_update",
        "business_capability_update",
        "message_template_quality_update",
        "message_template_status_update",
        "phone_number_quality_update",
        "template_category_update",
    }
)
_GOOD_NEWS = frozenset(
    {
        "APPROVED",
        "GREEN",
        "ONBOARDING",
        "PARTNER_ADDED",
        "PENDING",
        "REINSTATED",
        "THROUGHPUT_UPGRADE",
        "UNFLAGGED",
        "UPGRADE",
        "VERIFIED_ACCOUNT",
    }
)
_NEWS = (
    "message_template_name",
    "message_template_language",
    "previous_category",
    "new_category",
    "previous_quality_score",
    "new_quality_score",
    "event",
    "decision",
    "alert_type",
    "reason",
    "current_limit",
    "max_daily_conversation_per_phone",
)
_MEDIA = frozenset({"audio", "document", "image", "sticker", "video"})
_NUMBER = re.compile(r"\+?([1-9][0-9]{5,14})")
_USER_ID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")


class _Change(NamedTuple):
    """What is common to the items of one change."""

    value: Mapping[str, Any]
    to: str
    received_at: datetime


def read(body: bytes, *, received_at: datetime) -> list[Event]:
    """The events of one request, in its order. An item that cannot be read is an `Unreadable` with
    its path; the others are not lost with it. `received_at` is aware. Never raises."""
    sha256 = hashlib.sha256(body).hexdigest()
    try:
        entries = json_object(body).get("entry")
        if not isinstance(entries, list):
            raise Malformed("no_entry")
    except Malformed as error:
        return [Unreadable(PROVIDER, sha256, error.reason)]
    events: list[Event] = []
    for where, item in _changes(entries):
        try:
            change = mapping(item)
            value = change.get("value")
            if not isinstance(value, dict):
                raise Malformed("no_value")
            events += _read_change(change, value, where, sha256, received_at)
        except Malformed as error:
            events.append(Unreadable(PROVIDER, sha256, error.reason, where))
    return events


def _changes(entries: list[Any]) -> Iterator[tuple[str, Any]]:
    for number, entry in enumerate(entries):
        changes = mapping(entry).get("changes")
        if not isinstance(changes, list):
            yield f"entry.{number}", None
            continue
        for index, change in enumerate(changes):
            yield f"entry.{number}.changes.{index}", change


def _read_change(
    item: Mapping[str, Any],
    value: Mapping[str, Any],
    where: str,
    sha256: str,
    received_at: datetime,
) -> list[Event]:
    field = code(item.get("field")) or "unknown"
    sender = mapping(value.get("metadata")).get("phone_number_id")
    change = _Change(value, code(sender) or "", received_at)
    readers: dict[str, Callable[[Mapping[str, Any], _Change], Event]] = {
        "statuses": _status,
        "messages": _inbound,
        "user_preferences": _preference,
        "errors": _error,
    }
    events: list[Event] = []
    for name, read_item in readers.items():
        for number, row in enumerate(rows(value.get(name))):
            try:
                events.append(read_item(mapping(row), change))
            except Malformed as error:
                path = f"{where}.value.{name}.{number}"
                events.append(Unreadable(PROVIDER, sha256, error.reason, path))
    if events:
        return events
    return [Notice(PROVIDER, field, f"meta:{field}:{digest(canonical(item))}", _news(field, value))]


def _news(field: str, value: Mapping[str, Any]) -> tuple[str, ...] | None:
    """What of a change concerns whoever runs the account: a template that is paused or has become
    marketing, a number that people block, an account that is restricted."""
    verdicts = (code(value.get(name)) for name in ("event", "decision", "new_quality_score"))
    if field not in _OF_THE_ACCOUNT or _GOOD_NEWS.intersection(verdicts):
        return None
    return tuple(filter(None, (code(value.get(name)) for name in _NEWS)))


def _status(row: Mapping[str, Any], change: _Change) -> Event:
    wamid = identifier(row.get("id"), "message_id")
    status = code(row.get("status"))
    if status is None:
        raise Malformed("status")
    state = _STATES.get(status)
    if state is None:
        return Notice(PROVIDER, f"status_{status}", f"meta:{wamid}:{status}")
    why = None
    if state == "failed":
        errors = rows(row.get("errors"))
        why = (code(mapping(errors[0]).get("code")) if errors else None) or "failed"
    return StatusEvent(
        provider=PROVIDER,
        provider_id=wamid,
        reference=known(row.get("biz_opaque_callback_data")),
        state=state,
        code=why,
        at=unix_instant(row.get("timestamp"), change.received_at),
        event_key=f"meta:{wamid}:{status}" + (f":{why}" if why else ""),
    )


def _inbound(row: Mapping[str, Any], change: _Change) -> Event:
    wamid = identifier(row.get("id"), "message_id")
    kind = code(row.get("type")) or "unknown"
    if kind == "system":  # a changed number, a changed identity: nobody wrote
        return Notice(PROVIDER, "system_message", f"meta:{wamid}:system")
    number, user_id = _who(row, change.value, "from", "from_user_id")
    return InboundEvent(
        provider=PROVIDER,
        provider_id=wamid,
        from_=number or user_id or "",
        to=change.to,
        kind=kind,
        text=_text(kind, mapping(row.get(kind))),
        media_count=1 if kind in _MEDIA else 0,
        at=unix_instant(row.get("timestamp"), change.received_at),
        event_key=f"meta:{wamid}:inbound",
        in_reply_to=_answered(row),
        user_id=user_id,
    )


def _text(kind: str, content: Mapping[str, Any]) -> str:
    """What the person wrote, or the label of what was tapped."""
    if kind == "interactive":
        content = mapping(content.get(code(content.get("type")) or ""))
    names = ("body", "caption", "text", "title", "emoji", "name")
    return next((text(content[name]) for name in names if text(content.get(name))), "")


def _answered(row: Mapping[str, Any]) -> str | None:
    reaction, context = mapping(row.get("reaction")), mapping(row.get("context"))
    return text(reaction.get("message_id") or context.get("id"), 256) or None


def _preference(row: Mapping[str, Any], change: _Change) -> Event:
    value, category = code(row.get("value")), code(row.get("category"))
    if value not in {"stop", "resume"} or category is None:
        raise Malformed("preference")
    number, user_id = _who(row, change.value, "wa_id", "user_id")
    at = unix_instant(row.get("timestamp"), change.received_at)
    who = digest(change.to, number or "", user_id or "", category, code(row.get("timestamp")) or "")
    return PreferenceEvent(
        provider=PROVIDER,
        from_=number or user_id or "",
        to=change.to,
        category=category,
        wanted=value == "resume",
        at=at,
        event_key=f"meta:preference:{value}:{who}",
        user_id=user_id,
    )


def _error(row: Mapping[str, Any], _: _Change) -> Event:
    name = f"error_{code(row.get('code')) or 'unknown'}"
    return Notice(PROVIDER, name, f"meta:{name}:{digest(canonical(row))}")


def _who(
    row: Mapping[str, Any], value: Mapping[str, Any], number_name: str, user_name: str
) -> tuple[str | None, str | None]:
    """The person's number (E.164) and user id. A change about one person may name them once, in
    `contacts`. Raises `Malformed` (`sender`) when neither is known."""
    contacts = rows(value.get("contacts"))
    contact = mapping(contacts[0]) if len(contacts) == 1 else {}
    number = _number(row.get(number_name)) or _number(contact.get("wa_id"))
    user_id = _user_id(row.get(user_name)) or _user_id(contact.get("user_id"))
    if number is None and user_id is None:
        raise Malformed("sender")
    return number, user_id


def _number(value: object) -> str | None:
    found = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    return f"+{found[1]}" if found else None


def _user_id(value: object) -> str | None:
    return value if isinstance(value, str) and _USER_ID.fullmatch(value) else None
