"""Whether a folder shows under the same UIDs the messages that it is known to have: then it was
only renamed, or its UIDVALIDITY changed without need."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.mail.identity import head
from chalicelib.providers.imap.port import MailSession

# So many headers are looked at, evenly spread, the last message's among them: UIDs that have
# shifted anywhere differ there.
SAMPLE = 10


def same_messages(session: MailSession, kept: Mapping[int, tuple[int | None, str]]) -> bool:
    """`kept`: by UID the size and the hash of the header, as known; the folder is open. All sizes
    have to be the same, most of what is there up to the last known UID has to be known, and the
    headers of a sample are compared."""
    if not kept:
        return False
    last = max(kept)
    common: list[int] = []
    others = 0
    for one in session.listed(1, last):
        if one.uid not in kept:
            others += 1
        elif kept[one.uid][0] != one.size:
            return False
        else:
            common.append(one.uid)
    if len(common) <= others:
        return False
    common.sort()
    step = max(1, len(common) // (SAMPLE - 1))
    sample = sorted({*common[::step][: SAMPLE - 1], common[-1]})
    headers = {one.uid: one.header for one in session.headers(sample)}
    for uid in sample:
        header = headers.get(uid)
        if header is None or head(header).sha256.hex() != kept[uid][1]:
            return False
    return True
