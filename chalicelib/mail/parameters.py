"""`Content-Type` and `Content-Disposition`: a value and its parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from chalicelib.mail.charsets import decode
from chalicelib.mail.encoded_words import words

Parameters = Mapping[str, str]

# More than these are nobody's; a name in a hundred sections is no name.
MAX_PARAMETERS = 100
_SHORT = 100  # bytes of a value that is likely to come again: `text/plain; charset=utf-8`
_PARAMETER = re.compile(r';\s*([^\s=;"]{1,80})\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;]*))', re.DOTALL)
_WORD_IN_QUOTES = re.compile(r"\\([\"\\])")
_KIND = re.compile(r"[a-z0-9!#$&^_.+-]{1,80}(?:/[a-z0-9!#$&^_.+-]{1,80})?")
_SECTION = re.compile(r"(.+?)(?:\*(\d{1,3}))?(\*)?", re.DOTALL)


def parameters(value: bytes) -> tuple[str, Parameters]:
    """The value in lower case, `""` when it cannot be read, and its parameters by name in lower
    case, decoded: continuations and charsets (RFC 2231), encoded words although RFC 2047 forbids
    them there, and raw 8-bit bytes. Of a name that is there twice, the first."""
    return _short(value) if len(value) <= _SHORT else _read(value)


@lru_cache(256)
def _short(value: bytes) -> tuple[str, Parameters]:
    return _read(value)


def _read(value: bytes) -> tuple[str, Parameters]:
    text, _ = decode(value)
    head, semicolon, rest = text.partition(";")
    kind = _KIND.match(head.strip().lower())
    found: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    if semicolon:
        for number, match in enumerate(_PARAMETER.finditer(";" + rest)):
            if number >= MAX_PARAMETERS:
                break
            _note(match, found, sections)
    for name, pieces in sections.items():
        # The form of RFC 2231 says more than the plain one that old readers are given beside it.
        text = _joined(pieces)
        found[name] = text if name == "boundary" else words(text)
    return (kind[0] if kind else ""), found


def _note(
    match: re.Match[str], found: dict[str, str], sections: dict[str, dict[int, tuple[str, bool]]]
) -> None:
    quoted, bare = match[2], match[3]
    # Paths of Windows are not escaped by who writes them between quotation marks.
    content = _WORD_IN_QUOTES.sub(r"\1", quoted) if quoted is not None else bare.strip()
    section = _SECTION.fullmatch(match[1].lower())
    if section is None:
        return
    name, number, extended = section[1], section[2], section[3]
    if number is not None or extended:
        sections.setdefault(name, {}).setdefault(int(number or 0), (content, bool(extended)))
    elif name not in found:
        found[name] = content if name == "boundary" else words(content)


def _joined(pieces: dict[int, tuple[str, bool]]) -> str:
    charset, data = "", b""
    for number in sorted(pieces):
        content, extended = pieces[number]
        if extended and not data and content.count("'") >= 2:
            charset, _, content = content.split("'", 2)
        plain = content.encode("utf-8", "replace")
        data += unquote_to_bytes(plain) if extended else plain
    return decode(data, charset)[0]
