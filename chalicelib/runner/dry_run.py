"""A dry run: what the real run would do now, in one transaction that cannot write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, text

from chalicelib.db.engine import snapshot
from chalicelib.runner.engine import prepare
from chalicelib.runner.job import Batch, Job, Run

# Items in quarantine are left out, exactly as the real run leaves them out.
_DUE = """SELECT d.business_id, d.item FROM ({items}) d
 WHERE NOT EXISTS (SELECT 1 FROM ponctuel.quarantine q
                    WHERE q.job = :job AND q.step = :step AND q.business_id = d.business_id
                      AND q.item = d.item AND q.released_at IS NULL)"""


def preview(engine: Engine, job: Job, run: Run) -> dict[str, Any]:
    """`{"changes": […], "messages": […], "left_out": […]}`, JSON, over all steps, and the outbox's
    for a job that delivers it. Each message says whether its letter could be composed now
    (`letter`). Reads only."""
    from chalicelib.outbox import due, rehearsal

    report: dict[str, list[Any]] = {"changes": [], "messages": [], "left_out": []}
    with snapshot(engine) as connection:
        if run.as_of is None:
            run.now = max(run.now, connection.execute(text("SELECT ponctuel.clock()")).scalar_one())
        prepared = prepare(job, run, connection)
        report["left_out"] += [vars(error) for error in prepared.errors]
        for step in job.steps:
            parameters = {**prepared.parameters, "step": step.name}
            batch = Batch(_DUE.replace("{items}", step.items), parameters)
            found = step.effect.preview(run, connection, batch)
            report["changes"] += found.changes
            report["messages"] += found.messages
            report["left_out"] += found.left_out
        if job.delivers == "all":
            waiting = due.preview(connection, run)
            report["changes"] += waiting.changes
            report["messages"] += waiting.messages
            report["left_out"] += waiting.left_out
        rehearsal.add_letters(connection, report["messages"], run.now)
    return report


def counted(report: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, int]:
    """How many rows there are of each sort. A reason that many documents share is listed in part:
    each of its rows says how many there are (`total`)."""
    counts = {}
    for name, rows in report.items():
        shared = {row.get("reason"): int(row["total"]) for row in rows if "total" in row}
        counts[name] = sum("total" not in row for row in rows) + sum(shared.values())
    return counts
