"""What holds for any bytes whatever, once `parse` has read them."""

from __future__ import annotations

import dataclasses
import re
import time
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser

from chalicelib.errors import Unreadable
from chalicelib.mail.identity import head, identify
from chalicelib.mail.limits import DEFAULT, Limits
from chalicelib.mail.parse import parse
from chalicelib.mail.parsed import ParsedMail

RECEIVED = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
FAULTS = {
    "header",
    "charset",
    "encoding",
    "boundary",
    "depth",
    "parts",
    "size",
    "html",
    "date",
}
# Seconds for an input, and for each of its megabytes, on a machine that others use too.
FIRST_S, PER_MB_S = 1.0, 8.0
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
ACTING = frozenset(
    "script style iframe frame object embed form input button select textarea meta link base svg"
    " math template noscript audio video source applet body html head title".split()
)
HARMLESS = frozenset(
    "href title src alt align valign width height bgcolor border cellpadding cellspacing colspan"
    " rowspan color size face start type rel lang".split()
)


def checked(raw: bytes, limits: Limits = DEFAULT) -> ParsedMail | None:
    """What was read; None for what is no e-mail at all. Raises `AssertionError` when something does
    not hold that has to hold for any bytes."""
    begun = time.thread_time()
    identity = identify(raw)
    try:
        mail = parse(raw, received=RECEIVED, limits=limits)
    except Unreadable:
        assert not raw[: limits.message].strip(b"\0 \t\r\n\v\f")
        return None
    spent = time.thread_time() - begun
    assert spent < FIRST_S + PER_MB_S * len(raw) / 1e6, f"{spent:.2f} s for {len(raw)} bytes"
    if limits.header == DEFAULT.header:  # these have no limits of their own
        assert head(raw).message_id == mail.message_id
        assert identity.has_message_id == (mail.message_id is not None)
        assert identity.has_message_id == (identity.message_id == mail.message_id)
    _texts_are_clean(mail)
    _is_bounded(mail, raw, limits)
    _html_is_harmless(mail.html)
    _names_are_safe(mail)
    assert set(mail.faults) <= FAULTS
    assert (mail.bounce is not None) == (mail.nature == "bounce")
    if mail.sent_at is not None:
        assert datetime(1990, 1, 1, tzinfo=UTC) <= mail.sent_at
        assert mail.sent_at.utcoffset() is not None
        assert (mail.sent_at - RECEIVED).total_seconds() <= 86_400
    return mail


def texts(value: object) -> Iterator[str]:
    """Every text in what was read, at whatever depth."""
    if isinstance(value, str):
        yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for entry in dataclasses.fields(value):
            yield from texts(getattr(value, entry.name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)


def _texts_are_clean(mail: ParsedMail) -> None:
    for text in texts(mail):
        text.encode("utf-8")  # no lone surrogate
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text)
        assert "\r" not in text or text == mail.html
    for line in (mail.subject, mail.snippet, *(party.name for party in mail.parties)):
        assert "\n" not in line
        assert line == line.strip()


def _is_bounded(mail: ParsedMail, raw: bytes, limits: Limits) -> None:
    assert len(mail.text) <= limits.text
    assert len(mail.html) <= 2 * limits.html
    assert len(mail.snippet) <= limits.snippet
    assert len(mail.subject) <= 1000
    assert len(mail.parties) <= limits.parties
    assert len(mail.references) <= limits.references
    assert len(set(mail.references)) == len(mail.references)
    assert len(mail.parts) <= limits.parts
    for name in (mail.message_id, mail.in_reply_to, *mail.references):
        assert name is None or 0 < len(name.encode()) <= 500
    for party in mail.parties:
        assert party.email == "" or re.fullmatch(r'(?s)(".+"|[^@\s<>]+)@[^@\s<>]+', party.email)
        assert party.email == party.email.lower()
        assert len(party.email) <= 320
        assert len(party.name) <= 300
    assert sum(part.size for part in mail.parts) <= len(raw)
    for part in mail.parts:
        assert (part.content is None) == (part.size > limits.attachment)


_AROUND = "".join(map(chr, range(33)))


class _Tags(HTMLParser):
    """Looks at each tag as a browser would, not as the sanitiser wrote it."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ACTING
        for name, value in attrs:
            assert name in HARMLESS, (tag, name, value)
            scheme = _as_browsers_read(value or "").partition(":")[0].lower()
            if name == "src":
                assert scheme == "cid", value
            if name == "href":
                assert scheme in ("http", "https", "mailto", "tel", "cid"), value


def _as_browsers_read(url: str) -> str:
    """Without what they leave out of it: https://url.spec.whatwg.org/#concept-basic-url-parser."""
    return re.sub("[\t\n\r]", "", url.lstrip("".join(map(chr, range(0x21)))))


def _html_is_harmless(html: str) -> None:
    parser = _Tags()
    parser.feed(html)
    parser.close()


def _names_are_safe(mail: ParsedMail) -> None:
    names = [part.name for part in mail.parts]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert 0 < len(name) <= 120
        assert len(name.encode()) <= 255
        assert not re.search(r'[/\\<>:"|?*]', name)
        assert name.strip(" .") == name
        assert not _RESERVED.fullmatch(name)
        for c in name:
            assert unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp"), ascii(name)
