"""Runs: asking for one, and reading the ledger."""

from __future__ import annotations

from typing import Any

from chalicelib import jobs
from chalicelib.db.engine import transaction
from chalicelib.routes import answers, queries
from chalicelib.routes.answers import Answer, document
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route
from chalicelib.routes.start import LONGEST_REASON, LONGEST_WAIT_S, parse, run_now
from chalicelib.runner import ledger, run_detail

LISTED = 20
MOST_LISTED = 100


def create_run(call: Call) -> Answer:
    """An operator's run: also while the job is paused."""
    job = jobs.job(call.parameters["job"])
    runs = run_now(call, job, parse(call.json()), operator=True)
    return answers.of_runs(call, runs)


def list_runs(call: Call) -> Answer:
    return _listed(call, jobs.job(call.parameters["job"]).name)


def list_all_runs(call: Call) -> Answer:
    return _listed(call, None)


def show_run(call: Call) -> Answer:
    with transaction(call.engine) as connection:
        return Answer(document(call, run_detail.find(connection, call.parameters["id"])))


def _listed(call: Call, job: str | None) -> Answer:
    limit = queries.limit(call, LISTED, MOST_LISTED)
    with transaction(call.engine) as connection:
        rows = ledger.recent(connection, job, limit)
    listed = [document(call, row) for row in rows]
    for run in listed:
        run.pop("report", None)  # long, and full of other people's addresses
    return Answer({"success": True, "runs": listed})


ASK: dict[str, Any] = {
    "dry_run": {
        "type": "boolean",
        "description": "Say what the run would do now, and do none of it.",
    },
    "force": {"type": "boolean", "description": "Lift date conditions, and nothing else."},
    "as_of": {
        "type": "string",
        "format": "date-time",
        "description": "With dry_run: what would be due at that instant.",
    },
    "reason": {"type": "string", "maxLength": LONGEST_REASON},
    "wait": {
        "type": "number",
        "minimum": 0,
        "maximum": LONGEST_WAIT_S,
        "description": "Seconds to wait for the end; 0 answers at once. Default: WAIT_SECONDS.",
    },
}

ROUTES = (
    Route(
        "/jobs/{job}/runs",
        ("POST",),
        create_run,
        summary="Runs a job now, also while it is paused.",
        query={"strict": "1: a run that ended partial is answered 500, not 200."},
        body=ASK,
        responses={
            200: "Succeeded, skipped, or partial with `success: false`.",
            202: "Still going on: see `statusUrl`.",
            400: "The body cannot be used as it is.",
            404: "There is no such job.",
            500: "Failed, or the database cannot be used.",
        },
    ),
    Route(
        "/jobs/{job}/runs",
        ("GET",),
        list_runs,
        summary="A job's runs, the newest first.",
        query={"limit": f"How many, 1 to {MOST_LISTED}; {LISTED} by default."},
        responses={200: "The runs.", 404: "There is no such job."},
    ),
    Route(
        "/runs",
        ("GET",),
        list_all_runs,
        summary="The runs of every job, the newest first.",
        query={"limit": f"How many, 1 to {MOST_LISTED}; {LISTED} by default."},
        responses={200: "The runs."},
    ),
    Route(
        "/runs/{id}",
        ("GET",),
        show_run,
        summary="One run, by id or number: status, counts, results, errors; a dry run's report.",
        responses={200: "The run.", 404: "There is no such run."},
    ),
)
