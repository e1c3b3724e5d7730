"""FETCH: many messages with few commands, each answer read as it arrives.

The next command is already with the server while the answers to one are read, so that it never
waits for us. Bodies go past in pieces where they are large.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from chalicelib.providers.imap.conversation import (
    Asked,
    Conversation,
    Done,
    Response,
    Take,
)
from chalicelib.providers.imap.refusals import code_of
from chalicelib.providers.imap.tokens import Literal, Value, number

# No mail server takes mail of this size: whoever announces it means harm.
LARGEST_MESSAGE = 400_000_000
# A header of this size is not kept.
LARGEST_HEADER = 1_000_000
_COMMANDS_AHEAD = 1
_BODY = re.compile(rb"[( ]BODY\[(?:HEADER)?\](?:<\d{1,10}>)? $", re.IGNORECASE)

# Of one message: what FETCH tells, by name in capitals.
Told = dict[bytes, Value]


def fetched(
    conversation: Conversation,
    uid_sets: Iterable[bytes],
    items: bytes,
    *,
    take: Take | None = None,
    modifiers: bytes = b"",
) -> Iterator[tuple[Response, Told]]:
    """For each FETCH response to `UID FETCH <uid_set> <items>`, or that comes in between: itself
    and what it tells. VANISHED comes too, with nothing told. Raises `ImapError`. Until it is used
    up, no other command can be given; one that is given ends it."""
    conversation.settle()
    era = conversation.era
    commands = (b"UID FETCH %s %s%s" % (one, items, modifiers) for one in uid_sets)
    waiting = 0
    for command in commands:
        conversation.start(command)
        waiting += 1
        if waiting > _COMMANDS_AHEAD:
            yield from _answers(conversation, take, era)
            waiting -= 1
    while waiting:
        yield from _answers(conversation, take, era)
        waiting -= 1


def _answers(
    conversation: Conversation, take: Take | None, era: int
) -> Iterator[tuple[Response, Told]]:
    while conversation.era == era:
        said = conversation.next(take)
        if isinstance(said, Done):
            # What was expunged in between is simply not there.
            if said.status != b"NO" or code_of(said.text) != b"EXPUNGEISSUED":
                conversation.require_ok(said)
            return
        if isinstance(said, Asked):
            raise conversation.nonsense()
        if said.name == b"FETCH":
            told = _told(said)
            if told is not None:
                yield said, told
        elif said.name == b"VANISHED":
            yield said, {}
    raise RuntimeError("another command was given meanwhile")


def _told(response: Response) -> Told | None:
    values = response.values()
    if len(values) != 1 or not isinstance(values[0], list):
        return None
    items = values[0]
    return {
        name.upper(): value
        for name, value in zip(items[::2], items[1::2], strict=False)
        if isinstance(name, bytes)
    }


def uid_of(told: Told) -> int | None:
    return number(told.get(b"UID"), 2**32 - 1) or None


def flags_of(told: Told) -> tuple[str, ...] | None:
    """Sorted; without \\Recent, which is about this session. None when nothing is told of them."""
    flags = told.get(b"FLAGS")
    if not isinstance(flags, list):
        return None
    names = {one.decode("ascii", "replace") for one in flags if isinstance(one, bytes)}
    return tuple(sorted(names - {"\\Recent"}))


def taking_headers(conversation: Conversation) -> Take:
    """Headers up to `LARGEST_HEADER`; larger ones are passed over."""

    def take(text: bytes, size: int) -> Literal:
        if not _BODY.search(text) or size > LARGEST_MESSAGE:
            raise conversation.nonsense()
        if size > LARGEST_HEADER:
            return conversation.pass_over(text, size)
        return Literal(conversation.wire.exactly(size), size)

    return take


def taking_messages(conversation: Conversation, in_memory: int, folder: Path) -> Take:
    """Messages up to `in_memory` bytes; larger ones are written to files in `folder`."""

    def take(text: bytes, size: int) -> Literal:
        if not _BODY.search(text) or size > LARGEST_MESSAGE:
            raise conversation.nonsense()
        if size <= in_memory:
            return Literal(conversation.wire.exactly(size), size)
        return _in_file(conversation, size, folder)

    return take


def _in_file(conversation: Conversation, size: int, folder: Path) -> Literal:
    digest = hashlib.sha256()
    handle, name = tempfile.mkstemp(dir=folder, prefix="message-", suffix=".eml")
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in conversation.wire.pieces(size):
                digest.update(piece)
                file.write(piece)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Literal(None, size, path, digest.digest())
