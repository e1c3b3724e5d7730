"""A cron expression in French words, for the shapes that schedules really have."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WEEKDAYS = ("dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi")
_PLACES = {
    "Europe/Paris": "heure de Paris",
    "UTC": "UTC",
    "business": "heure de chaque entreprise",
}


def in_words(expression: str) -> str:
    """Words such as "chaque jour à 2 h"; the expression itself when it has another shape, because
    half-right words would be worse. Expects five valid fields."""
    minute, hour, day, month, weekday = expression.split()
    times = _times(minute, hour)
    days = _days(day, weekday)
    if times is None or days is None or month != "*":
        return expression
    clock, daily = times
    if not daily:
        return clock if days == "chaque jour" else f"{days}, {clock}"
    return f"{days} {clock}"


def zone_in_words(zone: str) -> str:
    return _PLACES.get(zone, zone)


def _times(minute: str, hour: str) -> tuple[str, bool] | None:
    """The times of day, and whether they are spoken of as times of a day."""
    if minute == "*" and hour == "*":
        return "chaque minute", False
    every = _every(minute, 60)
    if every and hour == "*":
        return f"toutes les {every} minutes", False
    if not minute.isdigit():
        return None
    past = f", à la minute {int(minute)}" if int(minute) else ""
    if hour == "*":
        return f"toutes les heures{past}", False
    every = _every(hour, 24)
    if every:
        return f"toutes les {every} heures{past}", False
    hours = _numbers(hour)
    if hours is None:
        return None
    return "à " + _joined(
        [f"{h} h {int(minute):02}" if int(minute) else f"{h} h" for h in hours]
    ), True


def _days(day: str, weekday: str) -> str | None:
    if day == weekday == "*":
        return "chaque jour"
    if day == "*":
        if weekday == "1-5":
            return "du lundi au vendredi"
        named = _numbers(weekday)
        return None if named is None else "chaque " + _joined([_WEEKDAYS[n % 7] for n in named])
    if weekday != "*":
        return None
    parts = []
    for part in day.split(","):
        if part != "L" and not part.isdigit():
            return None
        parts.append(
            "le dernier jour" if part == "L" else "le 1er" if int(part) == 1 else f"le {int(part)}"
        )
    return _joined(parts) + " du mois"


def _every(field: str, whole: int) -> int | None:
    """The step of `*/n` when it divides the hour or the day: the last gap is then as long."""
    found = re.fullmatch(r"\*/([0-9]+)", field)
    step = int(found[1]) if found else 0
    return step if step > 1 and whole % step == 0 and step < whole else None


def _numbers(field: str) -> list[int] | None:
    parts = field.split(",")
    return [int(part) for part in parts] if all(part.isdigit() for part in parts) else None


def _joined(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} et {last}" if most else last
