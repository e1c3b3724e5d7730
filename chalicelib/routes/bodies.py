"""Fields of a JSON body, read without trusting any of them. Each raises `BadRequest`, in French."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from unicodedata import category

from chalicelib.errors import BadRequest
from chalicelib.routes.queries import DIGITS, LONGEST

Body = Mapping[str, Any]

# Who acted, when the caller does not say.
ANYBODY = "http"
BY = {"type": "string", "maxLength": LONGEST}


def only(body: Body, known: Collection[str]) -> None:
    """Refuses fields that mean nothing here: a misspelt one would be left out in silence."""
    if unknown := sorted(body.keys() - set(known)):
        raise BadRequest(f"Champ inconnu : {unknown[0][:60]}. Il y a : {', '.join(known)}.")


def text(body: Body, name: str) -> str | None:
    """A text of one line, None when it is not given or blank."""
    given = body.get(name)
    if given is None:
        return None
    # PostgreSQL takes no NUL, and UTF-8 no lone surrogate.
    usable = isinstance(given, str) and not any(category(c) in ("Cc", "Cs") for c in given)
    if not usable or len(given) > LONGEST:
        raise BadRequest(f"{name} doit être un texte d'une ligne, de {LONGEST} caractères au plus.")
    return given.strip() or None


def required(body: Body, name: str) -> str:
    found = text(body, name)
    if found is None:
        raise BadRequest(f"Il manque {name}.")
    return found


def one_of(body: Body, name: str, known: Collection[str]) -> str:
    found = required(body, name)
    if found not in known:
        raise BadRequest(f"{name} inconnu. Au choix : {', '.join(known)}.")
    return found


def switch(body: Body, name: str) -> bool:
    given = body.get(name, False)
    if not isinstance(given, bool):
        raise BadRequest(f"{name} doit être true ou false, sans guillemets.")
    return given


def numbers(body: Body, name: str, most: int) -> list[int]:
    """Ids of messages, one at least."""
    given = body.get(name)
    usable = isinstance(given, list) and all(
        isinstance(one, int) and not isinstance(one, bool) and 0 < one < 10**DIGITS for one in given
    )
    if not usable or not 1 <= len(given) <= most:  # type: ignore[arg-type]  # a list, as just asked
        raise BadRequest(f"{name} doit être une liste de 1 à {most} numéros.")
    return list(given)  # type: ignore[arg-type]  # as above


def texts(body: Body, name: str, most: int) -> list[str]:
    """Texts of one line, one at least."""
    given = body.get(name)
    if not isinstance(given, list) or not 1 <= len(given) <= most:
        raise BadRequest(f"{name} doit être une liste de 1 à {most} textes.")
    return [required({name: one}, name) for one in given]


def limit(body: Body, name: str, most: int) -> int | None:
    """A whole number from 0, or null for the usual one."""
    given = body[name]
    usable = isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= most
    if given is not None and not usable:
        raise BadRequest(f"{name} doit être un nombre entier, ou null pour la limite usuelle.")
    return given  # type: ignore[no-any-return]  # an int or None, as just asked


def by(body: Body) -> str:
    """Who acts, for the history of what changes."""
    return text(body, "by") or ANYBODY
