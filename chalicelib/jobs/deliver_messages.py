"""Each minute: send what the outbox holds and nobody has sent yet.

Messages that a job planned and could not send within its time, retries whose wait is over, and
held messages whose window has opened. What is too late is closed "trop tard"; what a dead process
left *submitting* becomes uncertain, and is never sent again without proof.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from chalice import Blueprint  # type: ignore[attr-defined]  # Chalice marks no re-exports

from chalicelib.runner.invocation import scheduled
from chalicelib.runner.job import Job
from chalicelib.runner.rule_expression import rule_of

JOB = Job(
    name="deliver_messages",
    title="Envoi des messages en attente",
    schedule="* * * * *",
    zone="Europe/Paris",
    summary="Envoi des messages en attente terminé avec succès",
    delivers="all",
    quiet=True,
    late_after=timedelta(hours=1),
    memory_mb=768,
    timeout_s=180,
)

bp = Blueprint(__name__)


@bp.schedule(rule_of(JOB), name=JOB.name, description=JOB.title)
def handler(event: Any) -> dict[str, Any]:
    return scheduled(JOB, event)
