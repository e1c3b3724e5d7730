"""Text as it is compared (folded), kept (cleaned) and quoted in a message (shown)."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_NOT_WORDS = re.compile(r"[\W_]+")
_UNTYPED = {"Cc", "Cs", "Co"}


@lru_cache(maxsize=4096)  # statuses and customers come back on every line
def fold(text: str) -> str:
    """Words in lower case, without accents or punctuation, one space apart: "N° Échéance" and
    "n°  echeance" are the same. "&" is "et"."""
    text = unicodedata.normalize("NFKD", text.replace("&", " et ")).casefold()
    text = "".join(character for character in text if not unicodedata.combining(character))
    return _NOT_WORDS.sub(" ", text).strip()


def clean(text: str) -> str:
    """One line of text as it is kept: composed accents, single spaces, no invisible characters
    (zero-width, direction marks) that copying from a page leaves behind."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    text = unicodedata.normalize("NFC", text)
    text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return " ".join(text.split())


def illegible(text: str) -> bool:
    """Whether a cleaned text holds what no person typed: a control character, or the mark of one
    that could not be decoded."""
    if text.isascii() and text.isprintable():
        return False
    return any(c == "\ufffd" or unicodedata.category(c) in _UNTYPED for c in text)


def shown(text: str, longest: int = 40) -> str:
    """A short piece of a file's text, fit for a message and a terminal: nothing in it acts."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text[:1000]).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"
