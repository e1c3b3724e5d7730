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


@dataclass(frozen=True)
class Outcome:
    """How the sync of one mailbox ended, by the process that holds it under `fence`.

    `code` is None when nothing failed, else the code of the `PonctuelError`, whose French text is
    `error`. `complete`: nothing was left for want of time; what was is taken up at once.
    """

    mailbox_id: int
    fence: int
    code: str | None = None
    error: str = ""
    complete: bool = True


@dataclass(frozen=True)
class Recorded:
    """Ids of mailboxes. `lost`: somebody else holds them now (or they are gone), nothing was
    written. `stopped`: those that are switched off or wait for their owner from now on."""

    written: tuple[int, ...]
    lost: tuple[int, ...]
    stopped: tuple[int, ...]
    told: int
