"""A message's content as its templates see it: cleaned, bounded, and without what has no value.

Content is often typed by strangers: a customer's name may hold line breaks, direction overrides or
a novel. Whatever it holds, it stays one short line of visible characters. Escaping is not done here
but where the content is rendered.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final, NoReturn

from chalicelib import errors
from chalicelib.outbox import formats

MAX_STRING: Final = 200  # characters kept of any one string
MAX_READ: Final = 4_000  # characters looked at, before the invisible ones go
# Ours, and of no use once cut: an address with a signed token of 600 characters.
LINKS: Final = frozenset({"unsubscribe_url", "cancel_url", "closer_url"})
MAX_LINK: Final = 2_000


class Section(dict[str, object]):
    """An object of the content, without the keys that have no value: null, blank, or an empty list.

    `content_path` is its path in the content ("", "customer.", "documents[0].") so that an error
    can name what is missing. Raises MissingVariable for an absent key and for a list with an item
    that has no value; TypeError for what JSON, dates and Decimals do not cover.
    """

    __slots__ = ("content_path",)

    def __init__(self, path: str, values: Mapping[str, object]) -> None:
        self.content_path = path
        for key, value in values.items():
            prepared = _prepared(value, f"{path}{key}")
            if prepared is not None:
                self[str(key)] = prepared

    def __missing__(self, key: str) -> NoReturn:
        raise missing(f"{self.content_path}{key}")


def missing(path: str) -> errors.MissingVariable:
    """The error for the variable at `path`, which a template needs and which has no value."""
    return errors.MissingVariable(
        f"« {path} » n’a pas de valeur : complétez cette information, puis relancez l’envoi."
    )


def clean(text: str) -> str:
    """`text` on one line, without control, direction or invisible characters.

    A line break after a word becomes a comma, so that an address stays readable. No-break spaces
    are kept; the other spaces are one each.
    """
    if text.isprintable():  # as nearly all are: nothing to take out, and no space but the plain one
        return re.sub(" {2,}", " ", text.strip(" ")) if "  " in text else text.strip(" ")
    visible = "".join(_printable(character) for character in text).strip()
    lines = re.sub(r"(?<=[\w)]) *\n[ \n]*", ", ", visible)
    return re.sub("[ \n]+", " ", lines)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters with « … », cut between words unless that loses half of them."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    words = text[:limit].rpartition(" ")[0]
    if len(words) >= limit // 2:
        kept = words
    return f"{kept.rstrip(' ,;:')}…"


def _prepared(value: object, path: str) -> object:
    """`value` as a template may see it; None when it has no value."""
    if type(value) is str and len(value) <= MAX_STRING:  # as nearly all are: said again below
        return clean(value) or None
    match value:
        case Mapping():
            return Section(f"{path}.", value)
        case list() | tuple():
            return list(_items(value, path)) or None
        case str():
            limit = MAX_LINK if path in LINKS else MAX_STRING
            return shorten(clean(value[:MAX_READ]), limit) or None
        case None | bool() | int() | float() | Decimal() | date():
            return value
        case _:
            raise TypeError(f"{path}: a {type(value).__name__} is not a template's content")


def _items(values: list[Any] | tuple[Any, ...], path: str) -> Iterator[object]:
    for position, value in enumerate(values):
        item = _prepared(value, f"{path}[{position}]")
        if item is None:
            raise missing(f"{path}[{position}]")
        yield item


def _printable(character: str) -> str:
    if character in "\r\n\v\f\x85\u2028\u2029":
        return "\n"
    if character in (formats.NO_BREAK, formats.NARROW_NO_BREAK):
        return character
    category = unicodedata.category(character)
    if category in ("Cc", "Zs"):
        return " "
    # Cf: direction overrides, zero-width and tag characters. Cs: halves of characters.
    return "" if category in ("Cf", "Cs") else character
