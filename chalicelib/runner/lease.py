"""The state row of a job and zone: who works, until when, what is unfinished.

A lease is a row, not an advisory lock, so that it survives poolers and dies by the clock. Its fence
grows with each lease; every transaction of a run checks it last and locks the row until the commit
(`progress`), so whoever lost the lease can commit nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from chalicelib.errors import LeaseLost, SchemaOutdated
from chalicelib.runner.deadline import Deadline

# Longer than the longest statement; should a transaction outlive it, the fence still decides.
LEASE = timedelta(seconds=120)

_LOOK = text("""
SELECT s.*, ponctuel.clock() AS clock,
       ARRAY(SELECT o.zone FROM ponctuel.job_state o
              WHERE o.job = s.job AND o.zone <> s.zone AND o.run_id IS NOT NULL) AS elsewhere,
       (SELECT max(version_num) FROM ponctuel.schema_versions
         WHERE version_num LIKE 'ledger%') AS schema_version
  FROM ponctuel.job_state s WHERE s.job = :job AND s.zone = :zone
   FOR UPDATE OF s SKIP LOCKED
""")

_LOOK_WAITING = text(_LOOK.text.replace("SKIP LOCKED", ""))

_INSTALL = text("""
INSERT INTO ponctuel.job_state (job, zone, covered_through, paused_at, paused_by, pause_reason)
SELECT :job, :zone, ponctuel.clock(), o.paused_at, o.paused_by, o.pause_reason
  FROM (VALUES (1)) one LEFT JOIN LATERAL (
    SELECT * FROM ponctuel.job_state WHERE job = :job AND paused_at IS NOT NULL LIMIT 1) o ON true
ON CONFLICT DO NOTHING
""")

_TAKE = text("""
UPDATE ponctuel.job_state
   SET fence = fence + 1, lease_holder = :holder, lease_until = ponctuel.clock() + :lease,
       run_id = :run_id, retry_at = NULL
 WHERE job = :job AND zone = :zone
RETURNING fence
""")

_KEEP = text("""
UPDATE ponctuel.job_state SET lease_until = ponctuel.clock() + :lease
 WHERE job = :job AND zone = :zone AND fence = :fence AND run_id = :run_id
RETURNING 1
""")

_SKIP = text("""
UPDATE ponctuel.job_state SET covered_through = greatest(covered_through, :through)
 WHERE job = :job AND zone = :zone
""")


class State(dict[str, Any]):
    """A row of `job_state`, with the database's `clock`, and `elsewhere`: the other zones in which
    the job has an unfinished run."""

    @property
    def busy(self) -> bool:
        return self["lease_until"] is not None and self["lease_until"] > self["clock"]

    @property
    def paused(self) -> bool:
        return self["paused_at"] is not None

    @property
    def waiting_to_retry(self) -> bool:
        return self["retry_at"] is not None and self["retry_at"] > self["clock"]


def look(connection: Connection, job: str, zone: str, *, wait: bool = False) -> State | None:
    """The state row, locked for this transaction; installed when it is new, paused if the job is
    paused in another zone. None: somebody else is committing on it right now (never with `wait`).
    Raises `SchemaOutdated`."""
    where = {"job": job, "zone": zone}
    query = _LOOK_WAITING if wait else _LOOK
    row = connection.execute(query, where).mappings().first()
    if row is None:
        if connection.execute(_INSTALL, where).rowcount == 0 and not wait:
            return None
        row = connection.execute(query, where).mappings().first()
    return None if row is None else State(_checked(row))


def take(
    connection: Connection, job: str, zone: str, run_id: UUID, holder: str, duration: timedelta
) -> int:
    """Takes the lease for a run and returns its fence. The state row must be locked by `look`."""
    values = {"job": job, "zone": zone, "run_id": run_id, "holder": holder, "lease": duration}
    return int(connection.execute(_TAKE, values).scalar_one())


def keep(
    connection: Connection,
    job: str,
    zone: str,
    run_id: UUID,
    fence: int,
    duration: timedelta = LEASE,
) -> None:
    """Renews the lease, or raises `LeaseLost`: nothing of this transaction may be committed."""
    values = {"job": job, "zone": zone, "run_id": run_id, "fence": fence, "lease": duration}
    held(connection.execute(_KEEP, values).scalar())


def held(row: object) -> None:
    """Raises `LeaseLost` when a statement that checks the fence found no row."""
    if row is None:
        raise LeaseLost("Un autre processus a repris cette exécution ; celui-ci s'arrête.")


def skip(connection: Connection, job: str, zone: str, through: datetime) -> None:
    """Covers slots that are not run. The state row must be locked by `look`, and nobody's."""
    connection.execute(_SKIP, {"job": job, "zone": zone, "through": through})


def lasting(deadline: Deadline) -> timedelta:
    """A lease for as long as the process can live: who delivers, or is on an
    errand, writes nothing to the run meanwhile."""
    return max(LEASE, timedelta(seconds=max(0.0, deadline.remaining())))


def _checked(row: Mapping[Any, Any]) -> Mapping[Any, Any]:
    from chalicelib.db.migrate import REQUIRED_LEDGER

    if (row["schema_version"] or "") < REQUIRED_LEDGER:
        raise SchemaOutdated(
            "Le schéma de la base est plus ancien que ce code : lancez `./ponctuel migrate`."
        )
    return row
