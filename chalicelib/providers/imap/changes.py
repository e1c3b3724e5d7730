"""Flags by UID and UIDs that are gone, gathered from many responses in bounded memory."""

from __future__ import annotations

from chalicelib.providers.imap.conversation import Response
from chalicelib.providers.imap.fetch import Told, flags_of, uid_of
from chalicelib.providers.imap.refusals import fault
from chalicelib.providers.imap.tokens import MOST_NUMBERS, Unreadable, numbers

# Combinations of flags in one folder: people use a handful.
_MOST_COMBINATIONS = 5_000


class FlagsByUid:
    """`by_uid` is what was told so far. Messages with the same flags share them."""

    def __init__(self) -> None:
        self.by_uid: dict[int, tuple[str, ...]] = {}
        self._combinations: dict[tuple[str, ...], tuple[str, ...]] = {}

    def note(self, told: Told) -> None:
        """Raises `ImapError` for more than can be true."""
        uid, flags = uid_of(told), flags_of(told)
        if uid is None or flags is None:
            return
        self.by_uid[uid] = self._combinations.setdefault(flags, flags)
        if len(self.by_uid) > MOST_NUMBERS or len(self._combinations) > _MOST_COMBINATIONS:
            raise fault("connection")


def with_vanished(gone: list[int] | None, response: Response) -> list[int] | None:
    """`gone` with those of a VANISHED response; None, and for good, when they are too many to tell
    or cannot be read: whoever asks then has to compare everything."""
    uid_set = response.line.split()[-1:]
    try:
        more = numbers(uid_set[0]) if uid_set else []
    except Unreadable:
        return None
    return None if gone is None or len(gone) + len(more) > MOST_NUMBERS else gone + more
