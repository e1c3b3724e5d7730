"""What is due for a job in a zone: an unfinished run first, then its slots."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from chalicelib.runner import lease, ledger
from chalicelib.runner.job import Job, Run, Step
from chalicelib.runner.lease import State
from chalicelib.runner.schedule import Schedule

# A rule may tick a little before the slot by the database's clock.
EARLY = timedelta(seconds=30)
# Deaths at one position before the batch is halved, or the item alone is put in quarantine.
DEATHS = 2

_UNFINISHED = text("""
SELECT r.status, r.step, r.position, r.attempt, r.batch_limit, r.now_at, r.operator,
       EXISTS (SELECT 1 FROM ponctuel.run_items i WHERE i.run_id = r.id AND i.step = r.step
                  AND i.position = r.position + 1) AS in_a_batch
  FROM ponctuel.runs r WHERE r.id = :id
""")

_QUARANTINE = text("""
INSERT INTO ponctuel.quarantine (job, step, business_id, item, run_id, at, reason)
SELECT :job, i.step, i.business_id, i.item, i.run_id, ponctuel.clock(), 'process_killed'
  FROM ponctuel.run_items i
 WHERE i.run_id = :run_id AND i.step = :step AND i.position = :position
ON CONFLICT (job, step, business_id, item)
   DO UPDATE SET run_id = excluded.run_id, at = excluded.at, released_at = NULL
""")

_QUARANTINE_ERROR = text("""
INSERT INTO ponctuel.run_errors (run_id, at, step, business_id, item, code, error)
SELECT i.run_id, ponctuel.clock(), i.step, i.business_id, i.item, 'quarantined',
       'Cet élément interrompt le traitement à chaque essai ; il est mis de côté.'
  FROM ponctuel.run_items i
 WHERE i.run_id = :run_id AND i.step = :step AND i.position = :position
""")

_SKIP_POSITION = text("UPDATE ponctuel.runs SET position = position + 1 WHERE id = :id")


@dataclass(frozen=True)
class Idle:
    """Nothing to do now. `why`: nothing_due, busy, paused, retry_later or too_late."""

    why: str


def acquire(
    connection: Connection,
    job: Job,
    zone: str,
    schedule: Schedule,
    *,
    holder: str,
    door: str = "schedule",
    hop: bool = False,
) -> Run | Idle:
    """Takes the lease on what is due, in the caller's transaction, which must then be committed.
    While the
       job is paused only a run that an operator asked for goes on.
    """
    state = lease.look(connection, job.name, zone)
    if state is None or state.busy:
        return Idle("busy")
    if state["run_id"] is not None:
        if state.waiting_to_retry:
            return Idle("retry_later")
        return _adopt(connection, job, zone, schedule, state, holder, hop)
    if state.paused:
        return Idle("paused")
    return _start(connection, job, zone, schedule, state, holder, door)


def _start(
    connection: Connection,
    job: Job,
    zone: str,
    schedule: Schedule,
    state: State,
    holder: str,
    door: str,
) -> Run | Idle:
    clock: datetime = state["clock"]
    due = schedule.due(state["covered_through"], clock + EARLY)
    if due is None:
        return Idle("nothing_due")
    now = max(clock, due.last)
    slots = {"slot_from": due.first, "slot_to": due.last, "now_at": now}
    if job.late_after is not None and clock - due.last > job.late_after:
        run_id = ledger.open_run(
            connection,
            job=job.name,
            zone=zone,
            door=door,
            status="skipped",
            **slots,
            error_code="too_late",
            error="Trop tard pour être utile : ce créneau n'est pas rejoué.",
        )
        fence = lease.take(connection, job.name, zone, run_id, holder)
        lease.cover(connection, job.name, zone, run_id, fence, due.last)
        return Idle("too_late")
    run_id = ledger.open_run(
        connection, job=job.name, zone=zone, door=door, status="running", **slots
    )
    fence = lease.take(connection, job.name, zone, run_id, holder)
    return Run(
        id=run_id,
        job=job.name,
        zone=zone,
        door=door,
        now=now,
        slot_from=due.first,
        slot_to=due.last,
        attempt=1,
        fence=fence,
    )


def _adopt(
    connection: Connection,
    job: Job,
    zone: str,
    schedule: Schedule,
    state: State,
    holder: str,
    hop: bool,
) -> Run | Idle:
    """Goes on with an unfinished run: queued, continued, or left by a process that died.

    A death in a batch narrows the batch; one outside of any batch counts as a failed attempt.
    """
    run_id: UUID = state["run_id"]
    left = connection.execute(_UNFINISHED, {"id": run_id}).mappings().one()
    if state.paused and not left["operator"]:
        return Idle("paused")
    died = left["status"] == "running"
    attempt, limit = int(left["attempt"]), left["batch_limit"]
    step = _step(job, left["step"]) if left["in_a_batch"] else None
    often = died and attempt >= DEATHS
    skip = False
    if often and step is not None:
        attempt, limit, skip = _narrow(attempt, limit, step)
    if skip:
        _set_aside(connection, job, run_id, left["step"], left["position"] + 1)
    slots = None
    now: datetime = state["clock"]
    if left["now_at"] is None:
        due = schedule.due(state["covered_through"], now + EARLY)
        if due is not None:
            now, slots = max(now, due.last), (due.first, due.last)
    fence = lease.take(connection, job.name, zone, run_id, holder)
    run = ledger.resume(
        connection,
        run_id,
        now=now,
        attempt=attempt + 1 if died and not skip else max(attempt, 1),
        batch_limit=limit,
        slots=slots,
        hop=hop,
        failed=often and step is None,
    )
    run.fence = fence
    return run


def _set_aside(connection: Connection, job: Job, run_id: UUID, step: str, position: int) -> None:
    """Puts the item that kills in quarantine, records it, and moves the cursor behind it."""
    where = {"job": job.name, "run_id": run_id, "step": step, "position": position}
    connection.execute(_QUARANTINE, where)
    connection.execute(_QUARANTINE_ERROR, where)
    connection.execute(_SKIP_POSITION, {"id": run_id})


def _narrow(attempt: int, limit: int | None, step: Step) -> tuple[int, int | None, bool]:
    """After too many deaths at one position: (attempt, batch limit, whether the item is skipped).

    The count starts again when the batch comes down to one item, so that an item is only blamed
    for what it did alone.
    """
    size = limit or step.batch
    if size > 1:
        smaller = size // 2
        return (0 if smaller == 1 else attempt), smaller, False
    return 0, None, True


def _step(job: Job, name: str | None) -> Step | None:
    return next((step for step in job.steps if step.name == name), None)
