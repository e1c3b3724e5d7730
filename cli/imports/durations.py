"""Lengths of time as people write them ("1 h 30", "45 min", "1 jour") → minutes."""

from __future__ import annotations

import re

from cli.imports.folding import shown

LONGEST = 60 * 24 * 60  # minutes: sixty days, the longest offset of a reminder

_LENGTH = re.compile(
    r"-?(?:(?P<days>[0-9]{1,3}) ?(?:jours?|j|days?|d))?"
    r" ?(?:(?P<hours>[0-9]{1,4}) ?(?:heures?|hours?|h|:))?"
    r" ?(?:(?P<minutes>[0-9]{1,6}) ?(?:minutes?|min|mn|m)?)?(?::00)?"
    r"(?: ?(?:avant|before))?"
)


class DurationError(ValueError):
    """Its text, in French, says why."""


def parse_minutes(text: str) -> int:
    """The minutes that `text` says; a number alone is minutes, "1:30" an hour and a half. Raises
    `DurationError`."""
    match = _LENGTH.fullmatch(text.strip().lower())
    parts = match.groupdict() if match else {}
    if not any(parts.values()):
        raise DurationError(f"« {shown(text)} » n'est pas une durée (attendu : 1h30, 45 min, 90)")
    days, hours, minutes = (int(parts[name] or 0) for name in ("days", "hours", "minutes"))
    found = days * 1440 + hours * 60 + minutes
    if found > LONGEST:
        raise DurationError(f"« {shown(text)} » dépasse soixante jours")
    return found


def parse_offsets(text: str) -> str:
    """Several of them, as the relation keeps the offsets of an appointment: "1440,60". Raises
    `DurationError`."""
    found = {parse_minutes(part) for part in re.split(r"[,;/+]| et ", text) if part.strip()}
    if not found:
        raise DurationError(f"« {shown(text)} » ne dit pas combien de temps avant")
    return ",".join(str(minutes) for minutes in sorted(found, reverse=True))
