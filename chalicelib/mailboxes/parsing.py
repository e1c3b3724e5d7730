"""From raw bytes to what an e-mail says: parsed from memory right after its row is committed, or
from the store when the process that read it has died.

Each try is counted in the database before it is made. After `TRIES` the e-mail is *unreadable*: its
raw copy stays, and nobody fetches or parses it again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from chalicelib import logs
from chalicelib.errors import AttachmentUnavailable
from chalicelib.mailboxes.copies import Copies
from chalicelib.mailboxes.lease import Desk, Held
from chalicelib.mailboxes.parsed_rows import Parse, Raw, Read, read
from chalicelib.mailboxes.parsing_processes import Processes

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


class Parsing:
    """`in_memory`: e-mails of more bytes are stubs. `processes`: where many e-mails are parsed at
    once; None: here."""

    def __init__(
        self,
        desk: Desk,
        copies: Copies,
        parse: Parse,
        *,
        in_memory: int,
        processes: Processes | None = None,
    ) -> None:
        self._processes = processes
        self._desk = desk
        self._copies = copies
        self._parse = parse
        self._in_memory = in_memory

    def parse(self, held: Held, raws: Sequence[Raw]) -> Counter[str]:
        """Parses these, whose try is counted, and saves what they say. Returns the number by
        state; those that failed are tried again by `catch_up`."""
        return self.save(held, self.read(held, raws))

    def read(self, held: Held, raws: Sequence[Raw]) -> Sequence[Read]:
        """Parses these, and puts their attachments into the store. Raises `ProviderError`."""
        found = self._processes.read(held.business_id, raws) if self._processes else None
        if found is None:
            found = read(held.business_id, raws, self._parse)
        self._copies.write({key: part for one in found for key, part in one.contents.items()})
        return found

    def save(self, held: Held, found: Sequence[Read]) -> Counter[str]:
        """Saves what `read` gave; as `parse`."""
        failed = [one for one in found if one.error is not None]
        for one in failed:
            logs.warning("email_not_parsed", email_id=one.email_id, error=one.error)
        good = [one for one in found if one.error is None]
        counts = self._save(held, good) if good else Counter[str]()
        counts["parse_failures"] += len(failed)
        return +counts

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

    def _save(self, held: Held, good: Sequence[Read]) -> Counter[str]:
        try:
            with self._desk.writing(held) as connection:
                _store(connection, held, good)
        except DBAPIError as error:
            # Something in one of them is more than PostgreSQL takes.
            if len(good) == 1:
                logs.warning("email_not_saved", email_id=good[0].email_id, error=error)
                return Counter(parse_failures=1)
            middle = len(good) // 2
            return self._save(held, good[:middle]) + self._save(held, good[middle:])
        return Counter(one.state for one in good)


def header_key(raw_key: str) -> str:
    """Where the header of a stub is, beside the whole."""
    return f"{raw_key}.header"


def _store(connection: Connection, held: Held, good: Sequence[Read]) -> None:
    values = {
        "parsed": f"[{','.join(one.row for one in good)}]",
        "parts": f"[{','.join(part for one in good for part in one.parts)}]",
        "address": held.row["address"],
    }
    connection.execute(_SAVE, values)
