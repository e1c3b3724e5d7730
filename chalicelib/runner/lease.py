"""The state row of a job and zone: who works, until when, what is unfinished.

A lease is a row, not an advisory lock, so that it survives poolers and dies by the clock. Its fence
grows with each lease; every transaction of a run ends with `keep`, which checks it and locks the
row until the commit, so whoever lost the lease can commit nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from chalicelib.errors import LeaseLost, SchemaOutdated

# Longer than the longest statement; should a transaction outlive it, the fence still decides.
LEASE = timedelta(seconds=120)

_LOOK = text("""
SELECT s.*, ponctuel.clock() AS clock,
       (SELECT max(version_num) FROM ponctuel.schema_versions
         WHERE version_num LIKE 'ledger%') AS schema_version
  FROM ponctuel.job_state s WHERE s.job = :job AND s.zone = :zone
   FOR UPDATE OF s SKIP LOCKED
""")

_LOOK_WAITING = text(_LOOK.text.replace("SKIP LOCKED", ""))

_INSTALL = text("""
INSERT INTO ponctuel.job_state (job, zone, covered_through)
VALUES (:job, :zone, ponctuel.clock()) ON CONFLICT DO NOTHING
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

_RELEASE = text("""
UPDATE ponctuel.job_state
   SET lease_holder = NULL, lease_until = NULL, retry_at = ponctuel.clock() + :wait
 WHERE job = :job AND zone = :zone AND fence = :fence AND run_id = :run_id
RETURNING 1
""")

_COVER = text("""
UPDATE ponctuel.job_state
   SET covered_through = greatest(covered_through, :through), lease_holder = NULL,
       lease_until = NULL, retry_at = NULL, run_id = rerun_id, rerun_id = NULL
 WHERE job = :job AND zone = :zone AND fence = :fence AND run_id = :run_id
RETURNING run_id
""")


class State(dict[str, Any]):
    """A row of `job_state`, with the database's `clock`."""

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
    """The state row, locked for this transaction; installed when it is new. None: somebody else is
    committing on it right now (never with `wait`). Raises `SchemaOutdated`."""
    where = {"job": job, "zone": zone}
    query = _LOOK_WAITING if wait else _LOOK
    row = connection.execute(query, where).mappings().first()
    if row is None:
        if connection.execute(_INSTALL, where).rowcount == 0 and not wait:
            return None
        row = connection.execute(query, where).mappings().first()
    return None if row is None else State(_checked(row))


def take(connection: Connection, job: str, zone: str, run_id: UUID, holder: str) -> int:
    """Takes the lease for a run and returns its fence. The state row must be locked by `look`."""
    return int(
        connection.execute(
            _TAKE, {"job": job, "zone": zone, "run_id": run_id, "holder": holder, "lease": LEASE}
        ).scalar_one()
    )


def keep(
    connection: Connection,
    job: str,
    zone: str,
    run_id: UUID,
    fence: int,
    duration: timedelta = LEASE,
) -> None:
    """Renews the lease, or raises `LeaseLost`: nothing of this transaction may be committed."""
    _held(connection.execute(_KEEP, _of(job, zone, run_id, fence) | {"lease": duration}).scalar())


def release(
    connection: Connection, job: str, zone: str, run_id: UUID, fence: int, wait: timedelta
) -> None:
    """Gives the lease back with the run unfinished: any tick adopts it once `wait` has passed."""
    _held(connection.execute(_RELEASE, _of(job, zone, run_id, fence) | {"wait": wait}).scalar())


def cover(
    connection: Connection, job: str, zone: str, run_id: UUID, fence: int, through: datetime
) -> UUID | None:
    """Closes the run: its slots are covered. Returns the run that was asked for meanwhile."""
    row = connection.execute(
        _COVER, _of(job, zone, run_id, fence) | {"through": through}
    ).one_or_none()
    _held(row)
    assert row is not None
    following: UUID | None = row[0]
    return following


def _of(job: str, zone: str, run_id: UUID, fence: int) -> dict[str, Any]:
    return {"job": job, "zone": zone, "run_id": run_id, "fence": fence}


def _held(row: object) -> None:
    if row is None:
        raise LeaseLost("Un autre processus a repris cette exécution ; celui-ci s'arrête.")


def _checked(row: Mapping[Any, Any]) -> Mapping[Any, Any]:
    from chalicelib.db.migrate import REQUIRED_LEDGER

    if (row["schema_version"] or "") < REQUIRED_LEDGER:
        raise SchemaOutdated(
            "Le schéma de la base est plus ancien que ce code : lancez `./ponctuel migrate`."
        )
    return row
