"""When an e-mail says that it was written, and whether that can be true."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_tz

from chalicelib.mail.charsets import decode

# A clock that was never set says 1904, 1970 or 1980; there is no internet mail in French before.
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
# A sender's clock may be wrong, or set to the time of another zone.
AHEAD = timedelta(hours=24)
_MONTHS = {name: n for n, name in enumerate(
    "jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}  # fmt: skip
_FRENCH = {"janv": 1, "févr": 2, "fevr": 2, "fév": 2, "fev": 2, "mars": 3, "avr": 4, "mai": 5,
           "juin": 6, "juil": 7, "août": 8, "aout": 8, "sept": 9, "déc": 12}  # fmt: skip
_USUAL = re.compile(
    r"\s*(?:[A-Za-z]{3},?\s*)?(\d{1,2})[ -]([A-Za-z]{3})[ -](\d{4})\s+(\d{1,2}):(\d\d)(?::(\d\d))?"
    r"\s*(?:([+-])(\d\d)(\d\d)|(GMT|UTC?|Z))\b"
)
_IN_FRENCH = re.compile(
    r"(\d{1,2})(?:er)?\s+([a-zéûà]{3,9})\.?\s+(\d{4})\s+(?:à\s+)?(\d{1,2})[:h](\d\d)(?::(\d\d))?"
    r"\s*(?:([+-])(\d\d):?(\d\d))?",
    re.IGNORECASE,
)
_ISO = re.compile(
    r"\s*(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?\s*(?:Z|([+-])(\d\d):?(\d\d))?"
)


def sent_at(value: bytes | None, received: datetime | None) -> tuple[datetime | None, bool]:
    """The instant of a Date field in UTC, and whether something was wrong with it. None when it
    cannot be read or cannot be true: before 1990, or more than 24 hours after `received` (without
    which no future is too far). A zone that does not exist is taken as UTC."""
    if not value:
        return None, True
    text = decode(value[:200])[0]
    try:
        found, doubtful = _read(text)
    except (ValueError, OverflowError):
        return None, True
    if found is None or found < EARLIEST:
        return None, True
    if received is not None and found > received + AHEAD:
        return None, True
    return found, doubtful


def _read(text: str) -> tuple[datetime | None, bool]:
    usual = _USUAL.match(text)
    if usual is not None and usual[2].lower() in _MONTHS:
        day, month, year, hour, minute, second, sign, hours, minutes, _ = usual.groups()
        return _instant(
            (year, _MONTHS[month.lower()], day, hour, minute, second), sign, hours, minutes
        )
    iso = _ISO.match(text)
    if iso is not None:
        return _instant(iso.groups()[:6], *iso.groups()[6:])
    french = _IN_FRENCH.search(text)
    if french is not None:
        day, month, year, hour, minute, second, sign, hours, minutes = french.groups()
        name = month.lower()
        number = next((n for start, n in _FRENCH.items() if name.startswith(start)), None)
        number = number or _MONTHS.get(name[:3])
        if number is not None:
            return _instant((year, number, day, hour, minute, second), sign, hours, minutes)
    return _otherwise(text)


def _instant(
    parts: tuple[str | int | None, ...], sign: str | None, hours: str | None, minutes: str | None
) -> tuple[datetime | None, bool]:
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    doubtful = second > 60 or offset > timedelta(hours=14)
    offset = timedelta() if offset > timedelta(hours=14) else offset
    zone = timezone(-offset if sign == "-" else offset)
    read = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=zone)
    return read.astimezone(UTC), doubtful


def _otherwise(text: str) -> tuple[datetime | None, bool]:
    """The forms of other times (RFC 850, asctime, two-digit years, names of zones)."""
    try:
        parts = parsedate_tz(text)
    except (IndexError, TypeError):  # of the library, on what it does not expect
        return None, True
    if parts is None:
        return None, True
    offset = parts[9] or 0
    doubtful = parts[9] is None or abs(offset) > 14 * 3600
    zone = timezone(timedelta(seconds=0 if abs(offset) > 14 * 3600 else offset))
    year, month, day, hour, minute, second = parts[:6]
    read = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=zone)
    return read.astimezone(UTC), doubtful
