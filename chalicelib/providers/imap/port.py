"""What an IMAP server is to Ponctuel: a folder list, and for each folder what is there and new.

Reads only: folders are examined, bodies peeked at, flags never changed. One session serves one
thread and one mailbox. Every method raises `ImapError` and nothing else; what a server leaves out
of an answer (FETCH nil, no flags, no UIDNEXT) is None or absent in ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Literal, Protocol

from chalicelib.errors import ProviderError

Special = Literal["inbox", "sent", "drafts", "junk", "trash", "archive", "all"]
# `connection`: cut, refused, TLS, time-out, BYE, nonsense. `credentials`: an explicit refusal of
# user, password or token. `unavailable`: the server says that it cannot now (UNAVAILABLE, INUSE,
# LIMIT, "try again", "User is authenticated but not connected"). `host`: its address is not allowed
# or not found. `certificate`. `folder`: it cannot be opened. `reauthorise`: `invalid_grant`.
Code = Literal[
    "connection", "credentials", "unavailable", "host", "certificate", "folder", "reauthorise"
]


class ImapError(ProviderError):
    """`code` is a `Code`; the message is French and quotes nothing of the server's. `missing`: of a
    folder that cannot be opened, the server says that there is none of that name."""

    def __init__(self, code: Code, message: str, *, missing: bool = False) -> None:
        super().__init__("imap", message, permanent=False, code=code)
        self.missing = missing


@dataclass(frozen=True)
class Opened:
    """A folder that is being read. `uidvalidity` is None when the server gives none, or 0.
    `uidnext` is None when it gives none. `highestmodseq` is None without CONDSTORE (or NOMODSEQ).
    """

    path: str
    exists: int
    uidvalidity: int | None
    uidnext: int | None
    highestmodseq: int | None


@dataclass(frozen=True)
class Folder:
    """`path` is decoded from modified UTF-7. `status`: what `open` would tell, from a server that
    tells it with the list (LIST-STATUS); else None. A folder in which nothing of it has changed
    need not be opened."""

    path: str
    special: Special | None = None
    status: Opened | None = None


@dataclass(frozen=True)
class Listed:
    """One message of a folder, without its content. `gmail_id`: Gmail's X-GM-MSGID, the same in all
    its folders."""

    uid: int
    size: int | None
    flags: tuple[str, ...] | None
    internal_date: datetime | None  # aware
    gmail_id: int | None = None


@dataclass(frozen=True)
class Headed:
    """Its header, raw, up to and with the empty line; None when the server gave nil."""

    uid: int
    header: bytes | None = field(repr=False)


@dataclass(frozen=True)
class Fetched:
    """The whole message. `raw` is None when it is larger than what was asked for in memory: then it
    is in `file`, which the caller deletes, with its size and SHA-256. Neither: the server gave nil.
    """

    uid: int
    raw: bytes | None = field(repr=False)
    file: Path | None = None
    size: int = 0
    sha256: bytes = b""  # of what is in `file`


@dataclass(frozen=True)
class Changes:
    """Since a MODSEQ: the flags that changed, by UID, and the UIDs that are gone (None: the server
    cannot tell)."""

    flags: Mapping[int, tuple[str, ...]]
    vanished: Sequence[int] | None


class MailSession(Protocol):
    """A logged-in connection. `folders` first, then one folder after another."""

    def folders(self) -> Sequence[Folder]:
        """Those that can be selected."""
        ...

    def open(self, path: str) -> Opened:
        """EXAMINE, with CONDSTORE or QRESYNC where the server offers it."""
        ...

    def uids(self, *, since: date | None = None) -> Sequence[int]:
        """All UIDs of the folder, ascending; with `since`, of what was received on that day or
        later (the server's own days)."""
        ...

    def listed(self, first: int, last: int | None = None) -> Iterator[Listed]:
        """What is there from UID `first` on (to `last`), ascending. Never what is below `first`:
        `UID FETCH n:*` answers with the last message even when its UID is lower."""
        ...

    def headers(self, uids: Sequence[int]) -> Iterator[Headed]:
        """Those that are still there, in the order of the server's answers."""
        ...

    def messages(self, uids: Sequence[int], *, in_memory: int, folder: Path) -> Iterator[Fetched]:
        """The same with the whole message, as they come. A message of more than `in_memory` bytes
        is streamed into a new file in `folder`: memory holds one chunk of it."""
        ...

    def changes(self, modseq: int) -> Changes:
        """Raises `ImapError` (`unavailable`) when the server has no CONDSTORE."""
        ...

    def flags(self, uids: Iterable[int] | None = None) -> Mapping[int, tuple[str, ...]]:
        """Of these, or of all that is there."""
        ...

    def close(self) -> None:
        """Raises nothing."""
        ...
