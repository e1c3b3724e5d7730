"""Reading what a provider posted, without trusting any of it: forms, JSON, texts, ids, instants.

Everything is bounded, and every text that comes out can be stored by PostgreSQL: no zero byte, no
half of a character.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from urllib.parse import parse_qsl

# Twilio's largest request, an inbound message with ten media, is about 20 kB.
LONGEST_FORM = 256_000
MOST_FIELDS = 300
# Meta posts 3 MB at most (webhooks set-up page, read in 2026); SNS 256 kB.
LONGEST_JSON = 3 * 1024 * 1024
# WhatsApp takes 4,096 characters; the rest is room for whatever comes next.
LONGEST_TEXT = 65_536

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_IDENTIFIER = re.compile(r"[!-~]{1,256}")
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_DIGITS = re.compile(r"[0-9]{1,18}")
# Before the first of our providers existed; a time that old is a unit's mistake.
_EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)

Pairs = tuple[tuple[str, str], ...]


class Malformed(ValueError):
    """What was posted cannot be read; `reason` is a code, and quotes nothing of it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def form_pairs(body: bytes) -> Pairs:
    """The fields of a form, in their order, repeated ones included. Bytes that are not UTF-8 become
    lone surrogates (`surrogateescape`), so that a signature over them can still be checked. Raises
    `Malformed`: `too_large` or `too_many_fields`."""
    if len(body) > LONGEST_FORM:
        raise Malformed("too_large")
    try:
        found = parse_qsl(
            body.decode("utf-8", "surrogateescape"),
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise Malformed("too_many_fields") from None
    return tuple(found)


class Form:
    """A form whose fields are asked for one by one."""

    def __init__(self, pairs: Pairs) -> None:
        self._values: dict[str, set[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, set()).add(value)

    def get(self, name: str) -> str:
        """The field's value, empty when it is absent. Raises `Malformed` (`repeated`) when it is
        there twice with two values: which one was meant cannot be known."""
        values = self._values.get(name, {""})
        if len(values) > 1:
            raise Malformed("repeated")
        return next(iter(values))


def json_object(body: bytes | str, longest: int = LONGEST_JSON) -> dict[str, Any]:
    """The body as a JSON object. Raises `Malformed`: `too_large`, `not_json` or `not_an_object`."""
    if len(body) > longest:
        raise Malformed("too_large")
    try:
        found = json.loads(body, parse_constant=_not_a_number)
    except (ValueError, RecursionError):
        raise Malformed("not_json") from None
    if not isinstance(found, dict):
        raise Malformed("not_an_object")
    return found


def _not_a_number(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def mapping(value: object) -> Mapping[str, Any]:
    """`value` if it is a JSON object, else an empty one: for what may be absent."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[Any]:
    """`value` if it is a JSON array, else an empty one: for what may be absent."""
    return value if isinstance(value, list) else []


def text(value: object, longest: int = LONGEST_TEXT) -> str:
    """A text that can be stored, cut at `longest` characters; empty for what is no text."""
    if not isinstance(value, str):
        return ""
    return _UNSTORABLE.sub("\ufffd", value[:longest])


def identifier(value: object, reason: str) -> str:
    """A provider's id: 1 to 256 visible ASCII characters. Raises `Malformed(reason)`."""
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise Malformed(reason)
    return value


def code(value: object) -> str | None:
    """A provider's error code or keyword, None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        written = str(value)
    except ValueError:  # an integer of more than 4,300 digits
        return None
    return written if _CODE.fullmatch(written) else None


def unix_instant(value: object, received_at: datetime) -> datetime:
    """Seconds since 1970, as a number or its digits, as an aware UTC instant. What is absurd, or
    later than `received_at`, is `received_at`."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return received_at
    try:
        at = datetime.fromtimestamp(0, UTC) + timedelta(seconds=value)
    except OverflowError:
        return received_at
    return at if _EARLIEST <= at <= received_at else received_at


def iso_instant(value: object, received_at: datetime) -> datetime:
    """An ISO 8601 instant with its zone, as aware UTC; see `unix_instant`."""
    try:
        at = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        return received_at
    # Compared before it is converted: the first and last days of the calendar overflow.
    known = at.utcoffset() is not None and _EARLIEST <= at <= received_at
    return at.astimezone(UTC) if known else received_at


def digest(*parts: str | bytes) -> str:
    """64 hexadecimal digits over the parts, which cannot run into one another."""
    found = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        found.update(len(raw).to_bytes(8, "big") + raw)
    return found.hexdigest()


def canonical(value: object) -> str:
    """The same text for the same JSON, whatever the order of its names. Raises `Malformed`
    (`too_deep`)."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    except RecursionError:
        raise Malformed("too_deep") from None
