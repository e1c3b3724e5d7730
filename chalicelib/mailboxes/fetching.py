"""A batch of messages on its way: fetched, put into the store, committed, parsed.

Raw bytes are in the store before the rows that name them, and rows are committed before they are
parsed: wherever a process dies, at most the batches under way are fetched again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chalicelib import logs
from chalicelib.mail.identity import Identity, artificial_id, head, identify
from chalicelib.mail.structure import header_end
from chalicelib.mailboxes import places, retries
from chalicelib.mailboxes.folders import KnownFolder
from chalicelib.mailboxes.parsed_rows import Raw
from chalicelib.mailboxes.parsing import header_key
from chalicelib.mailboxes.places import Row
from chalicelib.mailboxes.turn import Turn
from chalicelib.providers.imap.port import Fetched, ImapError, Listed
from chalicelib.providers.storage.keys import mail_key

# Of a message that is too large to be held in memory, its header is looked for in so much.
LONGEST_HEADER = 1_000_000


@dataclass
class Batch:
    """What was asked for, and what has been read of it. `contents`: by key in the store. `cut`: the
    connection broke over it."""

    listed: Sequence[Listed]
    rows: dict[int, Row] = field(default_factory=dict)
    raws: dict[tuple[str, str], Raw] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    nil: list[int] = field(default_factory=list)
    cut: ImapError | None = None


def fetch(turn: Turn, listed: Sequence[Listed], matched: dict[int, int]) -> Batch:
    """Fetches those of `listed` that are not matched with an e-mail. Raises `ProviderError` of the
    store, where those go at once that are too large for the memory."""
    batch = Batch(listed)
    for one in listed:
        if one.uid in matched:
            flags = places.kept_flags(one.flags)
            batch.rows[one.uid] = Row(uid=one.uid, flags=flags, email_id=matched[one.uid])
    fresh = {one.uid: one for one in listed if one.uid not in matched}
    if fresh:
        _fetch(turn, fresh, batch)
    return batch


def _fetch(turn: Turn, fresh: dict[int, Listed], batch: Batch) -> None:
    limits = turn.tools.limits
    try:
        fetched = turn.session.messages(
            list(fresh), in_memory=limits.in_memory, folder=turn.tools.work
        )
        for message in fetched:
            one = fresh.get(message.uid)
            if one is None or message.uid in batch.rows:
                _discard(message)
            elif message.raw is None and message.file is None:
                batch.nil.append(message.uid)
            else:
                _receive(turn, one, message, batch)
        if absent := set(fresh) - set(batch.rows) - set(batch.nil):
            # Expunged since they were listed, or left out by the server.
            batch.nil += sorted(absent & set(turn.session.flags(sorted(absent))))
    except ImapError as error:
        # What has come is kept, or a line that breaks after each megabyte would never get further.
        batch.cut = error


def store(turn: Turn, batch: Batch) -> None:
    """Puts into the store what has come. Raises `ProviderError`."""
    turn.tools.copies.write(batch.contents)
    batch.contents.clear()


def _receive(turn: Turn, one: Listed, message: Fetched, batch: Batch) -> None:
    if message.raw is not None:
        content, size = message.raw, len(message.raw)
        who = identify(content)
        key = mail_key(turn.held.business_id, who.sha256)
        batch.contents[key] = content
    else:
        assert message.file is not None
        size = message.size
        key = mail_key(turn.held.business_id, message.sha256)
        try:
            with message.file.open("rb") as file:
                start = file.read(LONGEST_HEADER)
            turn.tools.copies.write_file(key, message.file)
        finally:
            _discard(message)
        content = start[: header_end(start, 0)]
        who = _identity(content, message.sha256)
        batch.contents[header_key(key)] = content
    sha256 = who.sha256.hex()
    batch.rows[one.uid] = Row(
        uid=one.uid,
        flags=places.kept_flags(one.flags),
        message_id=who.message_id,
        has_message_id=who.has_message_id,
        sha256=sha256,
        header_sha256=who.header_sha256.hex(),
        size=size,
        listed_size=one.size,
        raw_key=key,
        internal_date=one.internal_date,
    )
    batch.raws[who.message_id, sha256] = Raw(
        email_id=0, content=content, received=one.internal_date, stub=message.raw is None
    )
    turn.counts["bytes"] += size


def _identity(header: bytes, sha256: bytes) -> Identity:
    """Of a message whose body is too large to be looked at."""
    found = head(header)
    return Identity(
        message_id=found.message_id or artificial_id(header, sha256),
        has_message_id=found.message_id is not None,
        sha256=sha256,
        header_sha256=found.sha256,
    )


def _discard(message: Fetched) -> None:
    if message.file is not None:
        message.file.unlink(missing_ok=True)


def commit(turn: Turn, folder: KnownFolder, batch: Batch, *, cursor: bool) -> list[Raw]:
    """Commits what has come; returns what is to be parsed now. `cursor`: everything below the batch
    is read. Raises `LeaseLost`."""
    listed = batch.listed
    last_uid = 0
    blamed: list[int] = []
    if batch.cut is not None:
        blamed = [one.uid for one in listed if one.uid not in batch.rows][:1]
    if cursor:
        handled = [one.uid for one in listed if not blamed or one.uid < blamed[0]]
        last_uid = max(handled, default=0)
    nil = [uid for uid in batch.nil if batch.cut is None or uid <= last_uid or not cursor]
    with turn.tools.desk.writing(turn.held) as connection:
        inserted = places.keep(
            connection,
            folder,
            batch.rows.values(),
            business_id=turn.held.business_id,
            mailbox_id=turn.held.id,
            last_uid=last_uid,
        )
        if nil:
            given_up = retries.trouble(connection, folder, nil, "empty")
            turn.counts["given_up"] += given_up
        if blamed:
            retries.trouble(connection, folder, blamed, "cut")
        if not cursor and batch.cut is None:
            here = set(batch.rows) | set(nil)
            if lost := [one.uid for one in listed if one.uid not in here]:
                retries.no_trouble(connection, folder, lost)
    turn.held.has_mail = turn.held.has_mail or bool(inserted)
    turn.counts.update(emails=len(inserted), known=len(batch.rows) - len(inserted), nil=len(nil))
    if nil:
        logs.warning("messages_not_given", mailbox_id=turn.held.id, folder_id=folder.id, n=len(nil))
    return [
        replace(batch.raws[one.message_id, one.sha256.hex()], email_id=one.id) for one in inserted
    ]
