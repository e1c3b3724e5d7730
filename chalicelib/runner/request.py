"""Asking for a run by hand: through HTTP, the command line or an orchestrator.

The call only records the run; the job's own process does the work. During a run, one run more is
recorded, which follows it, and every caller meanwhile gets that one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from chalicelib.db.engine import transaction
from chalicelib.errors import BadRequest, NotFound
from chalicelib.runner import lease, ledger
from chalicelib.runner.job import Job

_RERUN = text("UPDATE ponctuel.job_state SET rerun_id = :id WHERE job = :job AND zone = :zone")
_QUEUE = text("UPDATE ponctuel.job_state SET run_id = :id WHERE job = :job AND zone = :zone")
# A second caller may want more of the run that both are waiting for.
_WIDEN = text("""
UPDATE ponctuel.runs SET force = force OR :force, operator = operator OR :operator
 WHERE id = :id AND status = 'queued'
""")
# In every zone, those no longer in use included: a zone that comes later takes its pause from them.
_PAUSE = text("""
UPDATE ponctuel.job_state
   SET paused_at = coalesce(paused_at, ponctuel.clock()), paused_by = :by, pause_reason = :reason
 WHERE job = :job
""")
_RESUME = text("""
UPDATE ponctuel.job_state SET paused_at = NULL, paused_by = NULL, pause_reason = NULL
 WHERE job = :job
""")


def request(
    engine: Engine,
    job: Job,
    zone: str,
    *,
    door: str,
    by: str = "",
    reason: str = "",
    force: bool = False,
    operator: bool = False,
) -> UUID:
    """Records a run and returns its id. A paused job's run is recorded as *skipped*, unless the
    caller is an operator. A queued run that has not begun is the answer to a second call."""
    fields: dict[str, Any] = {
        "door": door,
        "requested_by": by[:200],
        "reason": reason[:500],
        "force": force,
        "operator": operator,
    }
    with transaction(engine) as connection:
        state = lease.look(connection, job.name, zone, wait=True)
        assert state is not None
        if state.paused and not operator:
            why = state["pause_reason"] or "sans raison indiquée"
            return ledger.open_run(
                connection,
                job=job.name,
                zone=zone,
                status="skipped",
                error_code="paused",
                error=f"Job en pause ({why}) ; reprenez-le pour qu'il s'exécute.",
                **fields,
            )
        if state["run_id"] is None:
            run_id = ledger.open_run(connection, job=job.name, zone=zone, status="queued", **fields)
            connection.execute(_QUEUE, {"id": run_id, "job": job.name, "zone": zone})
            return run_id
        waiting: UUID | None = state["rerun_id"]
        if waiting is None and _begun(connection, state["run_id"]):
            waiting = ledger.open_run(
                connection, job=job.name, zone=zone, status="queued", **fields
            )
            connection.execute(_RERUN, {"id": waiting, "job": job.name, "zone": zone})
        following: UUID = waiting or state["run_id"]
        connection.execute(_WIDEN, {"id": following, "force": force, "operator": operator})
        return following


def request_dry_run(
    engine: Engine,
    job: Job,
    zone: str,
    *,
    door: str,
    by: str = "",
    reason: str = "",
    force: bool = False,
    as_of: datetime | None = None,
) -> UUID:
    """Records a dry run, which waits for nobody. `as_of` is aware."""
    if as_of is not None and as_of.tzinfo is None:
        raise BadRequest(
            "as_of n'a pas de fuseau horaire : écrivez par exemple 2026-03-10T10:00:00+01:00."
        )
    with transaction(engine) as connection:
        return ledger.open_run(
            connection,
            job=job.name,
            zone=zone,
            door=door,
            status="queued",
            dry_run=True,
            as_of=as_of,
            force=force,
            requested_by=by[:200],
            reason=reason[:500],
        )


def pause(engine: Engine, job: Job, zones: list[str], *, by: str, reason: str) -> None:
    """Blocks ticks, orchestrators and compatibility calls, and holds the job's planned messages.
    `reason` is what a colleague will read: it is needed."""
    if not reason.strip():
        raise BadRequest("Donnez la raison de la pause : un collègue la lira.")
    _on_states(engine, job, zones, by=by[:200], reason=reason[:500])


def resume(engine: Engine, job: Job, zones: list[str]) -> None:
    """Ends the pause: the next tick covers in one run what was missed."""
    _on_states(engine, job, zones)


def _on_states(engine: Engine, job: Job, zones: list[str], **values: str) -> None:
    with transaction(engine) as connection:
        for zone in zones:
            lease.look(connection, job.name, zone, wait=True)
        connection.execute(_PAUSE if values else _RESUME, {"job": job.name} | values)


def run_or_raise(engine: Engine, run_id: UUID) -> dict[str, object]:
    """The run's row, with its errors. Raises `NotFound`."""
    with transaction(engine) as connection:
        row = ledger.read(connection, run_id)
    if row is None:
        raise NotFound("Aucune exécution ne porte ce numéro.")
    return row


def _begun(connection: Connection, run_id: UUID) -> bool:
    return bool(
        connection.execute(
            text("SELECT status <> 'queued' FROM ponctuel.runs WHERE id = :id"), {"id": run_id}
        ).scalar()
    )
