"""The rows of `runs`: asked for, taken up, read. What the holder of a lease writes is in
`progress`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

from chalicelib.runner.job import ItemError, Run

FINISHED = ("succeeded", "partial", "failed", "skipped")

_OPEN = text("""
INSERT INTO ponctuel.runs (id, job, zone, door, requested_by, reason, slot_from, slot_to, now_at,
                           as_of, dry_run, force, operator, status, created_at, started_at,
                           finished_at, error_code, error)
VALUES (:id, :job, :zone, :door, :requested_by, :reason, :slot_from, :slot_to, :now_at,
        :as_of, :dry_run, :force, :operator, :status, ponctuel.clock(),
        CASE WHEN :status = 'skipped' THEN ponctuel.clock() END,
        CASE WHEN :status = 'skipped' THEN ponctuel.clock() END, :error_code, :error)
""")

_RESUME = text("""
UPDATE ponctuel.runs
   SET status = 'running', started_at = coalesce(started_at, ponctuel.clock()),
       heartbeat_at = ponctuel.clock(), now_at = coalesce(now_at, :now),
       slot_from = coalesce(slot_from, :slot_from), slot_to = coalesce(slot_to, :slot_to),
       attempt = :attempt, batch_limit = :batch_limit, hops = hops + :hop,
       failures = failures + :failed
 WHERE id = :id
RETURNING *
""")

_CLOSE_REHEARSAL = text("""
UPDATE ponctuel.runs
   SET status = :status, finished_at = ponctuel.clock(), heartbeat_at = ponctuel.clock(),
       counts = CAST(:counts AS jsonb), report = CAST(:report AS jsonb),
       error_code = :error_code, error = :error
 WHERE id = :id
""")

_ERRORS = text("""
INSERT INTO ponctuel.run_errors (run_id, at, step, business_id, item, code, error)
SELECT :run_id, ponctuel.clock(), :step, e->>'business_id', e->>'item', e->>'code', e->>'error'
  FROM jsonb_array_elements(CAST(:errors AS jsonb)) e
 WHERE NOT EXISTS (SELECT 1 FROM ponctuel.run_errors x
                    WHERE x.run_id = :run_id AND x.business_id = e->>'business_id'
                      AND x.item = e->>'item' AND x.code = e->>'code')
""")

_READ = text("""
SELECT r.*, (SELECT count(*) FROM ponctuel.run_items i
              WHERE i.run_id = r.id AND i.step = r.step) AS items
  FROM ponctuel.runs r WHERE r.id = :id
""")

_READ_ERRORS = text("""
SELECT step, business_id, item, code, error FROM ponctuel.run_errors
 WHERE run_id = :id ORDER BY at, business_id, item LIMIT :limit
""")

# Without `report`: long, and full of other people's addresses.
_LIST = text("""
SELECT id, number, job, zone, door, requested_by, reason, slot_from, slot_to, now_at, as_of,
       dry_run, force, operator, status, created_at, started_at, heartbeat_at, finished_at, step,
       position, attempt, batch_limit, failures, hops, counts, results, error_code, error
  FROM ponctuel.runs
 WHERE (CAST(:job AS text) IS NULL OR job = :job) ORDER BY number DESC LIMIT :limit
""")


def open_run(
    connection: Connection, *, job: str, zone: str, door: str, status: str, **fields: Any
) -> UUID:
    """Inserts a run (`queued` or `skipped`) and returns its id."""
    run_id: UUID = fields.pop("id", None) or uuid4()
    values = dict.fromkeys(("requested_by", "reason"), "") | dict.fromkeys(
        ("slot_from", "slot_to", "now_at", "as_of", "error_code", "error")
    )
    values |= {"dry_run": False, "force": False, "operator": False} | fields
    connection.execute(
        _OPEN, {"id": run_id, "job": job, "zone": zone, "door": door, "status": status, **values}
    )
    return run_id


def resume(
    connection: Connection,
    run_id: UUID,
    *,
    now: datetime,
    attempt: int,
    batch_limit: int | None,
    slots: tuple[datetime, datetime] | None = None,
    hop: bool = False,
    failed: bool = False,
) -> Run:
    """Marks a run as running and returns it as it was left. `now` and `slots` count only when the
    run starts: they never change once it has. `failed`: a process died outside of any batch."""
    first, last = slots or (None, None)
    row = (
        connection.execute(
            _RESUME,
            {
                "id": run_id,
                "now": now,
                "slot_from": first,
                "slot_to": last,
                "attempt": attempt,
                "batch_limit": batch_limit,
                "hop": int(hop),
                "failed": int(failed),
            },
        )
        .mappings()
        .one()
    )
    return as_run(row)


def as_run(row: Mapping[Any, Any]) -> Run:
    names = (
        "id",
        "job",
        "zone",
        "door",
        "slot_from",
        "slot_to",
        "force",
        "dry_run",
        "as_of",
        "step",
        "position",
        "attempt",
        "batch_limit",
        "failures",
        "hops",
        "counts",
    )
    return Run(now=row["now_at"], **{name: row[name] for name in names})


def close_rehearsal(
    connection: Connection,
    run: Run,
    status: str,
    *,
    report: object = None,
    error_code: str | None = None,
    error: str | None = None,
) -> None:
    """Ends a dry run, which has no lease."""
    connection.execute(
        _CLOSE_REHEARSAL,
        {
            "id": run.id,
            "status": status,
            "counts": json.dumps(run.counts),
            "report": None if report is None else json.dumps(report),
            "error_code": error_code,
            "error": error,
        },
    )


def record_errors(
    connection: Connection, run: Run, errors: list[ItemError], step: str | None = None
) -> None:
    """One row per item that failed, once. `step`: that of the run, unless it is given."""
    if errors:
        connection.execute(
            _ERRORS,
            {
                "run_id": run.id,
                "step": step or run.step or "",
                "errors": json.dumps([vars(error) for error in errors]),
            },
        )


def read(connection: Connection, run_id: UUID, *, errors: int = 100) -> dict[str, Any] | None:
    """One run as a dict of its columns, with `items` (of the current step) and its first errors."""
    row = connection.execute(_READ, {"id": run_id}).mappings().first()
    if row is None:
        return None
    found = connection.execute(_READ_ERRORS, {"id": run_id, "limit": errors}).mappings()
    return dict(row) | {"errors": [dict(error) for error in found]}


def recent(connection: Connection, job: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
    """The newest runs first, as dicts of their columns, without `report`."""
    return [dict(row) for row in connection.execute(_LIST, {"job": job, "limit": limit}).mappings()]
