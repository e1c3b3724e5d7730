"""Moments as French software writes them: a day as `dates` reads it, then an hour.

"14:30", "14h30", "14 h", "2:30 PM". Without an offset they are on the clock of a zone. On the days
on which that clock is moved an hour may not exist, or come twice: it is refused rather than
shifted, unless an offset says which it is ("2026-10-25T02:30+02:00").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from cli.imports.dates import DateError, parse_date
from cli.imports.folding import shown

LATEST_OFFSET = timedelta(hours=14)

_HOUR = (
    r"(?P<hour>[0-9]{1,2})"
    r"(?:(?: ?: ?|(?P<h> ?[hH] ?))(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:[.,][0-9]{1,9})?)?(?: ?[mM]in)?|(?P<whole> ?[hH]))?"
    r"(?: ?(?P<half>[aApP])\.?[mM]\.?)?"
)
_OFFSET = r"(?P<offset>Z|z| ?(?:UTC|GMT)| ?(?:UTC|GMT)?[+−-][0-9]{2}(?::?[0-9]{2})?)?"
_TIME = re.compile(rf"{_HOUR}{_OFFSET}")
_AFTER_A_DAY = re.compile(rf"(?P<day>.*[0-9])(?:[Tt]|,? (?:à |a )?){_HOUR}{_OFFSET}")
# What spreadsheets write before an hour that has no day.
_DAY_ZERO = re.compile(r"^(?:3[01]/12/1899|1899-12-3[01]|0?[01]/0?1/1900|1900-01-0[01])[ T]")


@dataclass(frozen=True, slots=True)
class Clock:
    """An hour of a day. `offset`: from UTC, None where the text gives none."""

    at: time
    offset: timedelta | None = None


def parse_moment(text: str, zone: ZoneInfo, *, month_first_seen: bool = False) -> datetime:
    """The instant (aware, UTC) of a day and an hour. Raises `DateError`, as `parse_date` and
    `instant` do, and where there is no hour."""
    day, clock = parse_day_and_clock(text, month_first_seen=month_first_seen)
    if clock is None:
        raise DateError(f"« {shown(text)} » n'a pas d'heure (attendu : jj/mm/aaaa hh:mm)")
    return instant(day, clock, zone)


def parse_day_and_clock(text: str, *, month_first_seen: bool = False) -> tuple[date, Clock | None]:
    """The day that `text` holds, and its hour where it holds one. Raises `DateError`."""
    text = " ".join(text.split())
    match = _AFTER_A_DAY.fullmatch(text)
    # "3 avril 26" is a day, and "15 12" none: an hour has minutes, an "h" or a half of the day.
    if match is None or not _says_hour(match):
        return parse_date(text, month_first_seen=month_first_seen), None
    clock = _clock(match, text)
    return parse_date(match["day"], month_first_seen=month_first_seen), clock


def parse_clock(text: str) -> Clock:
    """The hour that `text` holds, without a day. Raises `DateError`."""
    match = _hour_alone(text)
    if match is None:
        raise DateError(f"« {shown(text)} » n'est pas une heure (attendu : 14:30 ou 14h30)")
    return _clock(match, text)


def is_clock(text: str) -> bool:
    """Whether it is an hour, possible or not, without a day."""
    return _hour_alone(text) is not None


def _hour_alone(text: str) -> re.Match[str] | None:
    match = _TIME.fullmatch(_DAY_ZERO.sub("", " ".join(text.split())))
    return match if match and _says_hour(match) else None


def day_part(text: str) -> str:
    """The day of a moment as it is written, without its hour."""
    match = _AFTER_A_DAY.fullmatch(" ".join(text.split()))
    return match["day"] if match and _says_hour(match) else text


def instant(day: date, clock: Clock, zone: ZoneInfo) -> datetime:
    """The instant (aware, UTC) of that hour: at its offset, else on the zone's clock. Raises
    `DateError` for an hour that the zone's clock passes over, or shows twice, on that day."""
    local = datetime.combine(day, clock.at)
    if clock.offset is not None:
        return local.replace(tzinfo=timezone(clock.offset)).astimezone(UTC)
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first.astimezone(UTC)
    words = f"{local:%d/%m/%Y %H:%M}"
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        raise DateError(
            f"« {words} » n'existe pas ({zone.key}) : l'heure y change cette nuit-là ; corrigez "
            "l'heure, ou ajoutez le décalage (2026-03-29T03:30+02:00)"
        )
    raise DateError(
        f"« {words} » existe deux fois ({zone.key}) : l'heure y change cette nuit-là ; ajoutez le "
        f"décalage ({local:%Y-%m-%dT%H:%M}{_written(first)} ou {_written(second)})"
    )


def _written(moment: datetime) -> str:
    return moment.isoformat()[19:25]


def _says_hour(match: re.Match[str]) -> bool:
    return bool(match["minute"] or match["whole"] or match["half"])


def _clock(match: re.Match[str], text: str) -> Clock:
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    if match["half"]:
        if not 1 <= hour <= 12:
            raise DateError(f"« {shown(text)} » n'est pas une heure possible")
        hour = hour % 12 + (12 if match["half"] in "pP" else 0)
    try:
        at = time(hour, minute, second)
    except ValueError as error:
        raise DateError(f"« {shown(text)} » n'est pas une heure possible") from error
    return Clock(at, _offset(match["offset"], text))


def _offset(written: str | None, text: str) -> timedelta | None:
    if written is None:
        return None
    figures = re.fullmatch(r"[^+−-]*(?P<sign>[+−-])(?P<hours>..):?(?P<minutes>..)?", written)
    if figures is None:
        return timedelta()
    minutes = int(figures["minutes"] or 0)
    offset = timedelta(hours=int(figures["hours"]), minutes=minutes)
    if offset > LATEST_OFFSET or minutes > 59:
        raise DateError(f"« {shown(text)} » a un décalage horaire impossible")
    return offset if figures["sign"] == "+" else -offset
