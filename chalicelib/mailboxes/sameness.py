"""Whether a folder shows under the same UIDs the messages that it is known to have: then it was
only renamed, or its UIDVALIDITY changed without need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chalicelib.mail.identity import head
from chalicelib.providers.imap.port import MailSession

# Headers asked for at a time.
AT_ONCE = 500
# Under the same UIDVALIDITY so many are looked at: the server promises the rest.
SAMPLE = 10


def same_messages(
    session: MailSession, kept: Mapping[int, tuple[int | None, str]], *, promised: bool = False
) -> bool:
    """`kept`: by UID the size and the hash of the header, as known; the folder is open. All sizes
    and headers have to be the same, and most of what is there up to the last known UID known.
    `promised`: UIDVALIDITY is the same, and an evenly spread sample of the headers will do."""
    common = _common(session, kept)
    looked_at = spread(common, SAMPLE) if promised else common
    for start in range(0, len(looked_at), AT_ONCE):
        asked = looked_at[start : start + AT_ONCE]
        headers = {one.uid: one.header for one in session.headers(asked)}
        for uid in asked:
            header = headers.get(uid)
            if header is None or head(header).sha256.hex() != kept[uid][1]:
                return False
    return bool(common)


def _common(session: MailSession, kept: Mapping[int, tuple[int | None, str]]) -> list[int]:
    """The known UIDs that are there; none when one has another size, or too many are unknown."""
    if not kept:
        return []
    common: list[int] = []
    others = 0
    for one in session.listed(1, max(kept)):
        if one.uid not in kept:
            others += 1
        elif kept[one.uid][0] != one.size:
            return []
        else:
            common.append(one.uid)
    return sorted(common) if len(common) > others else []


def spread(items: Sequence[int], count: int) -> Sequence[int]:
    """So many of them, the first and the last included."""
    if len(items) <= count:
        return items
    last = len(items) - 1
    return [items[number * last // (count - 1)] for number in range(count)]
