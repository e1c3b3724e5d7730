"""What an e-mail says, as rows of the database. Pure; it also runs in processes of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Protocol

from chalicelib.mail.parsed import ParsedMail
from chalicelib.providers.storage.keys import mail_part_key


class Parse(Protocol):
    def __call__(self, raw: bytes, /, *, received: datetime | None) -> ParsedMail:
        """See `chalicelib.mail`."""
        ...


@dataclass(frozen=True)
class Raw:
    """An e-mail to be parsed. `stub`: `content` is its header only."""

    email_id: int
    content: bytes = field(repr=False)
    received: datetime | None
    stub: bool = False


@dataclass(frozen=True)
class Read:
    """What became of one: `row` and `parts` are JSON, `contents` the attachments by key in the
    store. `error` says why it could not be parsed: the exception, or its name from elsewhere."""

    email_id: int
    state: str = ""
    row: str = field(default="", repr=False)
    parts: Sequence[str] = field(default=(), repr=False)
    contents: dict[str, bytes] = field(default_factory=dict, repr=False)
    error: Exception | str | None = None


def read(business_id: str, raws: Sequence[Raw], parse: Parse) -> list[Read]:
    """Parses them; one that cannot be parsed stops no other."""
    found = []
    for raw in raws:
        try:
            found.append(_read(business_id, raw, parse(raw.content, received=raw.received)))
        except Exception as error:  # noqa: BLE001 - whatever a foreign e-mail makes of the parser
            found.append(Read(raw.email_id, error=error))
    return found


def _read(business_id: str, raw: Raw, mail: ParsedMail) -> Read:
    row = _row(raw, mail)
    contents: dict[str, bytes] = {}
    parts = _parts(business_id, raw, mail, contents)
    return Read(raw.email_id, row["state"], json.dumps(row), parts, contents)


def _row(raw: Raw, mail: ParsedMail) -> dict[str, Any]:
    sender = next((party for party in mail.parties if party.role == "from"), None)
    return {
        "id": raw.email_id,
        "state": "stub" if raw.stub else "partial" if mail.faults else "parsed",
        "faults": list(mail.faults),
        "nature": mail.nature,
        "sent_at": mail.sent_at.isoformat() if mail.sent_at else None,
        "subject": mail.subject,
        "from_email": sender.email if sender else "",
        "from_name": sender.name if sender else "",
        "recipients": [
            {"role": party.role, "email": party.email, "name": party.name}
            for party in mail.parties
            if party.role != "from"
        ],
        "in_reply_to": mail.in_reply_to,
        "refs": list(mail.references),
        "text": mail.text,
        "html": mail.html,
        "snippet": mail.snippet,
        "bounce": asdict(mail.bounce) if mail.bounce else None,
    }


def _parts(business_id: str, raw: Raw, mail: ParsedMail, contents: dict[str, bytes]) -> list[str]:
    rows = []
    for position, part in enumerate(mail.parts, start=1):
        key = None
        if part.content is not None:
            key = mail_part_key(business_id, part.sha256)
            contents[key] = part.content
        rows.append(
            {
                "email_id": raw.email_id,
                "position": position,
                "name": part.name,
                "declared_type": part.declared_type,
                "type": part.type,
                "size": part.size,
                "inline": part.inline,
                "content_id": part.content_id,
                "sha256": part.sha256.hex(),
                "stored_key": key,
            }
        )
    return [json.dumps(row) for row in rows]
