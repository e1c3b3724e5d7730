"""What is due for a job in a zone: an unfinished run first, then its slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from chalicelib.runner import lease, ledger, progress
from chalicelib.runner.job import Errand, Job, Run, Step
from chalicelib.runner.lease import State
from chalicelib.runner.schedule import Schedule

# A rule may tick a little before the slot by the database's clock.
EARLY = timedelta(seconds=30)
# Deaths at one position before the batch is halved, or the item alone is put in quarantine.
DEATHS = 2

_UNFINISHED = text("""
SELECT r.status, r.step, r.position, r.attempt, r.batch_limit, r.now_at, r.operator,
       (SELECT count(*) FROM ponctuel.run_items i WHERE i.run_id = r.id AND i.step = r.step
           AND i.position > r.position) AS items_left
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


@dataclass(frozen=True)
class Acquired:
    """What was found for a job in a zone, and the other zones in which it has an unfinished run:
    somebody changed the job's zone."""

    found: Run | Idle
    elsewhere: Sequence[str] = ()


@dataclass(frozen=True)
class Taker:
    """Who takes the lease, through which door (`hop`: as a continuation), and for how long."""

    holder: str
    door: str = "schedule"
    duration: timedelta = lease.LEASE

    @property
    def hop(self) -> bool:
        return self.door == "continuation"


def acquire(
    connection: Connection, job: Job, zone: str, schedule: Schedule, taker: Taker
) -> Acquired:
    """Takes the lease on what is due, in the caller's transaction, which must then be committed.
    While the job is paused only a run that an operator asked for goes on. Raises `SchemaOutdated`.
    """
    state = lease.look(connection, job.name, zone)
    if state is None:
        return Acquired(Idle("busy"))
    return Acquired(_take(connection, job, zone, schedule, state, taker), state["elsewhere"])


def _take(
    connection: Connection, job: Job, zone: str, schedule: Schedule, state: State, taker: Taker
) -> Run | Idle:
    if state.busy:
        return Idle("busy")
    if state["run_id"] is not None:
        if state.waiting_to_retry:
            return Idle("retry_later")
        return _adopt(connection, job, zone, schedule, state, taker)
    if state.paused:
        return Idle("paused")
    return _start(connection, job, zone, schedule, state, taker)


def _start(
    connection: Connection, job: Job, zone: str, schedule: Schedule, state: State, taker: Taker
) -> Run | Idle:
    clock: datetime = state["clock"]
    due = schedule.due(state["covered_through"], clock + EARLY)
    if due is None:
        return Idle("nothing_due")
    now = max(clock, due.last)
    if job.late_after is not None and clock - due.last > job.late_after:
        ledger.open_run(
            connection,
            job=job.name,
            zone=zone,
            door=taker.door,
            status="skipped",
            slot_from=due.first,
            slot_to=due.last,
            now_at=now,
            error_code="too_late",
            error="Trop tard pour être utile : ce créneau n'est pas rejoué.",
        )
        lease.skip(connection, job.name, zone, due.last)
        return Idle("too_late")
    return progress.begin(
        connection,
        job.name,
        zone,
        door=taker.door,
        holder=taker.holder,
        now=now,
        slots=(due.first, due.last),
        duration=taker.duration,
    )


def _adopt(
    connection: Connection, job: Job, zone: str, schedule: Schedule, state: State, taker: Taker
) -> Run | Idle:
    """Goes on with an unfinished run: queued, continued, or left by a process that died.

    A death in a batch narrows the batch; one outside of any batch counts as a failed attempt.
    """
    run_id: UUID = state["run_id"]
    left = connection.execute(_UNFINISHED, {"id": run_id}).mappings().one()
    if state.paused and not left["operator"]:
        return Idle("paused")
    died = left["status"] == "running"
    too_often = died and left["attempt"] >= DEATHS
    step = _step(job, left["step"]) if left["items_left"] else None
    if step is not None and isinstance(step.effect, Errand):
        step = None  # it has leases on its items, and finds the one at fault itself
    after = _After(int(left["attempt"]) + died, left["batch_limit"])
    if too_often and step is not None:
        size = min(left["batch_limit"] or step.batch, left["items_left"])
        after = _narrowed(after, size)
    if after.set_aside:
        _set_aside(connection, job, run_id, left["step"], left["position"] + 1)
    slots = None
    now: datetime = state["clock"]
    if left["now_at"] is None:
        due = schedule.due(state["covered_through"], now + EARLY)
        if due is not None:
            now, slots = max(now, due.last), (due.first, due.last)
    fence = lease.take(connection, job.name, zone, run_id, taker.holder, taker.duration)
    run = ledger.resume(
        connection,
        run_id,
        now=now,
        attempt=max(after.attempt, 1),
        batch_limit=after.batch_limit,
        slots=slots,
        hop=taker.hop,
        failed=too_often and step is None,
    )
    run.fence = fence
    return run


@dataclass(frozen=True)
class _After:
    """How a run is taken up: at which attempt, in what batches, and without the next item."""

    attempt: int
    batch_limit: int | None
    set_aside: bool = False


def _narrowed(after: _After, size: int) -> _After:
    """After too many deaths in a batch of that size: half of it; an item that was alone is set
    aside. The count starts again when the batch comes down to one item, so that an item is only
    blamed for what it did alone."""
    if size == 1:
        return _After(1, None, set_aside=True)
    smaller = size // 2
    return _After(1 if smaller == 1 else after.attempt, smaller)


def _set_aside(connection: Connection, job: Job, run_id: UUID, step: str, position: int) -> None:
    """Puts the item that kills in quarantine, records it, and moves the cursor behind it."""
    where = {"job": job.name, "run_id": run_id, "step": step, "position": position}
    connection.execute(_QUARANTINE, where)
    connection.execute(_QUARANTINE_ERROR, where)
    connection.execute(_SKIP_POSITION, {"id": run_id})


def _step(job: Job, name: str | None) -> Step | None:
    return next((step for step in job.steps if step.name == name), None)
