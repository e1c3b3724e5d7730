"""Commands and responses, over one `Wire`: whatever the server says, one response at a time."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection
from typing import NamedTuple

from chalicelib.providers.imap.port import ImapError
from chalicelib.providers.imap.refusals import (
    Stage,
    fault,
    not_understood,
    refused,
    said_bye,
)
from chalicelib.providers.imap.tokens import Literal, Unreadable, Value, values
from chalicelib.providers.imap.wire import Wire

# Of one response that is read into values: its text, each literal in it, and how many of those.
MOST_TEXT = 1_000_000
MOST_LITERAL = 100_000
MOST_LITERALS = 100
# What one command may leave us with, besides what FETCH answers.
MOST_KEPT = 20_000
MOST_KEPT_TEXT = 16_000_000

_LITERAL = re.compile(rb"~?\{(\d{1,12})\+?\}$")
_TEXTS = frozenset({b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"})

# Reads a literal of so many bytes, which stands after this text.
Take = Callable[[bytes, int], Literal]


class Response(NamedTuple):
    """One untagged response: `* 5 FETCH (…)` has the name FETCH and the number 5. `parts` are what
    follows: text and literals."""

    name: bytes
    number: int | None
    parts: list[bytes | Literal]

    def values(self) -> list[Value]:
        """Raises `ImapError` for what is not IMAP."""
        if sum(len(part) for part in self.parts if isinstance(part, bytes)) > MOST_TEXT:
            raise fault("connection")
        try:
            return values(self.parts)
        except Unreadable as error:
            raise fault("connection") from error

    @property
    def size(self) -> int:
        """Bytes of it that are in memory."""
        return sum(
            len(part) if isinstance(part, bytes) else len(part.data or b"") for part in self.parts
        )

    @property
    def line(self) -> bytes:
        """Its text up to the first literal."""
        first = self.parts[0]
        return first if isinstance(first, bytes) else b""


class Done(NamedTuple):
    """The tagged end of a command. `text` is what follows OK, NO or BAD."""

    status: bytes
    text: bytes


class Asked(NamedTuple):
    """A continuation request."""

    text: bytes


class Conversation:
    """Raises `ImapError`. Commands are under way from `start` to their `Done`, in their order."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.era = 0  # another one with each command that stands alone
        self._count = 0
        self._under_way: deque[bytes] = deque()

    def start(self, command: bytes) -> None:
        """Sends a command; what it answers is read with `next`."""
        self._count += 1
        tag = b"P%d" % self._count
        self._under_way.append(tag)
        self.wire.send(tag + b" " + command + b"\r\n")

    def next(self, take: Take | None = None) -> Response | Done | Asked:
        """What the server says next; `take` reads literals, by default into memory if they are
        small."""
        line = self.wire.line()
        if line.startswith(b"* "):
            return self._untagged(line[2:], take or self._small)
        if line.startswith(b"+"):
            return Asked(line[1:].strip())
        tag, _, rest = line.partition(b" ")
        status, _, text = rest.partition(b" ")
        if not self._under_way or tag != self._under_way[0] or status.upper() not in _TEXTS:
            raise self.nonsense()
        self._under_way.popleft()
        return Done(status.upper(), text)

    def settle(self) -> None:
        """Reads what is still to come of commands under way, and forgets it: a new era."""
        self.era += 1
        while self._under_way:
            if isinstance(self.next(self.pass_over), Asked):
                raise self.nonsense()

    def run(
        self, command: bytes, *, keep: Collection[bytes] = (), stage: Stage = "other"
    ) -> tuple[list[Response], bytes]:
        """Sends a command and waits for its end: the untagged responses with these names, and the
        text of its OK."""
        self.settle()
        self.start(command)
        return self.finish(keep=keep, stage=stage)

    def finish(
        self, *, keep: Collection[bytes] = (), stage: Stage = "other"
    ) -> tuple[list[Response], bytes]:
        """The rest of what the first command under way answers."""
        kept: list[Response] = []
        size = 0
        while not isinstance(said := self.next(), Done):
            if isinstance(said, Asked):
                raise self.nonsense()
            if said.name in keep:
                kept.append(said)
                size += said.size
                if len(kept) > MOST_KEPT or size > MOST_KEPT_TEXT:
                    raise self.nonsense()
        self.require_ok(said, stage)
        return kept, said.text

    def require_ok(self, done: Done, stage: Stage = "other") -> None:
        if done.status != b"OK":
            raise refused(stage, done.text) if done.status == b"NO" else not_understood(done.text)

    def nonsense(self) -> ImapError:
        """The error for what no IMAP server says; the conversation is over."""
        self.wire.close()
        return fault("connection")

    def pass_over(self, _text: bytes, size: int) -> Literal:
        for _piece in self.wire.pieces(size):
            pass
        return Literal(None, size)

    def _small(self, _text: bytes, size: int) -> Literal:
        if size > MOST_LITERAL:
            raise self.nonsense()
        return Literal(self.wire.exactly(size), size)

    def _untagged(self, line: bytes, take: Take) -> Response:
        word, _, rest = line.partition(b" ")
        number = None
        if word.isdigit():
            if len(word) > 20:
                raise self.nonsense()
            number = int(word)
            word, _, rest = rest.partition(b" ")
        name = word.upper()
        if name in _TEXTS:
            if name == b"BYE":
                self.wire.close()
                raise said_bye(rest)
            return Response(name, number, [rest])
        parts: list[bytes | Literal] = []
        while found := _LITERAL.search(rest, max(len(rest) - 16, 0)):
            if len(parts) >= 2 * MOST_LITERALS or len(rest) > MOST_TEXT:
                raise self.nonsense()
            text = rest[: found.start()]
            parts += (text, take(text, int(found[1])))
            rest = self.wire.line()
        parts.append(rest)
        return Response(name, number, parts)
