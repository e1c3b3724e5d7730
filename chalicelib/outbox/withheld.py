"""A message that is wanted and cannot be composed now."""

from __future__ import annotations


class Withheld(Exception):
    """The message cannot leave now: the reason is a code, the text a French sentence."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(error)
        self.reason = reason
