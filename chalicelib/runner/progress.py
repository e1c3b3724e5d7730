"""What the holder of a lease writes: its run's row and the state row, in one statement each.

Each checks the fence, locks the state row until the commit, and comes last in its transaction: who
has lost the lease gets `LeaseLost` and can commit nothing more. Together, because a statement is a
round trip.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

from chalicelib.runner import lease
from chalicelib.runner.job import Run

_MINE = "job = :job AND zone = :zone AND fence = :fence AND run_id = :id"

_BEGIN = text("""
WITH opened AS (
  INSERT INTO ponctuel.runs (id, job, zone, door, slot_from, slot_to, now_at, status, created_at,
                             started_at, heartbeat_at, attempt)
  VALUES (:id, :job, :zone, :door, :slot_from, :slot_to, :now, 'running', ponctuel.clock(),
          ponctuel.clock(), ponctuel.clock(), 1)
  RETURNING id
)
UPDATE ponctuel.job_state
   SET fence = fence + 1, lease_holder = :holder, lease_until = ponctuel.clock() + :lease,
       run_id = opened.id, retry_at = NULL
  FROM opened WHERE job = :job AND zone = :zone
RETURNING fence
""")

_SAVE = text(f"""
WITH kept AS (
  UPDATE ponctuel.job_state SET lease_until = ponctuel.clock() + :lease WHERE {_MINE} RETURNING 1
)
UPDATE ponctuel.runs
   SET step = :step, position = :position, attempt = 1, batch_limit = :batch_limit,
       counts = CAST(:counts AS jsonb), heartbeat_at = ponctuel.clock()
 WHERE id = :id AND EXISTS (SELECT 1 FROM kept)
RETURNING 1
""")

_RELEASE = text(f"""
WITH released AS (
  UPDATE ponctuel.job_state
     SET lease_holder = NULL, lease_until = NULL, retry_at = ponctuel.clock() + :wait
   WHERE {_MINE} RETURNING 1
)
UPDATE ponctuel.runs
   SET status = 'continued', attempt = 0, batch_limit = NULL, failures = :failures,
       error_code = :error_code, error = :error, heartbeat_at = ponctuel.clock()
 WHERE id = :id AND EXISTS (SELECT 1 FROM released)
RETURNING 1
""")

_COVER = f"""
WITH covered AS (
  UPDATE ponctuel.job_state
     SET covered_through = greatest(covered_through, :through), lease_holder = NULL,
         lease_until = NULL, retry_at = NULL, run_id = rerun_id, rerun_id = NULL
   WHERE {_MINE}
  RETURNING run_id AS following, covered_through
), {{ended}}
SELECT following, covered_through, ponctuel.clock() FROM covered
"""

_CLOSE = text(
    _COVER.replace(
        "{ended}",
        """closed AS (
  UPDATE ponctuel.runs
     SET status = :status, finished_at = ponctuel.clock(), heartbeat_at = ponctuel.clock(),
         counts = CAST(:counts AS jsonb), results = CAST(:results AS jsonb),
         failures = :failures, error_code = :error_code, error = :error
   WHERE id = :id AND EXISTS (SELECT 1 FROM covered)
), emptied AS (
  DELETE FROM ponctuel.run_items WHERE run_id = :id AND EXISTS (SELECT 1 FROM covered)
)""",
    )
)

_FORGET = text(
    _COVER.replace(
        "{ended}",
        """forgotten AS (
  DELETE FROM ponctuel.runs WHERE id = :id AND EXISTS (SELECT 1 FROM covered)
), emptied AS (
  DELETE FROM ponctuel.run_items WHERE run_id = :id AND EXISTS (SELECT 1 FROM covered)
)""",
    )
)


@dataclass(frozen=True)
class Closed:
    """What is known at the end of a run: the run that was asked for meanwhile, the instant up to
    which slots are covered, and the database's clock (aware UTC)."""

    following: UUID | None
    covered_through: datetime
    clock: datetime


def begin(
    connection: Connection,
    job: str,
    zone: str,
    *,
    door: str,
    holder: str,
    now: datetime,
    slots: tuple[datetime, datetime],
    duration: timedelta = lease.LEASE,
) -> Run:
    """Opens a run for these slots and takes the lease. The state row must be locked by
    `lease.look`."""
    values: dict[str, Any] = {"id": uuid4(), "job": job, "zone": zone, "door": door, "now": now}
    values |= {"slot_from": slots[0], "slot_to": slots[1]}
    fence = connection.execute(_BEGIN, values | {"holder": holder, "lease": duration}).scalar_one()
    return Run(**values, attempt=1, fence=fence)


def save(connection: Connection, run: Run, duration: timedelta = lease.LEASE) -> None:
    """Writes the cursor and renews the lease; the next batch's first attempt starts with this
    commit. Raises `LeaseLost`."""
    values = {
        "step": run.step,
        "position": run.position,
        "batch_limit": run.batch_limit,
        "counts": json.dumps(run.counts),
        "lease": duration,
    }
    lease.held(connection.execute(_SAVE, _of(run) | values).scalar())


def release(
    connection: Connection,
    run: Run,
    wait: timedelta,
    error_code: str | None = None,
    error: str | None = None,
) -> None:
    """Gives the lease back with the run unfinished: any tick adopts it once `wait` has passed.
    Raises `LeaseLost`."""
    values = {"wait": wait, "failures": run.failures, "error_code": error_code, "error": error}
    lease.held(connection.execute(_RELEASE, _of(run) | values).scalar())


def close(
    connection: Connection,
    run: Run,
    status: str,
    *,
    results: Sequence[Mapping[str, Any]] = (),
    error_code: str | None = None,
    error: str | None = None,
) -> Closed:
    """Ends the run and covers its slots. Raises `LeaseLost`."""
    values = {
        "status": status,
        "counts": json.dumps(run.counts),
        "results": json.dumps(list(results)),
        "failures": run.failures,
        "error_code": error_code,
        "error": error,
    }
    return _closed(connection, _CLOSE, run, values)


def forget(connection: Connection, run: Run) -> Closed:
    """Ends a run that leaves no row, and covers its slots. Raises `LeaseLost`."""
    return _closed(connection, _FORGET, run, {})


def _closed(connection: Connection, statement: Any, run: Run, values: dict[str, Any]) -> Closed:
    through = max(run.now, run.slot_to or run.now)
    values = _of(run) | values | {"through": through}
    rows = [Closed(*row) for row in connection.execute(statement, values)]
    lease.held(rows[0] if rows else None)
    return rows[0]


def _of(run: Run) -> dict[str, Any]:
    return {"id": run.id, "job": run.job, "zone": run.zone, "fence": run.fence}
