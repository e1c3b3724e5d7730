"""Amounts as French software writes them → exact decimals with two digits.

Accepted: "1 234,56" with any kind of space, "1.234,56", "1,234.56", "1'234.56", "1234.56", a
currency before or after, a minus before or after, "(12,00)", and "12,00 CR" (a credit: negative).
"1,234" and "1.234" may be a thousand or a fraction: they are read by the decimal mark of the
file's other amounts, and refused when those do not tell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from cli.imports.folding import shown

# The column is numeric(14,2).
LIMIT = Decimal("1e12")

SYMBOLS = {"€": "EUR", "$": "USD", "£": "GBP", "EUROS": "EUR", "EURO": "EUR"}
_CURRENCY = r"(?P<{}>[€$£]|EUROS?|[A-Z]{{3}})?"
_SHAPE = re.compile(
    r"(?P<open>\()?(?P<sign>[-+−–])?"
    + _CURRENCY.format("before")
    + r"(?P<sign2>[-−–])?(?P<digits>[0-9](?:[0-9 .,']*[0-9])?[.,]?)"
    + r"(?P<sign3>[-−–])?"
    + _CURRENCY.format("after")
    + r"(?P<close>\))?(?P<credit>CR)?",
    re.IGNORECASE,
)
_SPACES = re.compile(r"[\s\u00a0\u202f\u2007\u2009]+")
_SPACES_OUTSIDE = re.compile(r"(?<![0-9.,]) | (?![0-9.,])")
_GROUPS = re.compile(r"[0-9]{1,3}(?:[ .,'][0-9]{3})+")


class AmountError(ValueError):
    """Its text, in French, says why."""


@dataclass(frozen=True, slots=True)
class Amount:
    """`currency`: the ISO code beside the figure, when there is one."""

    value: Decimal
    currency: str | None = None


def parse_amount(text: str, decimal_mark: str | None) -> Amount:
    """The amount that `text` holds. `decimal_mark` is "," or "." when the file's other amounts
    tell, else None. Raises `AmountError`."""
    shape = _shape(text)
    if shape is None:
        raise AmountError(f"« {shown(text)} » n'est pas un montant")
    digits = shape["digits"]
    whole, fraction = _whole_and_fraction(digits, decimal_mark)
    if len(fraction.rstrip("0")) > 2:
        raise AmountError(f"« {shown(text)} » a plus de deux décimales")
    if not whole.isdigit() and not _is_grouped(whole):
        raise AmountError(f"« {shown(text)} » n'est pas un montant : ses chiffres sont mal groupés")
    value = Decimal(re.sub(r"[^0-9]", "", whole) + "." + (fraction or "0")).quantize(
        Decimal("0.01")
    )
    if value >= LIMIT:
        raise AmountError(f"« {shown(text)} » est un montant trop grand")
    signs = [shape["sign"] not in (None, "+"), shape["sign2"], shape["sign3"], shape["open"]]
    negative = any(signs) or shape["credit"] is not None
    return Amount(-value if negative and value else value, _currency(shape))


def decimal_mark_of(text: str) -> str | None:
    """The decimal mark that this amount proves its file to use: "," or ".", None if neither."""
    shape = _shape(text)
    if shape is None:
        return None
    marks = [character for character in shape["digits"] if character in ",."]
    if not marks or (len(marks) > 1 and len(set(marks)) == 1):
        return None
    mark = marks[-1]
    if len(marks) == 1 and _is_ambiguous(shape["digits"]):
        return None
    return mark


def _shape(text: str) -> re.Match[str] | None:
    text = _SPACES.sub(" ", text).strip().replace("’", "'")
    match = _SHAPE.fullmatch(_SPACES_OUTSIDE.sub("", text)) if len(text) <= 60 else None
    if match is None or bool(match["open"]) != bool(match["close"]):
        return None
    signs = [match["sign"], match["sign2"], match["sign3"], match["open"], match["credit"]]
    return match if sum(sign is not None for sign in signs) <= 1 else None


def _whole_and_fraction(digits: str, decimal_mark: str | None) -> tuple[str, str]:
    position = max(digits.rfind(","), digits.rfind("."))
    if position < 0:
        return digits, ""
    mark = digits[position]
    if digits.count(mark) > 1:
        return digits, ""
    if _is_ambiguous(digits):
        if decimal_mark is None:
            raise AmountError(
                f"« {digits} » peut se lire avec ou sans décimales : écrivez deux décimales "
                "(1234,00)"
            )
        if mark != decimal_mark:
            return digits, ""
    return digits[:position], digits[position + 1 :]


def _is_ambiguous(digits: str) -> bool:
    """One mark and no space, with one to three digits before (not 0) and exactly three after."""
    return re.fullmatch(r"[1-9][0-9]{0,2}[.,][0-9]{3}", digits) is not None


def _is_grouped(whole: str) -> bool:
    return (
        _GROUPS.fullmatch(whole) is not None
        and len({character for character in whole if not character.isdigit()}) == 1
    )


def _currency(shape: re.Match[str]) -> str | None:
    beside = shape["before"] or shape["after"]
    return currency_code(beside) if beside else None


def currency_code(text: str) -> str:
    """The ISO 4217 code of "€", "euros", "usd"… Raises `AmountError`."""
    code = SYMBOLS.get(text.strip().upper(), text.strip().upper())
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise AmountError(f"« {shown(text)} » n'est pas une devise (EUR, USD…)")
    return code
