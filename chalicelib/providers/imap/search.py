"""SEARCH: what it is asked, and the UIDs that it answers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from chalicelib.providers.imap.conversation import Response
from chalicelib.providers.imap.refusals import fault
from chalicelib.providers.imap.tokens import LARGEST_UID, MOST_NUMBERS, Unreadable, numbers

_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def since(day: date) -> bytes:
    """The criterion: received on that day or later, by the server's own days."""
    return f"SINCE {day.day}-{_MONTHS[day.month - 1]}-{day.year:04}".encode()


def found(responses: Iterable[Response]) -> list[int]:
    """The UIDs of SEARCH and ESEARCH responses, ascending. Raises `ImapError`, also for more than
    can be true."""
    uids: set[int] = set()
    for response in responses:
        try:
            uids.update(_numbers(response))
        except (Unreadable, ValueError) as error:
            raise fault("connection") from error
        if len(uids) > MOST_NUMBERS:
            raise fault("connection")
    return sorted(uids)


def _numbers(response: Response) -> Iterable[int]:
    if response.name == b"ESEARCH":
        words = response.line.split()
        return numbers(words[words.index(b"ALL") + 1]) if b"ALL" in words[:-1] else ()
    # After the numbers there may be (MODSEQ 5).
    words = response.line.partition(b"(")[0].split()
    return [uid for uid in map(int, words) if 0 < uid <= LARGEST_UID]
