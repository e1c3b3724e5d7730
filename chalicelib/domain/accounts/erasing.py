"""Accounts that are locked are erased, step by step, each with its receipt.

docs/erasing.md tells operators what goes and what stays; `retention` says it to the machine.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_hex
from typing import Any, Final

from sqlalchemy import Connection, Engine, text

from chalicelib import logs
from chalicelib.domain.accounts import (
    erasure_lease,
    erasure_outside,
    erasure_steps,
    erasure_tokens,
    retention,
    tombstones,
)
from chalicelib.domain.accounts.deletions import LEGAL_HOLD
from chalicelib.domain.accounts.erasure_lease import Held, Taken
from chalicelib.domain.accounts.erasure_steps import Subjects
from chalicelib.domain.accounts.letters import last_letter
from chalicelib.errors import ItemFailed, LeaseLost, PonctuelError, ProviderError
from chalicelib.providers.storage.port import Storage
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.job import Batch, ItemError, Outcome, Preview, Run
from chalicelib.settings import Settings

LOCKED: Final = erasure_lease.WAITING

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

# One transaction for the step of so many accounts: enough for what each statement costs to be
# shared by many, few enough for a step to end in seconds.
TOGETHER: Final = 100

# An address that another account of the business has too is theirs, and stays.
_EMAILS = text("""
SELECT w.id, CASE WHEN CAST(:scope AS text) = 'business' OR NOT EXISTS (
         SELECT 1 FROM ponctuel.users o
          WHERE o.business_id = u.business_id AND o.id <> u.id
            AND lower(btrim(o.email)) = lower(btrim(u.email))) THEN lower(btrim(u.email)) END
  FROM unnest(CAST(:ids AS bigint[]), CAST(:businesses AS text[]), CAST(:users AS text[]))
    AS w(id, business, "user")
  JOIN ponctuel.users u ON u.business_id = w.business AND u.id = w."user"
""")
_PREVIEWED: Final = 20
_SUBJECTS = text("""
SELECT d.id, d.lease, d.business_id, d.user_id, d.scope FROM ponctuel.account_deletions d
 WHERE d.id = ANY(CAST(:ids AS bigint[])) ORDER BY d.id
""")


@dataclass(frozen=True)
class Tools:
    """What this stage erases with. `secret`: of the pseudonym."""

    storage: Storage | None
    stripe_key: str | None
    secret: str | None
    settings: Settings


@dataclass(frozen=True)
class Erase:
    """Items are numbers of deletions."""

    def run_errand(
        self, run: Run, engine: Engine, deadline: Deadline, items: Sequence[tuple[str, str]]
    ) -> Outcome:
        from chalicelib.runner.invocation import open_store
        from chalicelib.settings import settings

        current = settings()
        tools = Tools(open_store(current), current.stripe_api_key, current.link_secret, current)
        with engine.connect() as connection:
            ready = last_letter(connection, [int(item) for _business, item in items])
        counts: Counter[str] = Counter()
        errors: list[ItemError] = []
        wanted = [int(item) for _business, item in items if ready.get(int(item), False)]
        counts["erasures_waiting"] += len(items) - len(wanted)
        for first in range(0, len(wanted), TOGETHER):
            if deadline.near():
                break
            taken = erasure_lease.take_all(engine, wanted[first : first + TOGETHER])
            for group in _groups(taken):
                for ended in _erased(engine, group, tools, deadline):
                    counts[ended.counted] += 1
                    if ended.error is not None:
                        one, error = ended.taken, ended.error
                        errors.append(
                            ItemError(one.business_id, str(one.id), error.code, str(error))
                        )
        return Outcome(+counts, errors)

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        """How many rows of each table, of the first accounts."""
        ids = [int(row[1]) for row in connection.execute(text(batch.cte), batch.parameters)]
        rows = [Taken(*row) for row in connection.execute(_SUBJECTS, {"ids": ids})]
        counted: dict[int, dict[str, int]] = {}
        for group in _groups(rows[:_PREVIEWED]):
            counted |= _counted(connection, group)
        return Preview([_as_change(row, counted.get(row.id)) for row in rows])


@dataclass(frozen=True)
class Ended:
    """What came of an account, as a counter, and what somebody has to know."""

    taken: Taken
    counted: str
    error: PonctuelError | None = None


def _groups(taken: Sequence[Taken]) -> list[list[Taken]]:
    """Those that take their steps together: of one scope, each of another business."""
    groups: dict[tuple[str, int], list[Taken]] = {}
    seen: Counter[tuple[str, str]] = Counter()
    for one in taken:
        key = one.scope, one.business_id
        groups.setdefault((one.scope, seen[key]), []).append(one)
        seen[key] += 1
    # Where a business goes, its users have gone before.
    return [groups[key] for key in sorted(groups, key=lambda key: (key[0] == "business", key[1]))]


def _erased(
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
            counts = work(connection, _subjects(connection, group, tools.secret))
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


def _subjects(connection: Connection, group: Sequence[Taken], secret: str | None) -> Subjects:
    numbers, scope = [one.id for one in group], group[0].scope
    asked = {
        "scope": scope,
        "ids": numbers,
        "businesses": [one.business_id for one in group],
        "users": [one.user_id for one in group],
    }
    emails = {row[0]: row[1] for row in connection.execute(_EMAILS, asked)}
    return Subjects(
        scope=scope,
        numbers=numbers,
        values=retention.parameters(
            scope, [one.account | {"email": emails.get(one.id)} for one in group]
        ),
        pseudonyms=[_pseudonym(one, secret) for one in group],
    )


def _pseudonym(taken: Taken, secret: str | None) -> str:
    """The same for the same account as long as the secret is; without one it is of no use to
    anybody."""
    if not secret:
        return token_hex(16)
    account = f"{taken.business_id}\0{taken.user_id}".encode()
    return hmac.new(secret.encode(), b"erased\0" + account, sha256).hexdigest()[:32]


def _counted(connection: Connection, group: Sequence[Taken]) -> dict[int, dict[str, int]]:
    """Of each, how many rows of which table go, or are changed."""
    tables, selects = zip(*retention.remains(group[0].scope), strict=True)
    values = _subjects(connection, group, None).values
    found: dict[int, dict[str, int]] = {one.id: {} for one in group}
    for nth, number, rows in connection.execute(text(retention.at_once(selects)), values):
        found[number][tables[nth]] = rows
    return found


def _as_change(taken: Taken, rows: Mapping[str, int] | None) -> Mapping[str, Any]:
    change = {
        "change": "deletions_erased",
        "business_id": taken.business_id,
        "subject": taken.user_id,
        "scope": taken.scope,
    }
    return change if rows is None else change | {"rows": rows}
