"""Delivery status reports (RFC 3464): which recipients a message did not reach, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping

from chalicelib.mail.addresses import address_list
from chalicelib.mail.charsets import decode
from chalicelib.mail.parsed import Failed

MAX_RECIPIENTS = 500
_GROUPS = re.compile(rb"\n[ \t\r]*\n")
_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:((?:.*(?:\r?\n[ \t].*)*))", re.MULTILINE)
_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_REPLY = re.compile(r"(?<![\d.])([45])\d\d[ \-#]")


def failed_recipients(content: bytes) -> tuple[list[Failed], bool]:
    """Of the body of a message/delivery-status part: who was not reached yet or for good, and
    whether it said anything about anybody at all."""
    found: dict[str, Failed] = {}
    reported = False
    for group in _GROUPS.split(content[:1_000_000].strip())[: MAX_RECIPIENTS + 1]:
        fields = {m[1].lower(): decode(m[2])[0].strip() for m in _FIELD.finditer(group)}
        email = _recipient(fields)
        if email is None:
            continue
        reported = True
        action = fields.get(b"action", "").partition(" ")[0].strip(";").lower()
        diagnostic = fields.get(b"diagnostic-code", "")
        status = status_in(fields.get(b"status", "")) or status_in(diagnostic)
        if action in ("delivered", "relayed", "expanded") or (not action and status[:1] == "2"):
            continue
        failed = action != "delayed"
        status = status or ("5.0.0" if failed else "4.0.0")
        permanent = failed and status.startswith("5")
        found.setdefault(email, Failed(email, status, permanent, gave_up=action == "failed"))
    return list(found.values()), reported


def status_in(text: str) -> str:
    """The enhanced status code (RFC 3463) in a text, or the class of its SMTP reply; `""` without
    either."""
    enhanced = _ENHANCED.search(text[:5000])
    if enhanced is not None:
        return ".".join(str(int(part)) for part in enhanced.groups())
    reply = _REPLY.search(text[:5000] + " ")
    return f"{reply[1]}.0.0" if reply is not None else ""


def _recipient(fields: Mapping[bytes, str]) -> str | None:
    """Whom we wrote to: the original recipient, not whom their mail is forwarded to."""
    known = False
    for name in (b"original-recipient", b"final-recipient", b"x-actual-recipient"):
        value = fields.get(name)
        if value is None:
            continue
        known = True
        kind, semicolon, address = value.partition(";")
        if semicolon and kind.strip().lower() not in ("rfc822", "utf-8", "smtp"):
            continue
        emails = [email for _, email in address_list((address if semicolon else value)[:1000])]
        if emails and emails[0]:
            return emails[0]
    return "" if known else None
