"""Content-Transfer-Encoding undone, rubbish included."""

from __future__ import annotations

import binascii
import re
from contextlib import suppress

_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]+")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_LONE_CR = re.compile(rb"\r(?!\n)")
_MOST_PIECES = 1000
_BLANKS = b" \t\r\n"
_UU_BEGIN = re.compile(rb"^begin [0-7]{3,4} [^\r\n]*\r?\n", re.MULTILINE)


def decoded(raw: bytes, begin: int, end: int, encoding: str) -> tuple[bytes, bool]:
    """The content of `raw[begin:end]`, and whether something in it was wrong. An encoding that is
    not known is none."""
    if encoding == "base64":
        return _base64(raw, begin, end)
    data = raw[begin:end]
    if encoding == "quoted-printable":
        if data.count(b"\r") != data.count(b"\r\n"):
            # Behind `=` and a lone CR, a2b_qp drops everything up to the next LF.
            data = _LONE_CR.sub(b"\n", data)
        return binascii.a2b_qp(data), False
    if encoding in ("x-uuencode", "uuencode", "x-uue", "x-uu"):
        return _uuencoded(data)
    known = encoding in ("", "7bit", "8bit", "binary")
    return data, not known


def _base64(raw: bytes, begin: int, end: int) -> tuple[bytes, bool]:
    plain = raw[begin:end].translate(None, _BLANKS)
    rubbish = bool(plain.translate(None, _BASE64))
    if rubbish:
        plain = _NOT_BASE64.sub(b"", plain)
    padded = len(plain) % 4 == 0 and (plain[-2:-1] != b"=" or plain[-1:] == b"=")
    if padded and plain.find(b"=", 0, -2) < 0:
        return binascii.a2b_base64(plain), rubbish
    # Several pieces, each padded, behind each other: what a careless program joins. Or a cut one.
    bare = plain.rstrip(b"=")
    pieces = bare.split(b"=") if bare.count(b"=") < _MOST_PIECES else [bare.replace(b"=", b"")]
    data = b"".join(_piece(piece) for piece in pieces)
    return data, rubbish or len(pieces) > 1 or len(bare) % 4 == 1


def _piece(plain: bytes) -> bytes:
    if len(plain) % 4 == 1:
        plain = plain[:-1]
    return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4))


def _uuencoded(data: bytes) -> tuple[bytes, bool]:
    begin = _UU_BEGIN.search(data)
    out, wrong = [], begin is None
    for line in data[begin.end() if begin else 0 :].splitlines():
        if line.strip() in (b"end", b"`", b""):
            break
        try:
            out.append(_uu_line(line))
        except binascii.Error:
            wrong = True
            size = (((line[0] - 32) & 63) * 4 + 5) // 3  # as the standard library's codec: too long
            with suppress(binascii.Error):
                out.append(_uu_line(line[:size]))
    return b"".join(out), wrong


def _uu_line(line: bytes) -> bytes:
    # a2b_uu puts zeros where a line is shorter than it says: two bytes would become 45.
    return binascii.a2b_uu(line)[: (len(line) - 1) * 3 // 4]
