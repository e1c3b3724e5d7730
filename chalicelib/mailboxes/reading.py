"""Reading messages of one folder: what is known already is recognised by its header, the rest is
fetched in batches, put into the store, and committed together with its place and the cursor.

Raw bytes are in the store before the rows that name them, and rows are committed before they are
parsed: wherever a process dies, at most a batch is fetched again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection

from chalicelib import logs
from chalicelib.mail.identity import Identity, artificial_id, head, identify
from chalicelib.mail.structure import header_end
from chalicelib.mailboxes import places
from chalicelib.mailboxes.copies import Copies
from chalicelib.mailboxes.folders import KnownFolder
from chalicelib.mailboxes.lease import Desk, Held
from chalicelib.mailboxes.memory import Memory
from chalicelib.mailboxes.parsing import Parsing, Raw, header_key
from chalicelib.mailboxes.places import Alike, Row
from chalicelib.providers.imap.port import Fetched, ImapError, Listed, MailSession
from chalicelib.providers.storage.keys import mail_key

# Headers are asked for so many at a time, and messages listed.
HEADERS = 500
LISTED = 2000
# A message whose size the server does not tell is taken to be that large.
UNKNOWN_SIZE = 100_000
# Of a message that is too large to be held in memory, its header is looked for in so much.
LONGEST_HEADER = 1_000_000

_DELIVERED = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Limits:
    """Of one batch: messages, and bytes. `in_memory`: a message of more bytes is kept as a stub.
    `mailbox_seconds`: then the next mailbox has its turn."""

    batch_messages: int = 250
    batch_bytes: int = 8_000_000
    in_memory: int = 25_000_000
    mailbox_seconds: float = 60.0


# Tells what a mailbox's new e-mails mean, so many at most, in the caller's transaction. Counts what
# was done; nothing when nothing is left.
Settle = Callable[[Connection, int, int], Mapping[str, int]]


@dataclass
class Tools:
    """What the mailboxes of a run share. `work`: a folder for messages that are too large for the
    memory."""

    desk: Desk
    copies: Copies
    parsing: Parsing
    memory: Memory
    limits: Limits
    work: Path
    settle: Settle


@dataclass
class Turn:
    """One mailbox being read by one thread. `over` tells that its time is up."""

    tools: Tools
    held: Held
    session: MailSession
    over: Callable[[], bool]
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def since(self) -> date | None:
        found: date | None = self.held.row["since"]
        return found


def take_in(
    turn: Turn,
    folder: KnownFolder,
    listed: Sequence[Listed],
    *,
    cursor: bool,
    moved: bool,
    look: bool,
) -> bool:
    """Reads these messages, ascending by UID. `cursor`: everything below them has been read, so
    that the cursor moves with them. `look`: they may be known from another place, and `moved`,
    whatever date the server gives them now. False when the time was up before the end."""
    listed = [one for one in listed if not (cursor and one.uid in folder.cut)]
    matched = _recognised(turn, folder, listed, moved=moved) if look and listed else {}
    for batch in batches(listed, matched, turn.tools.limits):
        if turn.over():
            return False
        _read(turn, folder, batch, matched, cursor=cursor)
    return True


def batches(
    listed: Iterable[Listed], known: Iterable[int], limits: Limits
) -> Iterator[list[Listed]]:
    """By number and by bytes; what is known costs no bytes. One message may exceed the bytes, and
    is then alone."""
    batch: list[Listed] = []
    size, free = 0, set(known)
    for one in listed:
        costs = 0 if one.uid in free else min(one.size or UNKNOWN_SIZE, limits.in_memory)
        full = len(batch) >= limits.batch_messages or size + costs > limits.batch_bytes
        if batch and full:
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += costs
    if batch:
        yield batch


def listed_from(turn: Turn, uids: Sequence[int]) -> Iterator[list[Listed]]:
    """These messages (ascending), so many at a time, without those that are there no more."""
    rest = iter(uids)
    while chunk := list(islice(rest, LISTED)):
        wanted = set(chunk)
        found = turn.session.listed(chunk[0], chunk[-1])
        yield sorted((one for one in found if one.uid in wanted), key=lambda one: one.uid)


def _recognised(
    turn: Turn, folder: KnownFolder, listed: Sequence[Listed], *, moved: bool
) -> dict[int, int]:
    """The e-mail that each message is, by UID, as far as headers can tell: the same size and the
    same header, with a Message-ID and the note of its delivery, of which no two have the same. In a
    folder that was not renumbered the server's date has to be the same too. Where two e-mails are
    alike, or a folder shows one more often than before, the content is to decide: such messages are
    not recognised."""
    with turn.tools.desk.transaction() as connection:
        found = places.alike(connection, folder, turn.held.id, listed, dated=not moved)
    if not found:
        return {}
    by_size: dict[int, list[Alike]] = {}
    for one in found:
        by_size.setdefault(one.listed_size, []).append(one)

    def may_be(message: Listed, email: Alike) -> bool:
        return moved or message.internal_date == email.internal_date

    asked = {
        message.uid: message
        for message in listed
        if any(may_be(message, email) for email in by_size.get(message.size or -1, ()))
    }
    matched: dict[int, int] = {}
    uids = list(asked)
    for start in range(0, len(uids), HEADERS):
        for headed in turn.session.headers(uids[start : start + HEADERS]):
            turn.counts["headers"] += 1
            message = asked.get(headed.uid)
            if message is None or headed.header is None or not _DELIVERED.search(headed.header):
                continue
            who = head(headed.header)
            same = [
                email
                for email in by_size[message.size or -1]
                if may_be(message, email)
                and email.header_sha256 == who.sha256.hex()
                and email.message_id == who.message_id
            ]
            if len(same) == 1 and same[0].here < max(same[0].before, 1):
                same[0].here += 1
                matched[message.uid] = same[0].id
    return matched


@dataclass
class _Batch:
    """What has been read of a batch. `contents`: by key in the store."""

    rows: dict[int, Row] = field(default_factory=dict)
    raws: dict[tuple[str, str], Raw] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    nil: list[int] = field(default_factory=list)
    cut: ImapError | None = None


def _read(
    turn: Turn,
    folder: KnownFolder,
    listed: Sequence[Listed],
    matched: dict[int, int],
    *,
    cursor: bool,
) -> None:
    fresh = {one.uid: one for one in listed if one.uid not in matched}
    batch = _Batch()
    for one in listed:
        if one.uid in matched:
            flags = places.kept_flags(one.flags)
            batch.rows[one.uid] = Row(uid=one.uid, flags=flags, email_id=matched[one.uid])
    sizes = [min(one.size or UNKNOWN_SIZE, turn.tools.limits.in_memory) for one in fresh.values()]
    with turn.tools.memory.lent(sum(sizes) + 3 * max(sizes, default=0)):
        if fresh:
            _fetch(turn, fresh, batch)
        _commit(turn, folder, listed, batch, cursor=cursor)


def _fetch(turn: Turn, fresh: dict[int, Listed], batch: _Batch) -> None:
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
    turn.tools.copies.write(batch.contents)
    batch.contents.clear()


def _receive(turn: Turn, one: Listed, message: Fetched, batch: _Batch) -> None:
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


def _commit(
    turn: Turn,
    folder: KnownFolder,
    listed: Sequence[Listed],
    batch: _Batch,
    *,
    cursor: bool,
) -> None:
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
            given_up = places.trouble(connection, folder, nil, "empty")
            turn.counts["given_up"] += given_up
        if blamed:
            places.trouble(connection, folder, blamed, "cut")
        if not cursor and batch.cut is None:
            here = set(batch.rows) | set(nil)
            if lost := [one.uid for one in listed if one.uid not in here]:
                places.no_trouble(connection, folder, lost)
    turn.held.has_mail = turn.held.has_mail or bool(inserted)
    turn.counts.update(emails=len(inserted), known=len(batch.rows) - len(inserted), nil=len(nil))
    if nil:
        logs.warning("messages_not_given", mailbox_id=turn.held.id, folder_id=folder.id, n=len(nil))
    raws = [
        replace(batch.raws[one.message_id, one.sha256.hex()], email_id=one.id) for one in inserted
    ]
    turn.counts.update(turn.tools.parsing.parse(turn.held, raws))
    if batch.cut is not None:
        raise batch.cut
