"""Every five minutes: read what has arrived in the businesses' mailboxes.

1. Each active mailbox that is well is read, folder by folder, from where the last run left off; one
   that fails is tried again when its wait is over. Nothing is changed on the servers.
2. What is new is kept as it came, then parsed, put into its thread, and matched with the customer
   who wrote. Deletions and flags are followed.
3. A customer who answers is not chased for a while, and the business is told; so is the owner of a
   mailbox that cannot be read, once. A letter of ours that came back is marked *failed*, and its
   address is not written to again.

What a run does not come to, the next one goes on with: however long an outage lasts, nothing is
skipped.
"""

from __future__ import annotations

from typing import Any

from chalice import Blueprint  # type: ignore[attr-defined]  # Chalice marks no re-exports

from chalicelib.domain.inbox import queries
from chalicelib.domain.inbox.errand import ReadMailboxes
from chalicelib.runner.invocation import scheduled
from chalicelib.runner.job import Job, Step
from chalicelib.runner.rule_expression import rule_of

JOB = Job(
    name="inbox_sync",
    title="Synchronisation des boîtes aux lettres",
    schedule="*/5 * * * *",
    zone="Europe/Paris",
    summary="Synchronisation inbox terminée avec succès",
    steps=(
        Step(
            name="read_mailboxes",
            items=queries.MAILBOXES_DUE,
            effect=ReadMailboxes(),
            batch=1_000,  # side by side: the errand has its own limits
        ),
    ),
    delivers="nothing",  # its notices are the outbox's
    quiet=True,
    memory_mb=1024,
    timeout_s=300,
)

bp = Blueprint(__name__)


@bp.schedule(rule_of(JOB), name=JOB.name, description=JOB.title)
def handler(event: Any) -> dict[str, Any]:
    return scheduled(JOB, event)
