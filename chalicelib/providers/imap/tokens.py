"""The data of IMAP responses (RFC 9051, 9): atoms, strings, NIL and lists.

Text that cannot be read raises `Unreadable`; nothing is too deep or too long to be refused in time
proportional to its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeAlias

MOST_DEPTH = 30
# Of a UID set that a server gives, when it is written out.
MOST_NUMBERS = 1_000_000
LARGEST_UID = 2**32 - 1

_TOKEN = re.compile(
    rb"[ ]*+(?:"
    rb"(\()|(\))"
    rb'|"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
    # An atom. BODY[HEADER.FIELDS (X Y)]<0> is one; a bracket that stays open is an ordinary letter.
    rb'|([^ ()"\[]*+\[[^\]]{0,200}+\](?:<\d{1,10}>)?|[^ ()"]++)'
    rb"|(.))",
    re.DOTALL,
)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_DATE = re.compile(rb"([ \d]\d)-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
_MONTHS = {
    name: month
    for month, name in enumerate(b"JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)
}


class Unreadable(ValueError):
    """It is not IMAP."""


class Literal(NamedTuple):
    """What a server announces as so many bytes: in memory, in a file, or (neither) passed over."""

    data: bytes | None
    size: int
    file: Path | None = None
    sha256: bytes = b""


Value: TypeAlias = "bytes | Literal | list[Value] | None"


def values(parts: Iterable[bytes | Literal]) -> list[Value]:
    """The values of a response: its text, and the literals where they stand in it."""
    top: list[Value] = []
    current, above = top, list[list[Value]]()
    for part in parts:
        if isinstance(part, Literal):
            current.append(part)
            continue
        # Spaces at the end would be tried from each of them.
        for found in _TOKEN.finditer(part.rstrip(b" ")):
            kind = found.lastindex
            if kind == 4:
                atom = found[4]
                current.append(None if atom in (b"NIL", b"nil") else atom)
            elif kind == 3:
                quoted = found[3]
                current.append(_ESCAPED.sub(rb"\1", quoted) if b"\\" in quoted else quoted)
            elif kind == 1:
                if len(above) == MOST_DEPTH:
                    raise Unreadable
                inner: list[Value] = []
                current.append(inner)
                above.append(current)
                current = inner
            elif kind == 2 and above:
                current = above.pop()
            else:
                raise Unreadable
    if above:
        raise Unreadable
    return top


def text(value: Value) -> bytes | None:
    """A string's bytes, however it was written; None for NIL, lists and what was not kept."""
    if isinstance(value, Literal):
        return value.data
    return value if isinstance(value, bytes) else None


def number(value: Value, most: int = 2**63 - 1) -> int | None:
    """A number up to `most`, or None."""
    if not isinstance(value, bytes) or len(value) > 20 or not value.isdigit():
        return None
    found = int(value)
    return found if found <= most else None


def moment(value: Value) -> datetime | None:
    """An INTERNALDATE, in UTC; None when it is none or there is no such day."""
    raw = text(value)
    found = _DATE.fullmatch(raw) if raw is not None else None
    if not found:
        return None
    ahead = timedelta(hours=int(found[8]), minutes=int(found[9]))
    try:
        there = datetime(
            int(found[3]),
            _MONTHS.get(found[2].upper(), 0),
            int(found[1]),
            int(found[4]),
            int(found[5]),
            int(found[6]),
            tzinfo=UTC,
        )
        return there - ahead if found[7] == b"+" else there + ahead
    except (ValueError, OverflowError):
        return None


def numbers(uid_set: bytes) -> list[int]:
    """What `1:3,7` stands for, in its order. Raises `Unreadable`, also when that is too much."""
    found: list[int] = []
    for part in uid_set.split(b","):
        first, colon, last = part.partition(b":")
        low = number(first, LARGEST_UID)
        high = number(last, LARGEST_UID) if colon else low
        if not low or not high:
            raise Unreadable
        if len(found) + abs(high - low) >= MOST_NUMBERS:
            raise Unreadable
        found += range(min(low, high), max(low, high) + 1)
    return found


def uid_sets(uids: Sequence[int], *, most: int, longest: int = 4000) -> Iterator[bytes]:
    """Sets for commands, each of at most `most` UIDs and `longest` characters, in the order of
    `uids`, with ranges where they follow each other. RFC 7162, 4: a command line of 8,192 octets is
    what a server has to take."""
    written: list[bytes] = []
    length = count = 0
    position = 0
    while position < len(uids):
        end = position + 1
        room = most - count
        while end < len(uids) and end - position < room and uids[end] == uids[end - 1] + 1:
            end += 1
        first, last = uids[position], uids[end - 1]
        part = b"%d" % first if first == last else b"%d:%d" % (first, last)
        written.append(part)
        length += len(part) + 1
        count += end - position
        position = end
        if count >= most or length > longest - 24:
            yield b",".join(written)
            written, length, count = [], 0, 0
    if written:
        yield b",".join(written)
