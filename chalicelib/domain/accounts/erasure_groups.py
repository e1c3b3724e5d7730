"""Accounts go through the steps of erasing together; what fails is told of the one whose it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from chalicelib import logs
from chalicelib.domain.accounts import (
    erasure_lease,
    erasure_outside,
    erasure_steps,
    erasure_tokens,
    tombstones,
)
from chalicelib.domain.accounts.deletions import LEGAL_HOLD
from chalicelib.domain.accounts.erasure_lease import Held, Taken
from chalicelib.errors import ItemFailed, LeaseLost, PonctuelError, ProviderError
from chalicelib.providers.storage.port import Storage
from chalicelib.runner.deadline import Deadline
from chalicelib.settings import Settings

STEPS: Final[Mapping[str, erasure_steps.Step | None]] = {
    "revoke": None,  # asks Google, before the mailboxes go
    "access": erasure_steps.access,
    "archive": erasure_steps.archive,
    "files": None,  # asks the store
    "stripe": None,
    "children": erasure_steps.children,
    "tombstone": None,
    "parent": erasure_steps.parent,
}
_OUTSIDE: Final[Mapping[str, Callable[[Engine, Sequence[Taken]], Set[int]]]] = {
    "revoke": erasure_tokens.with_tokens,
    "files": erasure_outside.with_files,
    "stripe": erasure_outside.with_customers,
}
# Why a deletion stands still, in the words of `deletions.REASONS`.
_BLOCKED: Final = {
    "revoke": "revoke_failed",
    "files": "files_failed",
    "stripe": "stripe_failed",
    "tombstone": "tombstone_failed",
}


@dataclass(frozen=True)
class Tools:
    """What this stage erases with. `secret`: of the pseudonym."""

    storage: Storage | None
    stripe_key: str | None
    secret: str | None
    settings: Settings


@dataclass(frozen=True)
class Ended:
    """What came of an account, as a counter, and what somebody has to know."""

    taken: Taken
    counted: str
    error: PonctuelError | None = None


def groups(taken: Sequence[Taken]) -> list[list[Taken]]:
    """Those that take their steps together: of one scope, each of another business."""
    groups: dict[tuple[str, int], list[Taken]] = {}
    seen: Counter[tuple[str, str]] = Counter()
    for one in taken:
        key = one.scope, one.business_id
        groups.setdefault((one.scope, seen[key]), []).append(one)
        seen[key] += 1
    # Where a business goes, its users have gone before.
    return [groups[key] for key in sorted(groups, key=lambda key: (key[0] == "business", key[1]))]


def erased(
    engine: Engine, group: Sequence[Taken], tools: Tools, deadline: Deadline
) -> Iterator[Ended]:
    """Step by step, all of them together. One that fails stands still, and the others go on."""
    done = erasure_lease.done(engine, group)
    going = {one.id: one for one in group}
    for step in STEPS:
        ahead = [one for one in going.values() if step not in done[one.id]]
        for ended in _advanced(engine, ahead, tools, step, deadline) if ahead else ():
            del going[ended.taken.id]
            yield ended
    for one in going.values():
        logs.info("account_erased", deletion=one.id, business=one.business_id)
        yield Ended(one, "deletions_erased")


def _advanced(
    engine: Engine, group: Sequence[Taken], tools: Tools, step: str, deadline: Deadline
) -> Iterator[Ended]:
    """Those that did not come through the step. What fails for several is tried with half of them,
    until it is known whose it is."""
    if deadline.near():
        erasure_lease.give_back(engine, group)
        yield from (Ended(one, "erasures_waiting") for one in group)
        return
    try:
        apart = _apart(engine, group, step)
        together = [one for one in group if one.id not in apart] if len(group) > 1 else group
        if together and not _step(engine, together, tools, step, deadline):
            erasure_lease.give_back(engine, together)
            yield from (Ended(one, "erasures_waiting") for one in together)
    except Exception as error:  # noqa: BLE001 - per-item isolation
        if len(group) == 1:
            yield _stopped(engine, group[0], step, error)
            return
        half = len(group) // 2
        for part in (group[:half], group[half:]):
            yield from _advanced(engine, part, tools, step, deadline)
        return
    for one in group if len(group) > 1 else ():
        if one.id in apart:
            yield from _advanced(engine, [one], tools, step, deadline)


def _apart(engine: Engine, group: Sequence[Taken], step: str) -> Set[int]:
    """The numbers of those who take the step one by one, because somebody outside is asked."""
    if len(group) == 1 or step not in _OUTSIDE:
        return frozenset()
    return _OUTSIDE[step](engine, group)


def _step(
    engine: Engine, group: Sequence[Taken], tools: Tools, step: str, deadline: Deadline
) -> bool:
    """Whether it is done, and has its receipts. Of several, nobody is among `_OUTSIDE`."""
    if len(group) == 1 and step == "files":
        return erasure_outside.delete_files(engine, group[0], tools.storage, deadline)
    if len(group) == 1 and step == "stripe":
        erasure_outside.delete_customers(engine, group[0], tools.stripe_key)
        return True
    if len(group) == 1 and step == "revoke":
        erasure_tokens.revoke(engine, group[0], tools.settings)
        return True
    if step == "tombstone":
        tombstones.bury(engine, group, tools.storage, tools.secret)
        return True
    work = STEPS[step]
    with erasure_lease.writing(engine, group, step) as connection:
        if work is None:
            counts: erasure_steps.Counts = {one.id: {} for one in group}
        else:
            counts = work(connection, erasure_steps.subjects(connection, group, tools.secret))
        erasure_lease.receipts(connection, step, counts)
    return True


def _stopped(engine: Engine, taken: Taken, step: str, error: Exception) -> Ended:
    if isinstance(error, LeaseLost):
        return Ended(taken, "erasures_waiting")
    if isinstance(error, Held):
        taken.failed(engine, error, permanent=True, reason=LEGAL_HOLD)
        return Ended(taken, "erasures_held")
    known = error
    if not isinstance(known, PonctuelError):
        known = ItemFailed(
            f"L'étape « {step} » échoue ({type(error).__name__}) : ce qui était fait le reste, la "
            "nuit suivante réessaie.",
            code="erasing_failed",
        )
    logs.error("erasing_failed", deletion=taken.id, step=step, error=type(error).__name__)
    permanent = isinstance(known, ProviderError) and known.permanent
    permanent = permanent or isinstance(known, erasure_steps.Remains)
    reason = "remains" if known.code == "remains" else _BLOCKED.get(step, "erasing_failed")
    if taken.failed(engine, known, permanent=permanent, reason=reason):
        return Ended(taken, "erasures_blocked", known)
    return Ended(taken, "erasures_waiting")
