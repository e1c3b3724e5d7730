"""The routes that today's users call from their cron services: one line of the table each.

Method, path, refusal and answer are a contract with them. A call runs the job now, as a tick would:
never while the job is paused. Whatever body it carries is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib import jobs, logs
from chalicelib.routes import answers
from chalicelib.routes.answers import Answer, Fields
from chalicelib.routes.auth import Family
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route
from chalicelib.routes.leads import waiting_fields
from chalicelib.routes.start import Ask, run_now


@dataclass(frozen=True)
class Compat:
    """`line` is what users look for in their logs. `message`: the sentence of success, where it is
    not the job's own; `fields`: what the answer has besides the common fields."""

    path: str
    methods: tuple[str, ...]
    job: str
    family: Family
    line: str
    message: str | None = None
    fields: Fields | None = None


GET_OR_POST = ("GET", "POST")

TABLE = (
    Compat(
        "/inbox/integrations/sync-all",
        GET_OR_POST,
        "inbox_sync",
        "forbidden",
        "🔄 Déclenchement de la synchronisation inbox via API...",
    ),
    Compat(
        "/followups/process-automatic",
        GET_OR_POST,
        "followups",
        "forbidden",
        "🔄 Déclenchement du traitement des relances automatiques via API...",
    ),
    Compat(
        "/users/process-account-deletions",
        GET_OR_POST,
        "account_deletions",
        "forbidden",
        "🔄 Déclenchement du traitement des suppressions de comptes via API...",
    ),
    Compat(
        "/cron/check-overdue-and-reminders",
        GET_OR_POST,
        "overdue_and_reminders",
        "forbidden",
        "🔄 Déclenchement de la vérification des retards et des rappels via API...",
    ),
    Compat(
        "/gestion/auto-relance",
        GET_OR_POST,
        "lead_followups",
        "other",
        "🔄 Déclenchement des relances automatiques de leads via API...",
        fields=waiting_fields,
    ),
)


def route(row: Compat) -> Route:
    """The row as a route."""

    def compat(call: Call) -> Answer:
        logs.info("compat_call", line=row.line, path=call.path, job=row.job)
        runs = run_now(call, jobs.job(row.job), Ask(), operator=False)
        return answers.of_runs(call, runs, message=row.message, fields=row.fields)

    return Route(
        row.path,
        row.methods,
        compat,
        summary=f"Runs {row.job} now and covers its due slots.",
        family=row.family,
        access="bearer_or_query",
        query={"strict": "1: a run that ended partial is answered 500, not 200."},
        responses={
            200: "Succeeded, skipped (paused), or partial with `success: false`.",
            202: "Still going on: see `statusUrl`.",
            500: "Failed, or the database cannot be used.",
        },
    )


ROUTES = tuple(route(row) for row in TABLE)
