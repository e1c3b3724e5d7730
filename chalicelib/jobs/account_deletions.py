"""Each night at two: accounts whose owners asked for it are erased for good, not before time.

1. **adopt**: every account with a date of deletion is looked at. What the application has scheduled
   by itself is taken over, with eight days' notice at least; what it has cleared is cancelled, what
   it has moved is moved. The last owner of a business that others use, and whoever a legal hold
   protects, is blocked, until that has gone.
2. **remind**: a week before the date, and the day before, a letter says so, with a link that keeps
   the account.
3. **lock**: accounts whose date has passed are locked, 50 a night, after everything was asked again
   in that transaction. From there on nobody can cancel. Far more than usual at once: none is, and
   an operator decides.
4. **erase**: what is locked is erased, once its last letter has left: step by step, each with its
   receipt. The accounting records of a business that goes are archived.
5. **purge**: what has been in the archive for its ten years goes too; then the traces of erasures
   that no backup needs any more, and what the log of the archive has held for three years.

Missed nights need no catching up: nothing is early, and who could not be told in time is given
another week.
"""

from __future__ import annotations

from typing import Any

from chalice import Blueprint  # type: ignore[attr-defined]  # Chalice marks no re-exports

from chalicelib.domain.accounts import (
    archive_reading,
    archiving,
    erasing,
    following,
    locking,
    reminding,
    tombstones,
)
from chalicelib.outbox.plan import Plan
from chalicelib.runner.invocation import scheduled
from chalicelib.runner.job import Job, Step
from chalicelib.runner.rule_expression import rule_of

JOB = Job(
    name="account_deletions",
    title="Suppression définitive des comptes",
    schedule="0 2 * * *",
    zone="Europe/Paris",
    summary="Traitement des suppressions de comptes terminé avec succès",
    steps=(
        Step(name="adopt", items=following.TO_FOLLOW, effect=following.Follow()),
        Step(name="remind", items=reminding.TO_REMIND, effect=Plan(select=reminding.REMINDERS)),
        Step(name="lock", items=locking.DUE, effect=locking.Lock(), batch=locking.MOST_PER_RUN),
        Step(name="erase", items=erasing.LOCKED, effect=erasing.Erase()),
        Step(name="purge", items=archiving.TO_PURGE, effect=archiving.Purge()),
        Step(name="forget", items=tombstones.OLD, effect=tombstones.Forget()),
        Step(
            name="unlog",
            items=archive_reading.OLD_ACCESSES,
            effect=archive_reading.ForgetAccesses(),
        ),
    ),
    memory_mb=768,
    timeout_s=300,
)

bp = Blueprint(__name__)


@bp.schedule(rule_of(JOB), name=JOB.name, description=JOB.title)
def handler(event: Any) -> dict[str, Any]:
    return scheduled(JOB, event)
