"""Amounts, dates and counts as a French reader expects them (locale fr_FR, CLDR data from Babel).

Each function takes what a message's content holds (ISO strings, decimal strings) or the Python
value itself, and raises ValueError, with a French message, for what it cannot read. Spaces that
must not break are U+00A0 (before €, %, :, and inside « ») or U+202F (thousands; before ; ! ?).
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

LOCALE: Final = "fr_FR"
NO_BREAK: Final = "\u00a0"
NARROW_NO_BREAK: Final = "\u202f"
MINUS: Final = "\u2212"  # screen readers say it, and no line breaks after it, unlike the hyphen

# ISO 4217 codes that stand for the absence of a currency and for tests.
_NOT_MONEY: Final = frozenset({"XXX", "XTS"})
# Metropolitan France and the overseas departments that share its plan (Arcep).
_FRENCH_CODES: Final = frozenset({33, 262, 590, 594, 596})
# From two on, so that no gender is needed.
_WORDS: Final = ("deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix")


def montant(amount: str | int | Decimal, currency: str) -> str:
    """`montant("1234.56", "EUR")` is « 1 234,56 € ».

    `amount` is in units of `currency` (ISO 4217), shown with as many decimals as CLDR gives that
    currency (JPY none, TND three); further decimals are rounded half up, as accounts are.
    """
    return _amount(amount, currency) if type(amount) is str else _read_amount(amount, currency)


def _read_amount(amount: str | int | Decimal, currency: str) -> str:
    code = currency.upper()
    precision = _precision(code)
    if precision is None:
        raise ValueError("devise inconnue")
    try:
        exact = decimal(amount).quantize(Decimal(1).scaleb(-precision), rounding=ROUND_HALF_UP)
    except InvalidOperation as error:
        raise ValueError("montant démesuré") from error
    return _with_minus(exact, _in_currency(abs(exact), code))


def taux(percent: str | int | Decimal) -> str:
    """`taux("14.76")` is « 14,76 % »: a figure in percent, shown with four decimals at most."""
    value = decimal(percent)
    return _with_minus(value, f"{_figure(abs(value), '#,##0.####')}{NO_BREAK}%")


def nombre(value: str | int | Decimal) -> str:
    """`nombre(12345)` is « 12 345 »: a count, or a number without trailing zeros."""
    number = decimal(value)
    return _with_minus(number, _figure(abs(number)))


def en_lettres(count: int) -> str:
    """« deux » to « dix » in words, as in a sentence; other counts in figures."""
    return _WORDS[count - 2] if 2 <= count <= 10 else nombre(count)


def jours(count: int) -> str:
    """« 1 jour », « 12 jours »; French counts 0 as singular."""
    return f"{nombre(count)}{NO_BREAK}{'jour' if abs(decimal(count)) < 2 else 'jours'}"


def date_jour(day: str | date) -> str:
    """« 3 mars 2026 », « 1er mars 2026 »."""
    return _spelled(day, "{day} MMMM y")


def date_longue(day: str | date) -> str:
    """« mardi 3 mars 2026 », « dimanche 1er mars 2026 »."""
    return _spelled(day, "EEEE {day} MMMM y")


def date_courte(day: str | date) -> str:
    """« 03/03/2026 »."""
    return f"{_day(day):%d/%m}/{_day(day).year:04}"


def date_heure(instant: str | datetime, zone: str = "Europe/Paris") -> str:
    """« 10 mars 2026 à 9 h 05 », on the clocks of `zone` (IANA). `instant` has an offset."""
    moment = _datetime(instant)
    if moment.tzinfo is None:
        raise ValueError("date sans fuseau horaire")
    local = moment.astimezone(ZoneInfo(zone))
    clock = f"{local.hour}{NO_BREAK}h{NO_BREAK}{local.minute:02}"
    return f"{date_jour(local.date())} à {clock}"


def dans_jours(day: str | date, count: int) -> date:
    """The date `count` days after `day`."""
    return _day(day) + timedelta(days=count)


def iban(account: str) -> str:
    """An IBAN in groups of four that stay on one line: « FR76 3000 4000 … »."""
    compact = "".join(account.split()).upper()
    return NO_BREAK.join(compact[start : start + 4] for start in range(0, len(compact), 4))


def siret(number: str) -> str:
    """« 123 456 789 00012 » for the fourteen digits of a SIRET; anything else is left as it is."""
    compact = "".join(number.split())
    if not re.fullmatch(r"[0-9]{14}", compact):
        return number
    return NO_BREAK.join((compact[:3], compact[3:6], compact[6:9], compact[9:]))


def telephone(number: str) -> str:
    """« 06 39 98 00 01 » for a number of France, overseas included, in E.164; « +32 470 12 34 56 »
    for another one. What is no number is left as it is."""
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    french = parsed.country_code in _FRENCH_CODES
    style = phonenumbers.PhoneNumberFormat
    shown = phonenumbers.format_number(parsed, style.NATIONAL if french else style.INTERNATIONAL)
    return str(shown).replace(" ", NO_BREAK)


def typographie(text: str) -> str:
    """Plain French as typed on a keyboard, with its apostrophes and no-break spaces.

    Meant for the wording of templates, never for what a customer typed. A colon counts only
    after a space and before one or a tag, so that clock times and CSS are left alone.
    """
    text = re.sub(r"(?<=[^\W\d_])'(?=[^\W\d_]|\Z)", "’", text)
    text = re.sub(r" :(?=[\s<]|\Z)", f"{NO_BREAK}:", text)
    text = re.sub(r" ([;!?])", rf"{NARROW_NO_BREAK}\1", text)
    return text.replace("« ", f"«{NO_BREAK}").replace(" »", f"{NO_BREAK}»")


def decimal(value: str | int | Decimal) -> Decimal:
    """The exact number. A float is refused: money is never one."""
    if isinstance(value, float):
        raise ValueError("nombre à virgule flottante")
    try:
        number = Decimal(value)
    except (InvalidOperation, TypeError) as error:
        raise ValueError("nombre illisible") from error
    if not number.is_finite():
        raise ValueError("nombre illisible")
    return number


def _with_minus(value: Decimal, shown: str) -> str:
    rounded_to_zero = not re.search("[1-9]", shown)
    return f"{MINUS}{shown}" if value < 0 and not rounded_to_zero else shown


# A letter shows the same few amounts, counts and dates in its subject, its text and its HTML.


_amount = lru_cache(maxsize=512)(_read_amount)


@lru_cache(maxsize=64)
def _precision(code: str) -> int | None:
    """The decimals of a currency, None for what is no currency."""
    from babel.numbers import get_currency_precision, is_currency

    known = code not in _NOT_MONEY and is_currency(code, LOCALE)
    return get_currency_precision(code) if known else None


@lru_cache(maxsize=512)
def _in_currency(amount: Decimal, code: str) -> str:
    from babel.numbers import format_currency

    return format_currency(amount, code, locale=LOCALE)


@lru_cache(maxsize=512)
def _figure(number: Decimal, pattern: str | None = None) -> str:
    from babel.numbers import format_decimal

    return format_decimal(number, format=pattern, locale=LOCALE)


def _spelled(day: str | date, pattern: str) -> str:
    return _in_words(_day(day), pattern)


@lru_cache(maxsize=512)
def _in_words(day: date, pattern: str) -> str:
    from babel.dates import format_date

    # CLDR has no ordinal for the day of the month; in French only the first one takes it.
    day_of_month = "d'er'" if day.day == 1 else "d"
    return format_date(day, pattern.format(day=day_of_month), locale=LOCALE)


def _day(day: str | date) -> date:
    if isinstance(day, datetime):
        return day.date()
    if isinstance(day, date):
        return day
    try:
        return date.fromisoformat(day)
    except (TypeError, ValueError) as error:
        raise ValueError("date illisible") from error


def _datetime(instant: str | datetime) -> datetime:
    if isinstance(instant, datetime):
        return instant
    try:
        return datetime.fromisoformat(instant)
    except (TypeError, ValueError) as error:
        raise ValueError("date illisible") from error
