"""The text and the HTML of an e-mail, from its parts."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.mail import html
from chalicelib.mail.charsets import decode
from chalicelib.mail.flowed import unflowed
from chalicelib.mail.limits import Limits
from chalicelib.mail.structure import Entity
from chalicelib.mail.transfer import decoded

# Forms of what the text and the HTML beside them say too.
REPEATED = frozenset({"text/x-amp-html", "text/watch-html"})


@dataclass
class Body:
    """One thing said once: a part, or all forms of a multipart/alternative."""

    plain: list[str]
    html: list[str]


class Bodies:
    """Collects the parts that are read, in their order, up to the limits on text and HTML."""

    def __init__(self, limits: Limits, faults: set[str]) -> None:
        self._limits, self._faults = limits, faults
        self._bodies: dict[int, Body] = {}
        self._text_left, self._html_left = limits.text, limits.html

    def add(self, raw: bytes, part: Entity) -> None:
        """Reads a text/plain or text/html part."""
        is_html = part.type == "text/html"
        left = self._html_left if is_html else self._text_left
        # A character takes four bytes at most, and each of them three in quoted-printable.
        end = min(part.end, part.begin + 12 * left)
        data, wrong = decoded(raw, part.begin, end, encoding_of(part))
        if wrong:
            self._faults.add("encoding")
        text, guessed = decode(data, part.parameters.get("charset", ""))
        if guessed:
            self._faults.add("charset")
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if len(text) > left or end < part.end:
            self._faults.add("size")
            text = text[:left]
        body = self._bodies.setdefault(id(_alternative(part) or part), Body([], []))
        if is_html:
            self._html_left -= len(text)
            clean, missing = html.sanitised(text, self._limits.html)
            if missing:
                self._faults.add("html")
            if not clean and missing:
                body.plain.append(html.bare_text(text)[: self._limits.text])
            body.html.append(clean)
            return
        self._text_left -= len(text)
        if part.parameters.get("format", "").lower() == "flowed":
            text = unflowed(text, delsp=part.parameters.get("delsp", "").lower() == "yes")
        body.plain.append(text)

    @property
    def empty(self) -> bool:
        return not self._bodies

    def text(self) -> str:
        """Of each body its plain text, or else its HTML made into text."""
        return _bounded("\n\n".join(filter(None, map(_text, self._bodies.values()))),
                        self._limits.text, self._faults)  # fmt: skip

    def html(self) -> str:
        """Sanitised; `""` when no body has any, and bodies without are put in as their text."""
        bodies = list(self._bodies.values())
        if not any("".join(body.html).strip() for body in bodies):
            return ""
        shown = "<hr>".join(
            "".join(body.html) or f"<div>{html.escaped(_text(body))}</div>" for body in bodies
        )
        # Cut HTML could mean anything: what is too long is not kept, its text is.
        return shown if len(shown) <= 2 * self._limits.html else ""


def encoding_of(part: Entity) -> str:
    """Its Content-Transfer-Encoding in lower case."""
    value = part.fields.get(b"content-transfer-encoding", (b"",))[0]
    return decode(value[:80])[0].strip(" \t\"';").partition(" ")[0].lower()


def _alternative(part: Entity) -> Entity | None:
    above = part.parent
    while above is not None and above.type != "multipart/alternative":
        above = above.parent
    return above


def _text(body: Body) -> str:
    plain = "\n\n".join(body.plain).strip()
    return plain or "\n\n".join(filter(None, map(html.text_of, body.html)))


def _bounded(text: str, limit: int, faults: set[str]) -> str:
    if len(text) > limit:
        faults.add("size")
    return text[:limit].strip()
