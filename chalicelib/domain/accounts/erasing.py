"""Accounts that are locked are erased, step by step, each with its receipt.

docs/erasing.md tells operators what goes and what stays; `retention` says it to the machine.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Mapping, Sequence
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
from chalicelib.domain.accounts.erasure_steps import Subject
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
# Why a deletion stands still, in the words of `deletions.REASONS`.
_BLOCKED: Final = {
    "revoke": "revoke_failed",
    "files": "files_failed",
    "stripe": "stripe_failed",
    "tombstone": "tombstone_failed",
}

_EMAIL = text("""
SELECT lower(btrim(email)) FROM ponctuel.users WHERE business_id = :business AND id = :user
""")
_PREVIEWED: Final = 20
_SUBJECTS = text("""
SELECT d.id, d.business_id, d.user_id, d.scope, d.lease FROM ponctuel.account_deletions d
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
        for business, item in items:
            if deadline.near():
                break
            if not ready.get(int(item), False):
                counts["erasures_waiting"] += 1
                continue
            taken = erasure_lease.take(engine, int(item))
            if taken is None:
                continue
            counted, error = _isolated(engine, taken, tools, deadline)
            counts[counted] += 1
            if error is not None:
                errors.append(ItemError(business, item, error.code, str(error)))
        return Outcome(+counts, errors)

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        """How many rows of each table, of the first accounts."""
        ids = [int(row[1]) for row in connection.execute(text(batch.cte), batch.parameters)]
        rows = connection.execute(_SUBJECTS, {"ids": ids}).all()
        return Preview([_as_change(connection, row, n < _PREVIEWED) for n, row in enumerate(rows)])


def _isolated(
    engine: Engine, taken: Taken, tools: Tools, deadline: Deadline
) -> tuple[str, PonctuelError | None]:
    """What came of it, as a counter, and what somebody has to know. The others go on."""
    step = next(iter(STEPS))
    try:
        done = taken.done(engine)
        for step in STEPS:
            if step in done:
                continue
            if deadline.near() or not _step(engine, taken, tools, step, deadline):
                taken.give_back(engine)
                return "erasures_waiting", None
    except LeaseLost:
        return "erasures_waiting", None
    except Held as error:
        taken.failed(engine, error, permanent=True, reason=LEGAL_HOLD)
        return "erasures_held", None
    except Exception as error:  # noqa: BLE001 - per-item isolation
        return _failed(engine, taken, step, error)
    logs.info("account_erased", deletion=taken.id, business=taken.business_id)
    return "deletions_erased", None


def _step(engine: Engine, taken: Taken, tools: Tools, step: str, deadline: Deadline) -> bool:
    """Whether it is done, and has its receipt."""
    if step == "files":
        return erasure_outside.delete_files(engine, taken, tools.storage, deadline)
    if step == "stripe":
        erasure_outside.delete_customers(engine, taken, tools.stripe_key)
        return True
    if step == "revoke":
        erasure_tokens.revoke(engine, taken, tools.settings)
        return True
    if step == "tombstone":
        tombstones.bury(engine, taken, tools.storage, tools.secret)
        return True
    work = STEPS[step]
    assert work is not None
    with taken.writing(engine, step) as connection:
        counts = work(connection, _subject(connection, taken, tools.secret))
        taken.receipt(connection, step, counts)
    return True


def _failed(
    engine: Engine, taken: Taken, step: str, error: Exception
) -> tuple[str, PonctuelError | None]:
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
    blocked = taken.failed(engine, known, permanent=permanent, reason=reason)
    return ("erasures_blocked", known) if blocked else ("erasures_waiting", None)


def _subject(connection: Connection, taken: Taken, secret: str | None) -> Subject:
    who = {"business": taken.business_id, "user": taken.user_id}
    values = who | {
        "person": f"user:{taken.user_id}",
        "email": connection.execute(_EMAIL, who).scalar() or None,
        "deletion": str(taken.id),
        "number": taken.id,
        "scope": taken.scope,
    }
    return Subject(taken.id, taken.scope, values, _pseudonym(taken, secret))


def _pseudonym(taken: Taken, secret: str | None) -> str:
    """The same for the same account as long as the secret is; without one it is of no use to
    anybody."""
    if not secret:
        return token_hex(16)
    account = f"{taken.business_id}\0{taken.user_id}".encode()
    return hmac.new(secret.encode(), b"erased\0" + account, sha256).hexdigest()[:32]


def _as_change(connection: Connection, row: Any, counted: bool) -> Mapping[str, Any]:
    taken = Taken(row.id, row.lease, row.business_id, row.user_id, row.scope)
    change = {
        "change": "deletions_erased",
        "business_id": row.business_id,
        "subject": row.user_id,
        "scope": row.scope,
    }
    if not counted:
        return change
    values = _subject(connection, taken, None).values
    rows = {
        table: count
        for table, statement in retention.remains(row.scope)
        if (count := connection.execute(text(statement), values).scalar_one())
    }
    return change | {"rows": rows}
