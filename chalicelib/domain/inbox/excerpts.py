"""What a notice shows of an e-mail: a few lines of visible text."""

from __future__ import annotations

from textwrap import wrap

from chalicelib.outbox.content import MAX_STRING, clean

LINES = 3


def excerpt(snippet: str) -> list[str]:
    """The beginning, in pieces that a template takes whole; none for an e-mail without words."""
    words = clean(snippet)
    pieces = wrap(words, MAX_STRING - 10, break_long_words=True, break_on_hyphens=False)
    if len(pieces) > LINES:
        pieces = [*pieces[: LINES - 1], f"{pieces[LINES - 1]} …"]
    return [piece for piece in pieces if clean(piece)]
