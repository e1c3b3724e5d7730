"""Each hour: what has become overdue is told, and appointments are reminded of.

1. What was told and is settled since – paid, done, cancelled, moved – is resolved by itself.
2. An invoice past its due date is marked overdue; one that was given more time no longer is.
3. Who wishes one e-mail a day gets it at the hour that they chose.
4. Users are told of invoices and tasks that became overdue, each once for each due date: in the
   application, and by one e-mail per hour at most. A critical task that stays undone is told to
   the owners.
5. Appointments are reminded of at the offsets that their user chose. The reminders of the next two
   hours wait in the outbox for their minute, where one of an appointment that is moved or cancelled
   in the meantime dies.

Missed hours need no catching up: what is still useful is told, what is not is let go.
"""

from __future__ import annotations

from typing import Any

from chalice import Blueprint  # type: ignore[attr-defined]  # Chalice marks no re-exports

from chalicelib.domain.agenda import appointments, people, queries, subjects
from chalicelib.domain.agenda.settling import Resolve
from chalicelib.domain.agenda.telling import Tell
from chalicelib.outbox.plan import Plan
from chalicelib.runner.change import Change, Tolerated
from chalicelib.runner.invocation import scheduled
from chalicelib.runner.job import Job, Step
from chalicelib.runner.rule_expression import rule_of

BATCH = 10_000  # one statement, whatever its size: fewer and larger is faster
STATUS_KEPT = (
    "Le statut des factures en retard n'a pas pu être écrit : donnez le droit UPDATE (status) sur "
    "ponctuel.invoices, ou tenez-le vous-même. Les notifications partent."
)

JOB = Job(
    name="overdue_and_reminders",
    title="Vérification des éléments en retard et des rappels",
    schedule="0 * * * *",
    zone="Europe/Paris",
    summary="Vérification des éléments en retard et des rappels terminée avec succès",
    steps=(
        Step(name="resolve", items=queries.SETTLED, effect=Resolve(), batch=BATCH),
        Step(
            name="mark_overdue",
            items=queries.INVOICES_NEWLY_OVERDUE,
            effect=Tolerated(
                Change(write=queries.MARK_OVERDUE, counted_as="invoices_overdue"), STATUS_KEPT
            ),
            batch=BATCH,
        ),
        Step(
            name="unmark_overdue",
            items=queries.INVOICES_GIVEN_TIME,
            effect=Tolerated(
                Change(write=queries.UNMARK_OVERDUE, counted_as="invoices_given_time"), STATUS_KEPT
            ),
            batch=BATCH,
        ),
        Step(
            name="digests",
            items=queries.DIGESTS_DUE,
            effect=Plan(select=queries.PLAN_DIGESTS),
            batch=BATCH,
        ),
        Step(
            name="tell_invoices",
            items=subjects.INVOICES.items(),
            effect=Tell(subjects.INVOICES),
            batch=BATCH,
        ),
        Step(
            name="tell_tasks",
            items=subjects.TASKS.items(),
            effect=Tell(subjects.TASKS),
            batch=BATCH,
        ),
        Step(
            name="escalate_tasks",
            items=subjects.ESCALATIONS_DUE.items(),
            effect=Tell(subjects.ESCALATIONS_DUE),
            batch=BATCH,
        ),
        Step(
            name="remind",
            items=appointments.APPOINTMENTS.items(),
            effect=Tell(appointments.APPOINTMENTS, appointments.REMINDER),
            batch=BATCH,
        ),
    ),
    prepare=people.prepare,
    memory_mb=768,
    timeout_s=300,
)

bp = Blueprint(__name__)


@bp.schedule(rule_of(JOB), name=JOB.name, description=JOB.title)
def handler(event: Any) -> dict[str, Any]:
    return scheduled(JOB, event)
