"""Header text: RFC 2047 encoded words, raw 8-bit bytes, and what mailers make of either."""

from __future__ import annotations

import binascii
import re

from chalicelib.mail.charsets import clean, decode

_BEGIN = re.compile(r"=\?([^?\s]{1,80})\?([bBqQ])\?")
_BLANKS = re.compile(r"[ \t\r\n]*")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
# Directional overrides and isolates: they make a text read otherwise than it is (UAX #9, 2).
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_UNDERSCORE = bytes.maketrans(b"_", b" ")


def header_text(value: bytes) -> tuple[str, bool]:
    """A header field's value on one line, decoded, and whether that took a guess. Encoded words
    that follow each other in one charset are put together before they are decoded, for many mailers
    cut in the middle of a character (RFC 2047, 5 (3) forbids it)."""
    text, lost = decode(value)
    if "=?" in text:
        text, lost_too = _decoded(text)
        lost = lost or lost_too
    return one_line(text), lost


def words(text: str) -> str:
    """A piece of a header that was already split from it, such as a name, on one line."""
    return one_line(_decoded(text)[0] if "=?" in text else text)


def one_line(text: str) -> str:
    """Without line breaks, runs of blanks, control characters and directional overrides."""
    if not text.isascii():
        text = _BIDI.sub("", text)
    return " ".join(clean(text).split())


def _decoded(text: str) -> tuple[str, bool]:
    out: list[str] = []
    pending: list[tuple[str, str]] = []
    charset, lost, position = "", False, 0

    def flush() -> None:
        nonlocal lost
        if pending:
            decoded, guessed = decode(_joined(pending), charset)
            out.append(decoded)
            lost = lost or guessed
            pending.clear()

    while (begin := text.find("=?", position)) >= 0:
        head = _BEGIN.match(text, begin)
        if head is None:
            flush()
            out.append(text[position : begin + 2])
            position = begin + 2
            continue
        end = text.find("?=", head.end())
        if end < 0:  # without its end, it cannot be told where the next word would begin
            break
        if not pending or _BLANKS.fullmatch(text, position, begin) is None:
            flush()
            out.append(text[position:begin])
        elif head[1].lower() != charset:
            flush()
        charset = head[1].lower()
        pending.append((head[2], text[head.end() : end]))
        position = end + 2
    flush()
    out.append(text[position:])
    return "".join(out), lost


def _joined(found: list[tuple[str, str]]) -> bytes:
    """The bytes of words that follow each other. Base64 that was cut inside a group of four is put
    together first."""
    data: list[bytes] = []
    group = b""
    for encoding, content in found:
        coded = content.encode("utf-8", "replace")
        if encoding in "bB":
            group += _NOT_BASE64.sub(b"", coded)
            if len(group) % 4 and b"=" not in coded:
                continue
        data.append(_base64(group))
        group = b""
        if encoding in "qQ":
            coded = coded.translate(_UNDERSCORE).replace(b"\n", b"")
            data.append(binascii.a2b_qp(coded, header=False))
    return b"".join([*data, _base64(group)])


def _base64(plain: bytes) -> bytes:
    if len(plain) % 4 == 1:
        plain = plain[:-1]
    return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4))
