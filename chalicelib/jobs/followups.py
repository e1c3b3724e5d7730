"""Each hour: chase unpaid invoices and unanswered quotes.

1. A quote whose validity has passed is marked expired, once.
2. For each customer, the next relance that is due is planned: the level after the last one that
   really went out, once its delay has passed, while the document is still open, undisputed and
   `auto_enabled`, for businesses that have switched relances on. One relance per customer and
   interval; the due invoices of a customer in one letter where the business asks for it.
3. What was planned is sent through the outbox. Just before each message leaves, the balance, the
   dispute, the promise and the sending window are read again: who has just paid is not chased.

Missed hours need no catching up: everything that is due is taken, whenever that was.
"""

from __future__ import annotations

from typing import Any

from chalice import Blueprint  # type: ignore[attr-defined]  # Chalice marks no re-exports

from chalicelib.domain.billing import calendar, conditions, queries
from chalicelib.outbox.plan import Plan
from chalicelib.runner.change import Change
from chalicelib.runner.invocation import scheduled
from chalicelib.runner.job import Job, Step
from chalicelib.runner.rule_expression import rule_of

JOB = Job(
    name="followups",
    title="Relances automatiques des factures et des devis",
    schedule="0 * * * *",
    zone="Europe/Paris",
    summary="Traitement des relances automatiques terminé avec succès",
    steps=(
        Step(
            name="expire_quotes",
            items=queries.QUOTES_EXPIRED,
            effect=Change(write=queries.EXPIRE_QUOTES, counted_as="quotes_expired"),
        ),
        Step(
            name="plan_relances",
            items=queries.CUSTOMERS_DUE,
            effect=Plan(
                select=queries.RELANCES, left_out=queries.LEFT_OUT, reasons=conditions.REASONS
            ),
            batch=10_000,  # one statement, whatever its size: fewer and larger is faster
        ),
    ),
    prepare=calendar.prepare,
    memory_mb=768,
    timeout_s=300,
)

bp = Blueprint(__name__)


@bp.schedule(rule_of(JOB), name=JOB.name, description=JOB.title)
def handler(event: Any) -> dict[str, Any]:
    return scheduled(JOB, event)
