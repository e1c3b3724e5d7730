"""Dates as French software writes them: day first, in figures or in words, or ISO.

"03/04/2026" is 3 April. A file that holds a date such as "04/25/2026" was written month first:
there, dates that could be read both ways are refused rather than misread.
"""

from __future__ import annotations

import re
from datetime import date

from cli.imports.folding import fold, shown

EARLIEST_YEAR, LATEST_YEAR = 2000, 2100

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "janvier janv jan",
            "fevrier fevr fev",
            "mars mar",
            "avril avr",
            "mai",
            "juin",
            "juillet juil",
            "aout aou",
            "septembre sept sep",
            "octobre oct",
            "novembre nov",
            "decembre dec",
        ),
        start=1,
    )
    for name in names.split()
}
WEEKDAYS = (
    r"(?:(?:lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche|lun|mar|mer|jeu|ven|sam|dim) )?"
)

# A time may follow, a zone may not: "2026-03-02T23:00Z" is already the 3rd in Paris.
_TIME = r"(?:[T ]+[0-9]{1,2}[:h][0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?)?"
_DAY_FIRST = re.compile(
    rf"(?P<day>[0-9]{{1,2}})([/.-])(?P<month>[0-9]{{1,2}})\2(?P<year>[0-9]{{4}}|[0-9]{{2}}){_TIME}"
)
_YEAR_FIRST = re.compile(
    rf"(?P<year>[0-9]{{4}})([/.-])(?P<month>[0-9]{{1,2}})\2(?P<day>[0-9]{{1,2}}){_TIME}"
)
_IN_WORDS = re.compile(
    rf"{WEEKDAYS}(?P<day>[0-9]{{1,2}})(?:er)? (?P<month>[a-z]+) (?P<year>[0-9]{{4}}|[0-9]{{2}})"
)


class DateError(ValueError):
    """Its text, in French, says why."""


def parse_date(text: str, *, month_first_seen: bool = False) -> date:
    """The day that `text` holds; two-digit years are 20yy. `month_first_seen`: the file holds a
    date that only reads month first. Raises `DateError`, also for a year before 2000 or after
    2100."""
    text = " ".join(text.split())
    numeric = _DAY_FIRST.fullmatch(text)
    match = numeric or _YEAR_FIRST.fullmatch(text) or _IN_WORDS.fullmatch(fold(text))
    if match is None or (match["month"].isalpha() and match["month"] not in MONTHS):
        raise DateError(f"« {shown(text)} » n'est pas une date (attendu : jj/mm/aaaa)")
    if numeric and month_first_seen and int(match["day"]) <= 12 and match["day"] != match["month"]:
        raise DateError(
            f"« {shown(text)} » peut être une date mois/jour, comme d'autres de ce fichier : "
            "exportez les dates au format jj/mm/aaaa ou aaaa-mm-jj"
        )
    year = int(match["year"]) + (2000 if len(match["year"]) == 2 else 0)
    month = MONTHS.get(match["month"]) or int(match["month"])
    if not EARLIEST_YEAR <= year <= LATEST_YEAR:
        raise DateError(
            f"« {shown(text)} » n'est pas une date possible : l'année doit être entre "
            f"{EARLIEST_YEAR} et {LATEST_YEAR}"
        )
    try:
        return date(year, month, int(match["day"]))
    except ValueError as error:
        raise DateError(f"« {shown(text)} » n'existe pas au calendrier") from error


def is_month_first(text: str) -> bool:
    """Whether this date only makes sense month first, as "04/25/2026"."""
    match = _DAY_FIRST.fullmatch(" ".join(text.split()))
    return match is not None and int(match["day"]) <= 12 < int(match["month"]) <= 31
