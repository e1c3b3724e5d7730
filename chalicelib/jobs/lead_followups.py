"""Every six hours: follow up the leads that have been silent for as long as their cadence says.

1. What is over is ended: proposals that nobody took up in time, that belong to another closer now,
   or whose lead has answered, was won or lost, or came to another stage; and messages of which it
   is known what became of them. A message that was accepted is counted on its lead.
2. Notifications whose leads are dealt with are resolved.
3. Each lead that is due gets its next follow-up, the one that has waited longest first, up to the
   business's cap of the day. *Assisted*: it is proposed to the lead's closer with a wa.me link, and
   the closer is told once; it counts when the closer confirms that it was sent. *API*: a WhatsApp
   message is planned, for the hours in which the lead may be written to.
4. What was planned is sent through the outbox. Just before, stage, answers and opt-outs are read
   again.

Missed runs need no catching up: a lead gets one follow-up, however many would have been due.
"""

from __future__ import annotations

from typing import Any

from chalice import Blueprint  # type: ignore[attr-defined]  # Chalice marks no re-exports

from chalicelib.domain.leads import calendar, notices, queries, settle
from chalicelib.domain.leads.followup import FollowUp
from chalicelib.runner.invocation import scheduled
from chalicelib.runner.job import Job, Step
from chalicelib.runner.rule_expression import rule_of

JOB = Job(
    name="lead_followups",
    title="Relances automatiques des leads",
    schedule="0 */6 * * *",
    zone="Europe/Paris",
    summary="Traitement des relances de leads terminé avec succès",
    steps=(
        Step(name="end_followups", items=settle.ITEMS, effect=settle.Settle()),
        Step(
            name="resolve_notifications",
            items=notices.OVER_ITEMS,
            effect=notices.RESOLVE,
        ),
        Step(
            name="follow_up",
            items=queries.LEADS_DUE,
            effect=FollowUp(),
            batch=10_000,  # one decision: the cap and the order are those of the whole batch
        ),
    ),
    prepare=calendar.prepare,
)

bp = Blueprint(__name__)


@bp.schedule(rule_of(JOB), name=JOB.name, description=JOB.title)
def handler(event: Any) -> dict[str, Any]:
    return scheduled(JOB, event)
