"""Bytes of an exported file → numbered lines of text, in bounded memory and without mojibake.

UTF-8 or UTF-16 where the bytes say so, else the single-byte encoding asked for. The choice between
UTF-8 and that one is made line by line: a line with an accent that is valid UTF-8 is never
anything else in practice, and a file glued from two exports is read right.
"""

from __future__ import annotations

import codecs
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from chalicelib.errors import BadRequest

CHUNK_BYTES = 1 << 16
# Above it a line is not kept, only counted: memory stays bounded whatever the file holds.
MAX_LINE_BYTES = 400_000
# What French software writes when it does not write Unicode: Windows, Excel for Mac, DOS.
SINGLE_BYTE_ENCODINGS = ("cp1252", "mac_roman", "cp850")

FOREIGN_FORMATS = {
    b"PK\x03\x04": "un classeur Excel ou une archive",
    b"\xd0\xcf\x11\xe0": "un ancien classeur Excel",
    b"%PDF": "un document PDF",
}


class UnreadableFile(BadRequest):
    """The file as a whole cannot be read: not there, not text, or not a table of invoices."""

    code = "unreadable_file"


@dataclass(frozen=True, slots=True)
class Line:
    """A physical line, numbered from 1 as an editor does. `text` is None when it is too long."""

    number: int
    text: str | None


class Source:
    """An open export that can be read several times, from where it was when it was handed over."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._start = stream.tell()

    def lines(self, fallback: str = SINGLE_BYTE_ENCODINGS[0]) -> Iterator[Line]:
        """The file's lines from its beginning, without their line ends (LF, CRLF or CR).
        `fallback` is the encoding of lines that are not UTF-8. Raises `UnreadableFile`."""
        self._stream.seek(self._start)
        head = self._stream.read(4)
        for signature, kind in FOREIGN_FORMATS.items():
            if head.startswith(signature):
                raise UnreadableFile(
                    f"Ce fichier est {kind}, pas un fichier CSV : ouvrez-le dans votre tableur et "
                    "enregistrez-le au format « CSV UTF-8 », puis relancez."
                )
        self._stream.seek(self._start)
        for number, line in enumerate(_split(_utf8(self._chunks(), head)), start=1):
            yield Line(number, None if line is None else _decode(line, fallback))

    def _chunks(self) -> Iterator[bytes]:
        while chunk := self._stream.read(CHUNK_BYTES):
            yield chunk


@contextmanager
def opened(source: BinaryIO | Path) -> Iterator[Source]:
    """The source, ready to be read more than once: a stream that cannot seek (a pipe) is copied to
    a temporary file. A stream of the caller's stays open. Raises `UnreadableFile`."""
    if isinstance(source, Path):
        try:
            stream: BinaryIO = source.open("rb")
        except OSError as error:
            raise UnreadableFile(
                f"Le fichier « {source.name} » ne peut pas être ouvert ({error.strerror}) : "
                "vérifiez son chemin et ses droits."
            ) from error
        with stream:
            yield Source(stream)
    elif source.seekable():
        yield Source(source)
    else:
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(source, copy, CHUNK_BYTES)
            copy.seek(0)
            yield Source(copy)


def _utf8(chunks: Iterator[bytes], head: bytes) -> Iterator[bytes]:
    """The same text without its byte order mark, UTF-16 transcoded to UTF-8."""
    encoding = _utf16(head)
    if encoding is None:
        first = next(chunks, b"")
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from chunks
        return
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    for chunk in chunks:
        yield decoder.decode(chunk).encode()
    yield decoder.decode(b"", final=True).encode()


def _utf16(head: bytes) -> str | None:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # Without a mark: two letters of a header, each with its zero byte.
    if len(head) == 4 and head[1::2] == b"\0\0" and 0 not in head[::2]:
        return "utf-16-le"
    if len(head) == 4 and head[::2] == b"\0\0" and 0 not in head[1::2]:
        return "utf-16-be"
    return None


def _split(chunks: Iterator[bytes]) -> Iterator[bytes | None]:
    """Lines without their ends; None for one that is longer than MAX_LINE_BYTES."""
    carried = b""
    overflowing = False
    for chunk in chunks:
        lines = (carried + chunk).splitlines(keepends=True)
        # The last one may go on in the next chunk; so may a CR, whose LF is still to come.
        complete = bool(lines) and lines[-1].endswith(b"\n")
        carried = b"" if complete or not lines else lines.pop()
        for line in lines:
            too_long = overflowing or len(line) > MAX_LINE_BYTES
            overflowing = False
            yield None if too_long else line.rstrip(b"\r\n")
        if len(carried) > MAX_LINE_BYTES:
            overflowing = True
            carried = b"\r" if carried.endswith(b"\r") else b"."
    if carried:
        yield None if overflowing else carried.rstrip(b"\r")


def _decode(line: bytes, fallback: str) -> str:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return line.decode(fallback, errors="replace")
    return text if text.isascii() else _undo_double_encoding(text)


def _undo_double_encoding(text: str) -> str:
    """UTF-8 once taken for Windows-1252 and encoded again ("sociÃ©tÃ©"): the text it was. Nothing
    that a person writes survives this round trip, so a sound line is left alone."""
    if not any(character in text for character in "ÃÂâ"):
        return text
    try:
        return text.encode("cp1252").decode()
    except UnicodeError:
        return text
