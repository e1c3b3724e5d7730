"""Which of the messages that Twilio lists could be one of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.providers.whatsapp.content import checked_text, checked_variables
from chalicelib.providers.whatsapp.port import Text, Trace, WhatsAppMessage

LONGEST_TEXT = 1600  # characters (twilio.com/docs/api/errors/21617)
MESSAGE_SID = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}")
# `date_created` is in whole seconds, and our clock is not Twilio's.
_CLOCKS = timedelta(minutes=1)


class Likeness:
    """Which of Twilio's messages could be ours."""

    def __init__(
        self, message: WhatsAppMessage, sender: Mapping[str, str], since: datetime
    ) -> None:
        self._sender = sender
        self._since = since - _CLOCKS
        content = message.content
        if isinstance(content, Text):
            self._whole: str | None = _squeezed(checked_text("twilio", content, LONGEST_TEXT))
            self._parts: list[str] = []
        else:
            self._whole = None
            self._parts = [_squeezed(v) for v in checked_variables("twilio", content).values()]

    def in_time(self, row: Mapping[str, Any]) -> bool:
        created = _instant(row.get("date_created"))
        return created is not None and created >= self._since

    def could_be(self, row: Mapping[str, Any], to: str) -> bool:
        if row.get("to") != to or row.get("direction") == "inbound" or not self.in_time(row):
            return False
        service = row.get("messaging_service_sid")
        if "MessagingServiceSid" in self._sender:
            if service != self._sender["MessagingServiceSid"]:
                return False
        elif row.get("from") != self._sender["From"]:
            return False
        body = row.get("body")
        if not isinstance(body, str) or not body:
            return True  # not kept, where the account asks for that
        body = _squeezed(body)
        if self._whole is not None:
            return body == self._whole
        return all(part in body for part in self._parts)


def trace_of(row: Mapping[str, Any]) -> Trace | None:
    """What the port tells of one of Twilio's messages, None if it cannot be read."""
    sid, created, number = row.get("sid"), _instant(row.get("date_created")), row.get("error_code")
    if not isinstance(sid, str) or not MESSAGE_SID.fullmatch(sid) or created is None:
        return None
    code = str(number) if isinstance(number, int) else None
    return Trace(sid, str(row.get("status") or "accepted"), created, code)


def _instant(value: object) -> datetime | None:
    """RFC 2822, as Twilio writes its dates, as aware UTC."""
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(str(value)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _squeezed(text: str) -> str:
    return " ".join(text.split())
