"""From raw bytes to what an e-mail says: parsed from memory right after its row is committed, or
from the store when the process that read it has died.

Each try is counted in the database before it is made. After `TRIES` the e-mail is *unreadable*: its
raw copy stays, and nobody fetches or parses it again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from chalicelib import logs
from chalicelib.errors import AttachmentUnavailable
from chalicelib.mail.parsed import ParsedMail
from chalicelib.mailboxes.copies import Copies
from chalicelib.mailboxes.lease import Desk, Held
from chalicelib.mailboxes.second_parser import FEWEST, SecondParser
from chalicelib.providers.storage.keys import mail_part_key

TRIES = 3
# What a dead process left is parsed so many at a time; what has failed before, alone.
TOGETHER = 16
LARGEST_HEADER = 1_000_000

_BEGIN = text("""
UPDATE ponctuel.emails SET attempts = attempts + 1
 WHERE id IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:ids AS jsonb)))
""")

_PENDING = text("""
SELECT id, raw_key, attempts, internal_date, size FROM ponctuel.emails
 WHERE mailbox_id = :mailbox_id AND state = 'pending'
   AND id NOT IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:but AS jsonb)))
 ORDER BY attempts, id LIMIT :limit
""")

_UNREADABLE = text("""
UPDATE ponctuel.emails SET state = 'unreadable', settled_at = ponctuel.clock()
 WHERE mailbox_id = :mailbox_id AND state = 'pending' AND attempts >= :tries
""")

# What a header says of the direction is more than in which folder it was first seen.
_SAVE = text("""
WITH given AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset(CAST(:parsed AS jsonb)) AS p(
    id bigint, state text, faults text[], nature text, sent_at timestamptz, subject text,
    from_email text, from_name text, recipients jsonb, in_reply_to text, refs text[], text text,
    html text, snippet text, bounce jsonb)
), saved AS (
  UPDATE ponctuel.emails e
     SET state = g.state, faults = g.faults, nature = g.nature,
         direction = CASE WHEN g.from_email = :address THEN 'out' ELSE e.direction END,
         sent_at = COALESCE(g.sent_at, e.internal_date), subject = g.subject,
         from_email = g.from_email, from_name = g.from_name, recipients = g.recipients,
         in_reply_to = g.in_reply_to, refs = g.refs, text = g.text, html = g.html,
         snippet = g.snippet, bounce = g.bounce
    FROM given g WHERE e.id = g.id
)
INSERT INTO ponctuel.email_attachments (
  email_id, position, name, declared_type, type, size, inline, content_id, sha256, stored_key)
SELECT a.email_id, a.position, a.name, a.declared_type, a.type, a.size, a.inline, a.content_id,
       decode(a.sha256, 'hex'), a.stored_key
  FROM jsonb_to_recordset(CAST(:parts AS jsonb)) AS a(
    email_id bigint, position integer, name text, declared_type text, type text, size bigint,
    inline boolean, content_id text, sha256 text, stored_key text)
ON CONFLICT (email_id, position) DO NOTHING
""")


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


class Parsing:
    """`in_memory`: e-mails of more bytes are stubs."""

    def __init__(
        self,
        desk: Desk,
        copies: Copies,
        parse: Parse,
        *,
        in_memory: int,
        second: SecondParser | None = None,
    ) -> None:
        self._desk = desk
        self._copies = copies
        self._parse = parse
        self._second = second
        self._in_memory = in_memory

    def parse(self, held: Held, raws: Sequence[Raw]) -> Counter[str]:
        """Parses these, whose try is counted, and saves what they say. Returns the number by
        state; those that failed are tried again by `catch_up`."""
        rows, parts, counts = [], [], Counter[str]()
        contents: dict[str, bytes] = {}
        for raw, mail in self._said(raws):
            if mail is None:
                counts["parse_failures"] += 1
                continue
            try:
                row = _row(raw, mail)
                its_parts = _parts(held, raw, mail, contents)
            except Exception as error:  # noqa: BLE001 - one unreadable e-mail stops no other
                logs.warning("email_not_kept", email_id=raw.email_id, error=error)
                counts["parse_failures"] += 1
                continue
            rows.append(row)
            parts += its_parts
        if rows:
            self._copies.write(contents)
            counts.update(self._save(held, rows, parts))
        return counts

    def _said(self, raws: Sequence[Raw]) -> Iterator[tuple[Raw, ParsedMail | None]]:
        """Each with what it says, None when it could not be parsed. Every second one is parsed
        beside us, where that is possible."""
        shared = raws[1::2]
        second = self._second if len(raws) >= FEWEST else None
        if second is None or not second.begin([(raw.content, raw.received) for raw in shared]):
            own, shared = raws, ()
        else:
            own = raws[::2]
        found = [self._one(raw) for raw in own]
        yield from zip(own, found, strict=True)
        if second is not None and shared:
            for raw, mail in zip(shared, second.end(len(shared)), strict=True):
                if isinstance(mail, str):
                    logs.warning("email_not_parsed", email_id=raw.email_id, kind=mail)
                yield raw, None if isinstance(mail, str) else mail

    def _one(self, raw: Raw) -> ParsedMail | None:
        try:
            return self._parse(raw.content, received=raw.received)
        except Exception as error:  # noqa: BLE001 - one unreadable e-mail stops no other
            logs.warning("email_not_parsed", email_id=raw.email_id, error=error)
            return None

    def catch_up(self, held: Held, over: Callable[[], bool]) -> Counter[str]:
        """Parses what is left from earlier runs, of which each e-mail has one try now."""
        counts, tried = Counter[str](), list[int]()
        with self._desk.writing(held) as connection:
            values = {"mailbox_id": held.id, "tries": TRIES}
            counts["unreadable"] = connection.execute(_UNREADABLE, values).rowcount
        while not over():
            with self._desk.writing(held) as connection:
                found = connection.execute(
                    _PENDING,
                    {"mailbox_id": held.id, "but": json.dumps(tried), "limit": TOGETHER},
                ).all()
                if found and found[0].attempts > 1:
                    found = found[:1]
                ids = [row.id for row in found]
                connection.execute(_BEGIN, {"ids": json.dumps(ids)})
            if not found:
                break
            tried += ids
            raws = [raw for row in found if (raw := self._stored(row)) is not None]
            counts.update(self.parse(held, raws))
        return counts

    def _stored(self, row: Any) -> Raw | None:
        stub = row.size > self._in_memory
        try:
            content = self._copies.read(
                header_key(row.raw_key) if stub else row.raw_key,
                max_bytes=LARGEST_HEADER if stub else self._in_memory,
            )
        except AttachmentUnavailable as error:
            logs.warning("raw_copy_missing", email_id=row.id, error=error)
            return None
        return Raw(row.id, content, row.internal_date, stub)

    def _save(
        self, held: Held, rows: list[dict[str, Any]], parts: list[dict[str, Any]]
    ) -> Counter[str]:
        try:
            with self._desk.writing(held) as connection:
                _store(connection, held, rows, parts)
        except DBAPIError as error:
            # Something in one of them is more than PostgreSQL takes.
            if len(rows) == 1:
                logs.warning("email_not_saved", email_id=rows[0]["id"], error=error)
                return Counter(parse_failures=1)
            counts = Counter[str]()
            for row in rows:
                own = [part for part in parts if part["email_id"] == row["id"]]
                counts.update(self._save(held, [row], own))
            return counts
        return Counter(row["state"] for row in rows)


def header_key(raw_key: str) -> str:
    """Where the header of a stub is, beside the whole."""
    return f"{raw_key}.header"


def _store(
    connection: Connection, held: Held, rows: list[dict[str, Any]], parts: list[dict[str, Any]]
) -> None:
    values = {"parsed": json.dumps(rows), "parts": json.dumps(parts)}
    connection.execute(_SAVE, {**values, "address": held.row["address"]})


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


def _parts(
    held: Held, raw: Raw, mail: ParsedMail, contents: dict[str, bytes]
) -> list[dict[str, Any]]:
    rows = []
    for position, part in enumerate(mail.parts, start=1):
        key = None
        if part.content is not None:
            key = mail_part_key(held.business_id, part.sha256)
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
    return rows
