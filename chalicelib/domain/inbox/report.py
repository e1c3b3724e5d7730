"""What a run of the synchronisation came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a mailbox or, with `folder_id`, one folder of it. `message` is French and
    without personal data. `tried`: its server was asked, not only another mailbox's there."""

    business_id: str
    mailbox_id: int
    code: str
    message: str
    folder_id: int | None = None
    tried: bool = True


@dataclass
class Report:
    """`counts`: emails (new), bytes, known (shown at a new place without being fetched), deleted,
    flags, and those of parsing by state. Ids of mailboxes: `synced` to the end; `unfinished`, there
    is more to read; `unreached`, nobody came to them; `elsewhere`, another process has them, or
    they are no longer active. `failed` are errors of whole mailboxes, `troubles` of folders."""

    counts: Counter[str] = field(default_factory=Counter)
    synced: list[int] = field(default_factory=list)
    unfinished: list[int] = field(default_factory=list)
    unreached: list[int] = field(default_factory=list)
    elsewhere: list[int] = field(default_factory=list)
    failed: list[Trouble] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
