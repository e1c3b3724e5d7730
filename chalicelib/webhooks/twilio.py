"""Twilio's two requests: the status of a message, and a message that somebody sent us.

Fields come and go without notice (twilio.com/docs/messaging/guides/webhook-request): only those
named here are looked at. Check the signature first, with `signatures.verify_twilio`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from typing import Literal

from chalicelib.message_reference import known
from chalicelib.webhooks.events import Event, InboundEvent, Notice, State, StatusEvent, Unreadable
from chalicelib.webhooks.payload import Form, Malformed, code, form_pairs, identifier, text

PROVIDER = "twilio"

# Message status values of the Messages resource. `canceled`: Twilio will not send it any more.
_STATES: dict[str, State] = {
    "queued": "accepted",
    "accepted": "accepted",
    "scheduled": "accepted",
    "sending": "accepted",
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "undelivered": "failed",
    "failed": "failed",
    "canceled": "failed",
}
_PREFIX = re.compile(r"[a-z]{1,20}:")
_NUMBER = re.compile(r"\+[1-9][0-9]{5,14}")
_USER_ID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
_OPT: dict[str, Literal["out", "in"]] = {"STOP": "out", "START": "in"}
_MOST_MEDIA = 100


def read_status(body: bytes, *, reference: str | None, received_at: datetime) -> list[Event]:
    """One status of a message. `reference` is ours, from the query of the address that
    Twilio called. Twilio gives no time: `at` is `received_at` (aware). Never raises."""

    def read(form: Form) -> Event:
        sid = identifier(form.get("MessageSid") or form.get("SmsSid"), "message_id")
        status = form.get("MessageStatus") or form.get("SmsStatus")
        state = _STATES.get(status)
        if state is None:
            name = code(status)
            if name is None:
                raise Malformed("status")
            return Notice(PROVIDER, f"status_{name}", f"twilio:{sid}:{name}")
        why = (code(form.get("ErrorCode")) or status) if state == "failed" else None
        key = f"twilio:{sid}:{status}" + (f":{why}" if why else "")
        return StatusEvent(
            provider=PROVIDER,
            provider_id=sid,
            reference=known(reference),
            state=state,
            code=why,
            at=received_at,
            event_key=key,
        )

    return [_reading(body, read)]


def read_inbound(body: bytes, *, received_at: datetime) -> list[Event]:
    """One message from somebody. `at` is `received_at` (aware). Never raises."""

    def read(form: Form) -> Event:
        sid = identifier(form.get("MessageSid") or form.get("SmsMessageSid"), "message_id")
        sender = _person(form.get("From"))
        # Where Twilio passes Meta's id on beside the number, or in its place.
        user_id = next(filter(_USER_ID.fullmatch, (sender, form.get("ExternalUserId"))), None)
        if not sender and user_id is None:
            raise Malformed("sender")
        media = form.get("NumMedia")
        return InboundEvent(
            provider=PROVIDER,
            provider_id=sid,
            from_=sender or user_id or "",
            to=_person(form.get("To")),
            kind=code(form.get("MessageType")) or "text",
            text=text(form.get("Body")) or text(form.get("ButtonText")),
            media_count=min(int(media), _MOST_MEDIA) if re.fullmatch("[0-9]{1,4}", media) else 0,
            at=received_at,
            event_key=f"twilio:{sid}:inbound",
            in_reply_to=text(form.get("OriginalRepliedMessageSid"), 256).strip() or None,
            user_id=user_id,
            provider_opt=_OPT.get(form.get("OptOutType").upper()),
            service=code(form.get("MessagingServiceSid")),
        )

    return [_reading(body, read)]


def _reading(body: bytes, read: Callable[[Form], Event]) -> Event:
    try:
        return read(Form(form_pairs(body)))
    except Malformed as error:
        return Unreadable(PROVIDER, hashlib.sha256(body).hexdigest(), error.reason)


def _person(address: str) -> str:
    """`whatsapp:+33612345678` as a number, or as Meta's user id; empty for anything else."""
    bare = _PREFIX.sub("", address.strip(), count=1)
    return bare if _NUMBER.fullmatch(bare) or _USER_ID.fullmatch(bare) else ""
