"""What a server tells of a folder as a whole: in its answers to EXAMINE, and to STATUS."""

from __future__ import annotations

import re
from collections.abc import Iterable

from chalicelib.providers.imap.conversation import Response
from chalicelib.providers.imap.folders import decoded
from chalicelib.providers.imap.port import Opened
from chalicelib.providers.imap.tokens import LARGEST_UID, number, text

_CODE = re.compile(rb"\[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d{1,20})\]", re.IGNORECASE)
_LARGEST_MODSEQ = 2**64 - 1


def examined(path: str, responses: Iterable[Response]) -> Opened:
    """From the untagged OK and EXISTS responses."""
    exists, told = 0, {}
    for response in responses:
        if response.name == b"EXISTS":
            exists = response.number or 0
        elif found := _CODE.match(response.line):
            told[found[1].upper()] = found[2]
    return _opened(path, exists, told)


def status(response: Response) -> Opened | None:
    """From a STATUS response; None when it cannot be read. Raises `ImapError` if it is not IMAP."""
    values = response.values()
    if len(values) != 2 or not isinstance(values[1], list):
        return None
    name, items = text(values[0]), values[1]
    told = {
        key.upper(): value
        for key, value in zip(items[::2], items[1::2], strict=False)
        if isinstance(key, bytes) and isinstance(value, bytes)
    }
    exists = number(told.get(b"MESSAGES"))
    if not name or exists is None:
        return None
    return _opened(decoded(name), exists, told)


def _opened(path: str, exists: int, told: dict[bytes, bytes]) -> Opened:
    return Opened(
        path,
        exists,
        uidvalidity=number(told.get(b"UIDVALIDITY"), LARGEST_UID) or None,
        uidnext=number(told.get(b"UIDNEXT"), LARGEST_UID + 1) or None,
        highestmodseq=number(told.get(b"HIGHESTMODSEQ"), _LARGEST_MODSEQ) or None,
    )
