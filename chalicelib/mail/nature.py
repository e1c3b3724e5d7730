"""What kind of e-mail it is, by its header: written by a person, by a machine, to a list."""

from __future__ import annotations

import re

from chalicelib.mail.charsets import decode
from chalicelib.mail.parsed import Nature
from chalicelib.mail.structure import Fields

# Only ever a hint: people write such subjects too.
_SUBJECT = re.compile(
    r"^(?:re\s*:\s*)?(?:r[ée]ponse automatique|absence du bureau|absen(?:t|te|ce)\b"
    r"|message d'absence|automatic reply|auto(?:matic)?[- ]?(?:reply|response)"
    r"|autoreply|out of (?:the )?office"
    r"|en cong[ée]s?\b|je suis (?:absente?|en cong[ée])|accus[ée] de (?:r[ée]ception|lecture)"
    r"|abwesenheit)",
    re.IGNORECASE,
)
_ANSWERS_BY_ITSELF = (b"x-autoreply", b"x-autorespond", b"x-autoresponder", b"x-mail-autoreply",
                      b"x-autoreply-from")  # fmt: skip
_MEETS = re.compile(rb"^METHOD:(?:REQUEST|REPLY|CANCEL|COUNTER|DECLINECOUNTER|ADD)\b", re.I | re.M)


def nature_of(fields: Fields, subject: str, *, calendar: bool, receipt: bool) -> Nature:
    """Of what is no bounce. `calendar`: it invites, or answers an invitation; `receipt`: it is a
    report that the message was read or delivered.

    A person's answer taken for a machine's would let reminders go on: so one header that only
    machines write is enough, of those that people's mailers write too (`Precedence: bulk`,
    `X-Auto-Response-Suppress`, an empty Return-Path, the subject) it takes two."""
    if calendar:
        return "calendar"
    automatic = _value(fields, b"auto-submitted").partition(";")[0].strip()
    precedence = _value(fields, b"precedence")
    listed = any(name in fields for name in (b"list-id", b"list-unsubscribe", b"list-post"))
    if automatic.startswith("auto-replied") or precedence in ("auto_reply", "auto-reply"):
        return "auto_reply"
    if any(_value(fields, name) not in ("", "no", "false") for name in _ANSWERS_BY_ITSELF):
        return "auto_reply"
    if listed or precedence == "list":
        return "list"
    if receipt or automatic not in ("", "no"):
        return "auto_reply"
    hints = (
        precedence in ("bulk", "junk"),
        _value(fields, b"x-auto-response-suppress") not in ("", "none"),
        any(value in (b"<>", b"") for value in fields.get(b"return-path", ())),
        bool(_SUBJECT.match(subject.replace("’", "'"))),
        b"x-ms-exchange-generated-message-source" in fields,
    )
    return "auto_reply" if sum(hints) >= 2 else "mail"


def invites(content: bytes) -> bool:
    """Whether an iCalendar object asks or answers something (RFC 5546), rather than informs."""
    return _MEETS.search(content[:20_000]) is not None


def _value(fields: Fields, name: bytes) -> str:
    values = fields.get(name, ())
    return decode(values[0][:200])[0].strip().lower() if values else ""
