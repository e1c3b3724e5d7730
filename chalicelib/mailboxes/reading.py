"""Reading messages of one folder: what is known already is recognised by its header, the rest is
fetched in batches, each of which is committed with its places and the cursor."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice

from chalicelib.mail.identity import head
from chalicelib.mailboxes import places
from chalicelib.mailboxes.fetching import commit, fetch, store
from chalicelib.mailboxes.folders import KnownFolder
from chalicelib.mailboxes.pipeline import Pipeline
from chalicelib.mailboxes.places import Alike
from chalicelib.mailboxes.turn import Limits, Turn
from chalicelib.providers.imap.port import ImapError, Listed

# Headers are asked for so many at a time, and messages listed.
HEADERS = 500
LISTED = 5000
# A message whose size the server does not tell is taken to be that large.
UNKNOWN_SIZE = 100_000

_DELIVERED = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)


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
    if not listed:
        return True
    matched = _recognised(turn, folder, listed, moved=moved) if look else {}
    parts = list(batches(listed, matched, turn.tools.limits))
    if len(parts) == 1:
        return _one(turn, folder, parts[0], matched, cursor=cursor)
    return _pipelined(turn, folder, parts, matched, cursor=cursor)


def _one(
    turn: Turn,
    folder: KnownFolder,
    listed: Sequence[Listed],
    matched: dict[int, int],
    *,
    cursor: bool,
) -> bool:
    if turn.over():
        return False
    with turn.tools.memory.lent(_needs(turn, listed, matched)):
        batch = fetch(turn, listed, matched)
        store(turn, batch)
        raws = commit(turn, folder, batch, cursor=cursor)
        turn.counts.update(turn.tools.parsing.parse(turn.held, raws))
    if batch.cut is not None:
        raise batch.cut
    return True


def _pipelined(
    turn: Turn,
    folder: KnownFolder,
    parts: Sequence[Sequence[Listed]],
    matched: dict[int, int],
    *,
    cursor: bool,
) -> bool:
    cut: ImapError | None = None
    done = 0
    with Pipeline(turn, folder, cursor=cursor) as pipeline:
        for listed in parts:
            if turn.over() or cut is not None:
                break
            with ExitStack() as lent:
                lent.enter_context(turn.tools.memory.lent(_needs(turn, listed, matched)))
                batch = fetch(turn, listed, matched)
                pipeline.put(batch, lent.pop_all())
            cut = batch.cut
            done += 1
    if cut is not None:
        raise cut
    return done == len(parts)


def _needs(turn: Turn, listed: Sequence[Listed], matched: dict[int, int]) -> int:
    """Bytes of memory: the messages, and what parsing the largest takes besides."""
    most = turn.tools.limits.in_memory
    sizes = [min(one.size or UNKNOWN_SIZE, most) for one in listed if one.uid not in matched]
    return sum(sizes) + 3 * max(sizes, default=0)


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
