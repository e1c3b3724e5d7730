"""Registration numbers and bank accounts that pass the checks and belong to nobody."""

from __future__ import annotations

from random import Random


def siret(rng: Random) -> str:
    """Fourteen digits, SIREN and SIRET with their Luhn keys. No SIREN starts with 0."""
    siren = "0" + "".join(str(rng.randrange(10)) for _ in range(7))
    siren += _luhn_key(siren)
    establishment = siren + f"{rng.randrange(1, 30):04}"
    return establishment + _luhn_key(establishment)


def iban(rng: Random) -> str:
    """A French IBAN with its RIB key (97) and its check digits (ISO 7064, mod 97-10). No bank has
    the code 99999."""
    bank, branch = 99999, rng.randrange(1, 99999)
    account = rng.randrange(10**10)
    key = 97 - (89 * bank + 15 * branch + 3 * account) % 97
    bban = f"{bank:05}{branch:05}{account:011}{key:02}"
    # "FR00" moved to the end, letters as numbers: F = 15, R = 27.
    check = 98 - int(bban + "152700") % 97
    return f"FR{check:02}{bban}"


def _luhn_key(digits: str) -> str:
    total = 0
    for position, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if position % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)
