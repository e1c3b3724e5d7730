"""Header fields of an e-mail: cleaned, encoded (RFC 2047, RFC 2231) and folded (RFC 5322).

Written out here because the `email` package refolds what it is given: until Python 3.11.12 and
3.12.10 it dropped the quotes of a long name (python/cpython#80222), and it still turns a long URL,
such as that of List-Unsubscribe, into encoded words that mail programs do not follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import quote

CRLF = b"\r\n"
MAX_LINE = 78  # RFC 5322, 2.1.1
_MAX_WORD = 900  # beyond it a single word would break the hard limit of 998
_MAX_ENCODED_WORD = (
    60  # RFC 2047 allows 75, and 76 for the line that holds it with the field's name
)
_MAX_QUOTED = 60  # a quoted name cannot be folded, so a longer one is encoded
_MAX_PARAMETER = 60

# Line breaks and other controls, marks and overrides of writing direction (they make a name read as
# another), byte-order mark, halves of a character.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)
_BLANKS = re.compile(" {2,}")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_SAFE_IN_WORD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")


def clean(text: str, limit: int) -> str:
    """The text on one line of at most `limit` characters, without the characters that could end a
    header or disguise it. Non-breaking spaces stay."""
    line = _BLANKS.sub(" ", _UNSAFE.sub(" ", text)).strip(" ")
    return line if len(line) <= limit else line[: limit - 1].rstrip(" ") + "…"


def unstructured(name: str, value: str) -> bytes:
    """One header field of free text; `value` has to be clean."""
    words = value.split(" ")
    if not value.isascii() or "=?" in value or max(map(len, words)) > _MAX_WORD:
        words = _encoded_words(value)
    return fold(name, words)


def mailboxes(name: str, entries: Iterable[tuple[str, str]]) -> bytes:
    """One header field of (display name, address) pairs: clean names, valid addresses."""
    words: list[str] = []
    for display_name, address in entries:
        if words:
            words[-1] += ","
        words += [*_phrase(display_name), f"<{address}>"] if display_name else [address]
    return fold(name, words)


def disposition(filename: str) -> bytes:
    """The Content-Disposition of an attachment; a name that is not plain is encoded by RFC 2231."""
    if filename.isascii() and len(filename) <= _MAX_PARAMETER and not set(filename) & set('"\\%'):
        return fold("Content-Disposition", ["attachment;", f'filename="{filename}"'])
    sections: list[str] = []
    current = "utf-8''"
    for character in filename:
        piece = quote(character, safe="")
        if len(current) + len(piece) > _MAX_PARAMETER:
            sections.append(current)
            current = ""
        current += piece
    sections.append(current)
    if len(sections) == 1:
        return fold("Content-Disposition", ["attachment;", f"filename*={current}"])
    numbered = [f"filename*{i}*={section};" for i, section in enumerate(sections)]
    return fold("Content-Disposition", ["attachment;", *numbered[:-1], numbered[-1].rstrip(";")])


def fold(name: str, words: Iterable[str]) -> bytes:
    """`Name: word word…` with its final CRLF, broken between words so that lines stay within 78
    characters where the words allow it. The words are printable ASCII."""
    lines = [f"{name}:"]
    for number, word in enumerate(words):
        if number and len(lines[-1]) + 1 + len(word) > MAX_LINE:
            lines.append("")
        lines[-1] += " " + word
    return "\r\n".join(lines).encode("ascii") + CRLF


@lru_cache(maxsize=256)
def _phrase(text: str) -> Sequence[str]:
    """A display name as words: as it is, between quotes, or encoded."""
    if text.isascii() and "=?" not in text and len(text) <= _MAX_QUOTED:
        if _ATOMS.fullmatch(text):
            return text.split(" ")
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return [f'"{escaped}"']
    return _encoded_words(text)


def _encoded_words(text: str) -> list[str]:
    """RFC 2047 words, none of which cuts a character in two. Spaces are inside the words: readers
    drop those between two encoded words."""
    words: list[str] = []
    current = ""
    for character in text:
        piece = _encoded(character)
        if len(current) + len(piece) > _MAX_ENCODED_WORD - len("=?utf-8?q??="):
            words.append(current)
            current = ""
        current += piece
    words.append(current)
    return [f"=?utf-8?q?{word}?=" for word in words]


@lru_cache(maxsize=1024)
def _encoded(character: str) -> str:
    return "".join(
        "_" if byte == 0x20 else chr(byte) if byte in _SAFE_IN_WORD else f"={byte:02X}"
        for byte in character.encode("utf-8")
    )
