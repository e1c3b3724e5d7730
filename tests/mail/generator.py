"""E-mails that are nearly e-mails, drawn from a `random.Random`: the structure that mailers make,
with the mistakes that they make, and then bytes changed."""

from __future__ import annotations

import base64
import quopri
import random
from collections.abc import Callable, Sequence

# ruff: noqa: E501 - rubbish reads no better when it is folded
_CHARSETS = ["utf-8", "iso-8859-1", "us-ascii", "windows-1252", "utf-16", "utf-7", "koi8-r", "gb2312",
             "iso-2022-jp", "shift_jis", "x-unknown", "unknown-8bit", "utf8", "punycode", "idna", "rot13",
             "unicode_escape", "utf-8 (x)", '"utf-8', "", "big5", "iso-8859-15", "hz", "undefined"]  # fmt: skip
_TEXTS = [
    "Bonjour,\r\n\r\nVoici la facture n° 12 de 1 200 €.\r\n\r\n-- \r\nJean\r\n06 00 00 00 00\r\n",
    "OK\n\nLe lun. 3 févr. 2025 à 10:12, Jean <jean@x.fr> a écrit :\n> cité\n>> deux\n",
    "Merci\r\n\r\nDe : A <a@b.fr>\r\nEnvoyé : lundi\r\nÀ : C\r\nObjet : D\r\n\r\nvieux",
    "This is the mail system at host mx.orange.fr.\n<jean@x.fr>: host x said: 550 5.1.1 no such user",
    "Hi. This is the qmail-send program at x.\n<a@b.fr>:\nSorry.\n--- Below this line is a copy",
    "Envoyé de mon iPhone", ">" * 300, "On " * 500 + "wrote:", "\0\x01\x1b[31m", "é" * 400, "-- \n" * 50,
    "begin 644 x.txt\n#86)C\n`\nend\n", "> \n" * 300, " \n" * 200, "Le " + "a" * 3000,
]  # fmt: skip
_HTML = [
    '<p>Bonjour <b>x</b></p><img src="http://t/x.gif"><img src=cid:a@b><a href="javascript:a()">l</a>',
    "<blockquote>" * 40 + "q" + "</blockquote>", "<table><tr><td>1<td>2" * 30,
    "<style>p{}</style><script>alert(1)</script><p onclick=x style='background:url(http://x)'>y",
    "<svg><style><img src=x onerror=a></style>", "<math><mtext><table><mglyph><style><!--</style>",
    "&#0;&#xD800;&nbsp;" * 20, "<div>" * 1200, "<a href='//x.fr' title='a>b'>", "<!--", "<pre>\n a\n",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>", "<img src='CID:x'><img src=' cid:x'>",
    '<img alt="src=&quot;http://x" src="http://y"><a href="mailto:a@b">', "<o:p></o:p>", "<p>" * 300,
]  # fmt: skip
_NAMES = [
    "facture.pdf", "../../etc/passwd", "C:\\temp\\a.exe", "CON", "nul.txt", "a\0b.pdf", "\u202efdp.exe",
    "é" * 300 + ".pdf", "", ".", "...", " ", "=?utf-8?B?w6k=?=.pdf", "x" * 500, "a/b/", "COM1.tar.gz",
    "a;b.pdf", 'a"b.pdf', "%C3%A9.pdf", "\u200b", "d\u00e9\u0301.pdf", "lpt\u00b9", "~$x.doc", "a\nb",
]  # fmt: skip
_TYPES = [
    "text/plain", "text/html", "application/pdf", "image/png", "message/rfc822", "text/calendar",
    "application/ms-tnef", "message/delivery-status", "text/rfc822-headers", "multipart/mixed",
    "multipart/alternative", "multipart/report", "multipart/digest", "x", "", "text", "TEXT/PLAIN",
    "text/x-amp-html", "application/octet-stream", "multipart/related", "message/partial", "a/b/c",
]  # fmt: skip
_ADDRESSES = [
    "Jean <jean@x.fr>", '"Petit, Jean" <jean@x.fr>', "jean@x.fr (Jean)", "a@b.fr; c@d.fr", "<>", "@", "",
    "undisclosed-recipients:;", "Groupe: a@b.fr, C <c@d.fr>;", "=?utf-8?Q?Fran=C3=A7ois?= <f@x.fr>",
    "=?iso-8859-1?B?6Q==?= =?iso-8859-1?B?6Q=?= <a@b>", '"a@b.fr" <c@d.fr>', "((((" * 30, "<" * 50,
    "a@b@c <d@e@f>", "<@a,@b:c@d>", "é@é.fr", "MAILER-DAEMON@x.fr", '"' * 31, "a b c@d.fr e@f.fr", ",,,;;",
]  # fmt: skip
_DATES = [
    "Mon, 2 Mar 2026 10:00:00 +0100", "Thu, 1 Jan 1970 00:00:00 +0000", "1 Jan 2099 00:00:00 GMT", "",
    "Mon, 31 Feb 2026 25:61:61 +9999", "lun. 2 mars 2026 10:00", "2026-03-02T10:00:00Z", "x" * 300,
    "Mon, 2 Mar 26 10:00:00 EST", "2 Mar 99999 1:1:1 +0000", "0", "Mon Mar  2 10:00:00 2026", ":::",
    "Mon, 2 Mar 2026 10:00:00 -0000 (UTC)", "1 Jan 0001 00:00:00 +1400", "31 Dec 9999 23:59:59 -1400",
]  # fmt: skip
_IDS = [
    "<a@b>", "a@b", "<>", "", "< a @ b >", "<a@b> <c@d>", "<" + "x" * 2000 + "@y>", "<\xe9@b>", "<a@b",
    "=?utf-8?Q?<a@b>?=", "<<a@b>>", "\r\n <folded@x>", "<a\r\n @b>", "<@>", "no-at-sign", "<a b c>",
]  # fmt: skip
_CONTENTS = [
    b"%PDF-1.7\n", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04" + b"\0" * 26 + b"word/document.xml", b"MZ\x90\0",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\x78\x9f\x3e\x22", b"", b"\0" * 100, b"<html>", b"<?xml ?><svg >",
    b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n", b"From: a\r\nTo: b\r\n\r\nx", b"a,b\n1,2\n",
]  # fmt: skip


def email(draw: random.Random, depth: int = 0) -> bytes:
    """A whole e-mail, mistakes included."""
    eol = draw.choices([b"\r\n", b"\n", b"\r"], [8, 3, 1])[0]
    top: list[tuple[str, str]] = []
    for name, values in (
        ("From", _ADDRESSES), ("To", _ADDRESSES), ("Cc", _ADDRESSES), ("Reply-To", _ADDRESSES),
        ("Date", _DATES), ("Message-ID", _IDS), ("In-Reply-To", _IDS), ("References", _IDS),
        ("Subject", [*_TEXTS, *_ADDRESSES, "Réponse automatique", "Undelivered Mail Returned to Sender"]),
        ("Auto-Submitted", ["auto-replied", "no", "auto-generated"]), ("List-Id", ["<x.y>"]),
        ("Precedence", ["bulk", "list"]), ("Return-Path", ["<>", "<a@b>"]), ("X-Failed-Recipients", _ADDRESSES),
    ):  # fmt: skip
        for _ in range(draw.choice([0, 1, 1, 1, 2])):
            chosen = draw.sample(values, min(len(values), draw.choice([1, 1, 1, 3])))
            top.append((name, draw.choice([" ", ", ", ""]).join(chosen)))
    if draw.random() < 0.1:
        top += [(f"X-{n}", "y") for n in range(draw.choice([10, 500]))]
    draw.shuffle(top)
    lines = [_header(draw, name, value, eol) for name, value in top]
    if draw.random() < 0.1:
        lines.insert(
            draw.randrange(len(lines) + 1), draw.choice([b"garbage", b":", b"From x", b" "]) + eol
        )
    if draw.random() < 0.1:
        lines.insert(0, b"From a@b Mon Mar  2 10:00:00 2026" + eol)
    return b"".join(lines) + entity(draw, eol, depth)


def entity(draw: random.Random, eol: bytes, depth: int) -> bytes:
    """The fields of a part, and the part."""
    kind = draw.choice(_TYPES)
    if depth < 4 and draw.random() < 0.35:
        kind = "multipart/" + draw.choice(["mixed", "alternative", "report", "related", "digest"])
    if depth > 5 and kind.startswith("multipart"):
        kind = "text/plain"
    charset = draw.choice(_CHARSETS)
    parameters = f"; charset={draw.choice([charset, chr(34) + charset + chr(34)])}"
    if draw.random() < 0.2:
        parameters += "; format=flowed" + draw.choice(["", "; delsp=yes"])
    if draw.random() < 0.3:
        parameters += _name(draw, "name")
    boundary = draw.choice(["b", "bb", "b b", "=_x", "----=_Part", "b" * 80, "é", "", "=?x"])
    if kind.startswith("multipart"):
        parameters += draw.choice([f'; boundary="{boundary}"'] * 8 + [f"; boundary={boundary}", ""])
    head = _header(draw, "Content-Type", kind + parameters, eol) if draw.random() < 0.95 else b""
    encoding = draw.choice(
        ["base64", "quoted-printable", "7bit", "8bit", "x-uuencode", "rubbish", ""]
    )
    if draw.random() < 0.8:
        head += _header(draw, "Content-Transfer-Encoding", encoding, eol)
    if draw.random() < 0.4:
        placed = draw.choice(["attachment", "inline", "x", ""])
        head += _header(draw, "Content-Disposition", placed + _name(draw, "filename"), eol)
    if draw.random() < 0.2:
        head += _header(draw, "Content-ID", draw.choice(_IDS), eol)
    if kind.startswith("multipart"):
        body = _multipart(draw, eol, boundary.encode(), depth)
    else:
        body = _encoded(draw, _content(draw, kind, charset, depth), encoding)
    return head + (eol if draw.random() < 0.97 else b"") + body


def mutated(draw: random.Random, raw: bytes, among: Sequence[bytes]) -> bytes:
    """The bytes with a few of them changed, as by a careless server."""
    data = bytearray(raw)
    for _ in range(draw.choice([0, 1, 1, 2, 5, 20])):
        at = draw.randrange(len(data) + 1)
        span = min(draw.choice([1, 2, 10, 200]), len(data) - at)
        change: Callable[[], bytes] = draw.choice(
            [
                lambda: b"",
                lambda: draw.randbytes(draw.choice([1, 4, 30])),
                lambda: draw.choice([b"\0", b"\r", b"\n", b"\r\n\r\n", b"--", b"=?", b'"', b"<", b"=", b";"]),
                lambda span=span, at=at: bytes(data[at : at + span]) * draw.choice([2, 20]),
                lambda: draw.choice(among)[: draw.choice([10, 1000])] if among else b"",
            ]
        )  # fmt: skip
        data[at : at + span] = change()
        if len(data) > 300_000:
            break
    return bytes(data)


def _header(draw: random.Random, name: str, value: str, eol: bytes) -> bytes:
    name = draw.choice([name] * 6 + [name.lower(), name.upper(), name + " "])
    coded = value.encode(draw.choice(["utf-8", "latin-1", "utf-16-le"] if draw.random() < 0.2 else ["utf-8"]),
                         "replace")  # fmt: skip
    if draw.random() < 0.9:
        coded = coded.replace(b"\r\n", b" ").replace(b"\n", b" ").replace(b"\r", b" ")
    if draw.random() < 0.2:
        coded = coded.replace(b" ", eol + draw.choice([b" ", b"\t", b""]))
    return name.encode() + b":" + draw.choice([b" ", b"", b"\t"]) + coded + eol


def _name(draw: random.Random, parameter: str) -> str:
    name = draw.choice(_NAMES)
    quoted = "".join(f"%{byte:02X}" for byte in name.encode("utf-8", "replace"))
    return draw.choice(
        [
            f'; {parameter}="{name}"',
            f"; {parameter}={name}",
            f"; {parameter}*=utf-8''{quoted}",
            f"; {parameter}*0*=utf-8''{quoted[:6]}; {parameter}*1*={quoted[6:]}",
            f'; {parameter}*0="{name[:3]}"; {parameter}*1="{name[3:]}"',
            f"; {parameter}*99={name}; {parameter}*=''; {parameter}*x*=1",
            "",
        ]
    )


def _multipart(draw: random.Random, eol: bytes, boundary: bytes, depth: int) -> bytes:
    pieces = [draw.choice([b"", b"preamble" + eol])]
    for _ in range(draw.choice([0, 1, 2, 2, 3, 5])):
        pieces.append(b"--" + boundary + draw.choice([b"", b"", b"", b" ", b"x"]) + eol)
        pieces.append(entity(draw, eol, depth + 1) + eol)
    pieces.append(
        draw.choice([b"--" + boundary + b"--"] * 4 + [b"", b"--" + boundary[:1] + b"--"]) + eol
    )
    return b"".join(pieces) + draw.choice([b"", b"epilogue"])


def _content(draw: random.Random, kind: str, charset: str, depth: int) -> bytes:
    if kind in ("message/rfc822", "text/rfc822-headers") and depth < 3:
        return email(draw, depth + 2)
    if kind == "message/delivery-status":
        return "\n\n".join(
            draw.choice(
                [
                    "Reporting-MTA: dns; x",
                    f"Final-Recipient: rfc822; {draw.choice(_ADDRESSES)}\nAction: failed\nStatus: 5.1.1",
                    "Original-Recipient: rfc822;a@b.fr\nAction: delayed\nStatus: 4.4.7",
                    "Final-Recipient: x\nAction:\nDiagnostic-Code: smtp; 550 5.7.1 no",
                ]
            )
            for _ in range(draw.choice([0, 1, 2, 4]))
        ).encode()
    if kind == "text/html":
        text = "".join(draw.sample(_HTML, draw.choice([1, 2, 4])))
    elif kind.lower().startswith("text") or draw.random() < 0.3:
        text = "".join(draw.sample(_TEXTS, draw.choice([1, 2])))
    else:
        return draw.choice(_CONTENTS) + draw.randbytes(draw.choice([0, 10, 300]))
    try:
        return text.encode(draw.choice([charset, "utf-8", "latin-1"]), "replace")
    except (LookupError, UnicodeError):
        return text.encode()


def _encoded(draw: random.Random, content: bytes, encoding: str) -> bytes:
    if draw.random() < 0.15:
        return content
    if encoding == "base64":
        coded = base64.encodebytes(content)
        return draw.choice(
            [coded, coded[:-3], coded.replace(b"A", b"!"), coded + coded, coded.rstrip(b"=\n")]
        )
    if encoding == "quoted-printable":
        return quopri.encodestring(content)
    return content
