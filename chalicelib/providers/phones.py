"""Telephone numbers as people type them, in E.164.

The plan is that of libphonenumber (`phonenumberslite`), with what it leaves to its caller: a field
that holds two numbers or words, and a number of an overseas department written as in France.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from chalicelib.errors import BadRequest

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

# Tried in this order; PM's own six digits are in nobody else's plan.
FRENCH_REGIONS = ("FR", "RE", "GP", "MQ", "GF", "YT", "PM")
LONGEST_FIELD = 100
_FEWEST_DIGITS = 6  # a shorter run is no number of its own
_MOST_DIGITS = 15  # E.164

Line = Literal["mobile", "landline", "either"]

_LABEL = re.compile(
    r"^(?:t[ée]l(?:[ée]phone)?|mobile|portable|port|gsm|fixe|whatsapp)[\s.:]*", re.IGNORECASE
)
_SEPARATORS = re.compile(r"[;,/|&\n\r\t]|\bou\b|\bet\b", re.IGNORECASE)
_TRUNK = re.compile(r"\(0\)")
_ALLOWED = re.compile(r"\+?[0-9 .()\-]*")
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—−"), "-")
# 0508 leads to Saint-Pierre-et-Miquelon (Arcep's plan), which libphonenumber takes for a landline
# of the south-west; 0596 to Martinique likewise, 0262 and 0269 to La Réunion and Mayotte.
_OVERSEAS_PREFIXES = {"0508": "PM", "0596": "MQ", "0262": "RE", "0269": "YT"}
# Numbers for fiction: libphonenumber knows the landlines, not these mobiles (Arcep, decision
# 2018-0881: 06 39 98).
_FICTION = re.compile(r"\+3363998[0-9]{4}")


@dataclass(frozen=True)
class Phone:
    """`number` in E.164, `region` in ISO 3166 (`RE` for La Réunion). `line` is `either` where the
    plan does not tell; WhatsApp Business also exists on landlines."""

    number: str = field(repr=False)
    region: str
    line: Line


def normalised(raw: str | None, region: str = "FR") -> Phone:
    """The number that was meant, in E.164.

    Takes `06 12 34 56 78`, `0033…`, `+33 (0)6…`, `33612345678`, with a label such as `Tél. :`. For
    a French region the other ones are tried before it is refused: `0692123456` is a mobile of La
    Réunion, `+33692123456` as well. The same number twice is one.

    Raises `BadRequest`, without quoting the field: `phone_missing`, `phone_several` (two numbers),
    `phone_letters`, `phone_service` (short, free or premium-rate), `phone_invalid`.
    """
    text = _plain(raw or "")
    if not text:
        raise _refused("phone_missing", "Le numéro de téléphone manque.")
    parts = [part for part in map(str.strip, _SEPARATORS.split(text)) if _digits(part)]
    numbers = [part for part in parts if _digits(part) >= _FEWEST_DIGITS]
    if len(numbers) < 2:
        return _one(text if len(parts) < 2 else " ".join(parts), region)
    try:
        found = {_one(part, region) for part in numbers}
    except BadRequest:
        raise _several() from None
    if len(found) > 1:
        raise _several()
    return found.pop()


def _one(text: str, region: str) -> Phone:
    text = _TRUNK.sub("", _LABEL.sub("", text))
    if any(character.isalpha() for character in text):
        raise _refused("phone_letters", "Ce numéro contient des lettres : corrigez-le.")
    if not _ALLOWED.fullmatch(text):
        raise _invalid()
    if _digits(text) > _MOST_DIGITS:
        raise _several()
    regions = (region, *FRENCH_REGIONS) if region in FRENCH_REGIONS else (region,)
    compact = re.sub("[^0-9+]", "", text)
    if region in FRENCH_REGIONS:
        compact = re.sub(r"^(?:\+|00)330?(?=[1-9][0-9]{8}$)", "0", compact)
        overseas = _OVERSEAS_PREFIXES.get(compact[:4]) if len(compact) == 10 else None
        regions = (overseas, *regions) if overseas else regions
    for candidate in dict.fromkeys(regions):
        phone = _in_plan(compact, candidate)
        if phone is not None:
            return phone
    raise _invalid()


def _in_plan(compact: str, region: str) -> Phone | None:
    """The number in that region's plan, None if it has no such one."""
    import phonenumbers

    if region == "PM" and len(compact) == 10:
        compact = compact.removeprefix("0508")
    try:
        parsed = phonenumbers.parse(compact, region)
    except phonenumbers.NumberParseException:
        return None
    number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if _FICTION.fullmatch(number):
        return Phone(number, "FR", "mobile")
    if not phonenumbers.is_valid_number(parsed):
        if phonenumbers.is_possible_short_number(parsed) and len(compact) < _FEWEST_DIGITS:
            raise _service()
        return None
    return Phone(number, phonenumbers.region_code_for_number(parsed) or region, _line(parsed))


def _line(parsed: PhoneNumber) -> Line:
    from phonenumbers import PhoneNumberType, number_type

    kind = number_type(parsed)
    if kind == PhoneNumberType.MOBILE:
        return "mobile"
    if kind in (PhoneNumberType.FIXED_LINE, PhoneNumberType.VOIP):
        return "landline"
    if kind in (PhoneNumberType.FIXED_LINE_OR_MOBILE, PhoneNumberType.PERSONAL_NUMBER):
        return "either"
    raise _service()


def _plain(raw: str) -> str:
    """The field in plain characters: no invisible ones, digits and dashes as on a keyboard."""
    if len(raw) > LONGEST_FIELD:
        raise _several()
    text = unicodedata.normalize("NFKC", raw).translate(_DASHES)
    visible = (character for character in text if unicodedata.category(character) != "Cf")
    plain = (
        str(unicodedata.decimal(character)) if character.isdecimal() else character
        for character in visible
    )
    return "".join(plain).strip(" '\"’")


def _digits(text: str) -> int:
    return sum(character.isdigit() for character in text)


def _refused(code: str, message: str) -> BadRequest:
    return BadRequest(message, code=code)


def _invalid() -> BadRequest:
    return _refused(
        "phone_invalid", "Ce numéro de téléphone n’existe pas : vérifiez-le, avec son indicatif."
    )


def _service() -> BadRequest:
    return _refused(
        "phone_service", "C’est un numéro court ou spécial : indiquez un numéro direct."
    )


def _several() -> BadRequest:
    return _refused(
        "phone_several",
        "Ce champ contient plusieurs numéros, ou un numéro trop long : gardez-en un.",
    )
