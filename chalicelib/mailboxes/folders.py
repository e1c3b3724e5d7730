"""Which folders are read, and what a folder's status says. Pure.

Without patterns everything is read but trash, junk and drafts. Gmail shows each message once in
`[Gmail]/All Mail` and again under each label: there, that folder alone is read. Elsewhere a folder
marked \\All is a view of the others (RFC 6154, 2), which are read instead. Patterns say exactly
what is read: `*` is any text, `?` any character; INBOX has no case (RFC 9051, 5.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from chalicelib.providers.imap.port import Folder, Opened

UNREAD = frozenset({"trash", "junk", "drafts"})
GMAIL = ("[Gmail]/", "[Google Mail]/")
FIRST = ("inbox", "sent", "all", "archive")
# Servers without CONDSTORE tell of no change of flags, and of an expunge only by a smaller number.
COMPARED_EVERY = timedelta(hours=1)
# Changes of UIDVALIDITY, each within a day of the one before, until the folder is left in peace.
STORM = 5
STORM_MEMORY = timedelta(days=1)
STORM_REST = timedelta(hours=6)
LONGEST_PARKED = timedelta(hours=6)
# A folder that is listed, and of which the server says so often in a row that it does not exist, is
# gone: Dovecot 2.3 lists what was deleted for as long as there are folders below it.
GONE_AFTER = 3


@dataclass
class KnownFolder:
    """A row of `mailbox_folders`. `troubles`: UIDs below the cursor that are due to be tried again;
    `cut`: UIDs above it at which the connection broke again and again."""

    id: int
    path: str
    special: str | None
    state: str
    uidvalidity: int | None
    last_uid: int
    seen_exists: int | None
    seen_uidnext: int | None
    highestmodseq: int | None
    checked_at: datetime | None
    resets: int
    reset_at: datetime | None
    failures: int
    parked_until: datetime | None
    error_code: str | None
    troubles: list[int] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> KnownFolder:
        """From the row as JSON."""
        values: dict[str, Any] = {name: row.get(name) for name in cls.__dataclass_fields__}
        for name in ("checked_at", "reset_at", "parked_until"):
            if values[name] is not None:
                values[name] = datetime.fromisoformat(values[name])
        for name in ("troubles", "cut"):
            values[name] = values[name] or []
        return cls(**values)


@dataclass(frozen=True)
class Plan:
    """What a list of folders means. `read`: known folders with what the server lists, in the order
    of reading; `new`: not known yet; `gone`: listed no more; `back`: listed again, or to be tried
    again."""

    read: Sequence[tuple[KnownFolder, Folder]]
    new: Sequence[Folder]
    gone: Sequence[KnownFolder]
    back: Sequence[KnownFolder]


def plan(
    known: Iterable[KnownFolder], found: Sequence[Folder], patterns: Sequence[str], now: datetime
) -> Plan:
    """What to do about the folders that the server lists."""
    wanted = {folder.path: folder for folder in chosen(found, patterns)}
    listed = {folder.path for folder in found}
    by_path = {folder.path: folder for folder in known}
    there = [(by_path[path], folder) for path, folder in wanted.items() if path in by_path]
    read = [pair for pair in there if not (pair[0].state == "gone" and resting(pair[0], now))]
    read.sort(key=lambda pair: _order(pair[1]))
    return Plan(
        read=read,
        new=sorted((f for path, f in wanted.items() if path not in by_path), key=_order),
        gone=[f for f in by_path.values() if f.path not in listed and f.state != "gone"],
        back=[known for known, _ in read if known.state == "gone"],
    )


def chosen(found: Sequence[Folder], patterns: Sequence[str]) -> list[Folder]:
    """Those to read."""
    unique = list({folder.path: folder for folder in found}.values())
    if patterns:
        rules = [_rule(pattern) for pattern in patterns]
        return [f for f in unique if any(rule.fullmatch(_cased(f.path)) for rule in rules)]
    gmail = [f for f in unique if f.special == "all" and f.path.startswith(GMAIL)]
    return gmail or [f for f in unique if f.special not in UNREAD and f.special != "all"]


def unchanged(known: KnownFolder, seen: Opened, now: datetime) -> bool:
    """Whether there is nothing to do: the server says what it said when everything was known."""
    if known.seen_exists is None or known.troubles or known.state != "active":
        return False
    if seen.exists != known.seen_exists or seen.uidnext != known.seen_uidnext:
        return False
    if seen.uidvalidity is None or seen.uidvalidity != known.uidvalidity:
        # Without UIDVALIDITY the same numbers prove little: it is looked at once an hour.
        return (
            seen.uidvalidity is None
            and (known.uidvalidity or 0) < 0
            and seen.uidnext is not None
            and not _to_compare(known, now)
        )
    if seen.highestmodseq is not None and known.highestmodseq is not None:
        return seen.highestmodseq == known.highestmodseq
    return seen.uidnext is not None and not _to_compare(known, now)


def to_compare(
    known: KnownFolder, seen: Opened, now: datetime, *, expected: int | None, told: bool
) -> bool:
    """Whether all UIDs have to be compared with the server's. `expected`: how many messages there
    should be, None if nobody can know; `told`: the server has told of every change of flags."""
    return expected is None or expected != seen.exists or (not told and _to_compare(known, now))


def _to_compare(known: KnownFolder, now: datetime) -> bool:
    return known.checked_at is None or now - known.checked_at >= COMPARED_EVERY


def resting(known: KnownFolder, now: datetime) -> bool:
    """Whether it could not be opened, and is not to be tried yet."""
    return known.parked_until is not None and now < known.parked_until


def failures_with(known: KnownFolder, code: str) -> int:
    """How often in a row it could not be opened for this reason, the time of now included."""
    return known.failures + 1 if known.error_code == code else 1


def resets_with(known: KnownFolder, now: datetime) -> int:
    """How many changes of UIDVALIDITY in a row there are with the one of now."""
    recent = known.reset_at is not None and now - known.reset_at < STORM_MEMORY
    return known.resets + 1 if recent else 1


def parked_for(failures: int) -> timedelta:
    """How long a folder that cannot be opened is left alone: 5 minutes, 20, 80, then 6 hours."""
    minutes: int = 5 * 4 ** min(max(failures - 1, 0), 4)
    return min(timedelta(minutes=minutes), LONGEST_PARKED)


def _order(folder: Folder) -> tuple[int, str]:
    special = "inbox" if _cased(folder.path) == "INBOX" else folder.special or ""
    return (FIRST.index(special) if special in FIRST else len(FIRST), folder.path)


def _rule(pattern: str) -> re.Pattern[str]:
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in _cased(pattern))
    return re.compile("".join(parts), re.DOTALL)


def _cased(path: str) -> str:
    return "INBOX" if path.upper() == "INBOX" else path
