"""One mailbox being read by one thread, with what the threads of a run share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from sqlalchemy import Connection

from chalicelib.mailboxes.copies import Copies
from chalicelib.mailboxes.lease import Desk, Held
from chalicelib.mailboxes.memory import Memory
from chalicelib.mailboxes.parsing import Parsing
from chalicelib.providers.imap.port import MailSession


@dataclass(frozen=True)
class Limits:
    """Of one batch: messages, and bytes. `in_memory`: a message of more bytes is kept as a stub.
    `mailbox_seconds`: then the next mailbox has its turn."""

    batch_messages: int = 250
    batch_bytes: int = 8_000_000
    in_memory: int = 25_000_000
    mailbox_seconds: float = 60.0


# Tells what a mailbox's new e-mails mean, so many at most, in the caller's transaction. Counts what
# was done; nothing when nothing is left.
Settle = Callable[[Connection, int, int], Mapping[str, int]]


@dataclass
class Tools:
    """What the mailboxes of a run share. `work`: a folder for messages that are too large for the
    memory."""

    desk: Desk
    copies: Copies
    parsing: Parsing
    memory: Memory
    limits: Limits
    work: Path
    settle: Settle


@dataclass
class Turn:
    """One mailbox being read by one thread. `over` tells that its time is up; `parsed`: e-mails, in
    this turn, that wait to be settled while others are read (`settling`)."""

    tools: Tools
    held: Held
    session: MailSession
    over: Callable[[], bool]
    counts: Counter[str] = field(default_factory=Counter)
    parsed: int = 0

    @property
    def since(self) -> date | None:
        found: date | None = self.held.row["since"]
        return found
