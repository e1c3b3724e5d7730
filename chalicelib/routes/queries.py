"""Parameters of a query, read without trusting any of them. Each raises `BadRequest`, in French."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from unicodedata import category

from chalicelib.errors import BadRequest
from chalicelib.outbox import reading
from chalicelib.routes.call import Call

LONGEST = 200
# As a bigint column holds it.
DIGITS = 18


def limit(call: Call, usual: int, most: int) -> int:
    """How many rows, 1 to `most`; `usual` when it is not said."""
    given = call.query("limit")
    if not given:
        return usual
    if not (given.isascii() and given.isdecimal() and 1 <= int(given[:9]) <= most):
        raise BadRequest(f"limit doit être un nombre de 1 à {most}.")
    return int(given[:9])


def following(found: Sequence[Mapping[str, Any]], limit: int) -> int | None:
    """The number that the next page is asked for with; None after the last."""
    return found[-1]["id"] if len(found) == limit else None


def number(call: Call, name: str) -> int | None:
    """A whole number, None when it is not given."""
    given = call.query(name)
    if given and not (given.isascii() and given.isdecimal() and len(given) <= DIGITS):
        raise BadRequest(f"{name} doit être un numéro.")
    return int(given) if given else None


def text(call: Call, name: str) -> str | None:
    """A text, None when it is not given or blank."""
    given = call.query(name).strip()
    # PostgreSQL takes no NUL, and UTF-8 no lone surrogate.
    if len(given) > LONGEST or any(category(character) in ("Cc", "Cs") for character in given):
        raise BadRequest(f"{name} doit être un texte d'une ligne, de {LONGEST} caractères au plus.")
    return given or None


def required(call: Call, name: str) -> str:
    """A text that must be given."""
    found = text(call, name)
    if found is None:
        raise BadRequest(f"Il manque {name} dans l'adresse.")
    return found


def one_of(call: Call, name: str, known: Collection[str]) -> str | None:
    """One of the known codes, None when it is not given."""
    found = text(call, name)
    if found is not None and found not in known:
        raise BadRequest(f"{name} inconnu. Au choix : {', '.join(known)}.")
    return found


def since(call: Call) -> datetime | None:
    """A day, or an instant with its zone; None when it is not given."""
    # A plus sign that was not encoded comes as a space.
    found = text(call, "since")
    return reading.since(found.replace(" ", "+")) if found else None
