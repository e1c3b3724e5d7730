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
    MOST_TEXT,
    Asked,
    Conversation,
    Done,
    Response,
    Take,
)
from chalicelib.providers.imap.refusals import code_of, fault
from chalicelib.providers.imap.tokens import Literal, Value, number

# No mail server takes mail of this size: whoever announces it means harm.
LARGEST_MESSAGE = 400_000_000
# A header of this size is not kept.
LARGEST_HEADER = 1_000_000
# The names of a message's flags.
MOST_FLAGS_TEXT = 4_000
_COMMANDS_AHEAD = 1
_BODY = re.compile(
    rb"[( ]BODY\[(?:HEADER(?:\.FIELDS \([^)]{0,100}\))?)?\](?:<\d{1,10}>)? $", re.IGNORECASE
)

# What nearly all responses are made of, read at once and not token by token: a third of the time.
_ITEM = rb'[A-Z0-9.-]+ (?:\d+|"[^"\\]*"|(?<=FLAGS )\([^()"\[]*\))'
_NAMED = re.compile(rb'([A-Z0-9.-]+) (?:(\d+)|"([^"\\]*)"|(?<=FLAGS )\(([^()"\[]*)\))')
_PLAIN = re.compile(rb"\(%s(?: %s)*\)" % (_ITEM, _ITEM))
_PLAIN_BODY = re.compile(rb"\((?:%s )*(BODY\[(?:HEADER)?\]) " % _ITEM)

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
    """What one FETCH response tells; None when it tells nothing of a message."""
    first, more = response.line, response.parts[1:]
    if len(first) > MOST_TEXT:
        raise fault("connection")
    if not more and _PLAIN.fullmatch(first):
        return _plain(first)
    if len(more) == 2 and more[1] == b")" and (found := _PLAIN_BODY.fullmatch(first)):
        told = _plain(first[: found.start(1)])
        told[found[1]] = more[0]
        return told
    values = response.values()
    if len(values) != 1 or not isinstance(values[0], list):
        return None
    items = values[0]
    return {
        name.upper(): value
        for name, value in zip(items[::2], items[1::2], strict=False)
        if isinstance(name, bytes)
    }


def _plain(line: bytes) -> Told:
    return {
        name: list[Value](listed.split()) if name == b"FLAGS" else value or string
        for name, value, string, listed in _NAMED.findall(line)
    }


def uid_of(told: Told) -> int | None:
    return number(told.get(b"UID"), 2**32 - 1) or None


def flags_of(told: Told) -> tuple[str, ...] | None:
    """Sorted; without \\Recent, which is about this session. None when nothing is told of them, or
    more than flags can be."""
    flags = told.get(b"FLAGS")
    if not isinstance(flags, list):
        return None
    names = {one.decode("ascii", "replace") for one in flags if isinstance(one, bytes)}
    names.discard("\\Recent")
    return tuple(sorted(names)) if sum(map(len, names)) <= MOST_FLAGS_TEXT else None


def taking_headers(conversation: Conversation) -> Take:
    """Headers up to `LARGEST_HEADER`; larger ones are passed over."""

    def take(text: bytes, size: int) -> Literal:
        if not _BODY.search(text) or size > LARGEST_MESSAGE:
            raise conversation.nonsense()
        if size > LARGEST_HEADER:
            return conversation.pass_over(text, size)
        return Literal(conversation.wire.exactly(size), size)

    return take


def taking_messages(
    conversation: Conversation, in_memory: int, folder: Path, files: set[Path]
) -> Take:
    """Messages up to `in_memory` bytes; larger ones are written to files in `folder`, each of which
    is put into `files`."""

    def take(text: bytes, size: int) -> Literal:
        if not _BODY.search(text) or size > LARGEST_MESSAGE:
            raise conversation.nonsense()
        if size <= in_memory:
            return Literal(conversation.wire.exactly(size), size)
        handle, name = tempfile.mkstemp(dir=folder, prefix="message-", suffix=".eml")
        file = Path(name)
        files.add(file)
        digest = hashlib.sha256()
        with os.fdopen(handle, "wb") as written:
            for piece in conversation.wire.pieces(size):
                digest.update(piece)
                written.write(piece)
        return Literal(None, size, file, digest.digest())

    return take
