"""What every door does with a job: take what is due, execute it, go on while there is more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.errors import DatabaseUnavailable, LeaseLost, SettingsError
from chalicelib.runner import dry_run, lease, ledger
from chalicelib.runner.acquire import EARLY, Idle, Taker, acquire
from chalicelib.runner.bench import Bench, Work
from chalicelib.runner.closing import Ending, described
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.engine import execute
from chalicelib.runner.job import BUSINESS_ZONE, Job, Run
from chalicelib.runner.progress import Closed
from chalicelib.runner.schedule import Schedule

# Invocations that wake each other in a row; after them the ticks go on alone.
MAX_HOPS = 8


@dataclass(frozen=True)
class Result:
    """What was done in a zone: a run and the status it was left in, or why there was none."""

    zone: str
    status: str
    run_id: UUID | None = None


def zones(job: Job, bench: Bench) -> list[str]:
    """The zones in which the job's slots are computed now."""
    chosen = job.zone_on(bench.settings)
    if chosen != BUSINESS_ZONE:
        return [chosen]
    with transaction(bench.engine) as connection:
        found = connection.execute(
            text("SELECT DISTINCT zone FROM ponctuel.businesses WHERE active ORDER BY zone")
        )
        return [row[0] for row in found if row[0]]


def work(
    job: Job,
    bench: Bench,
    deadline: Deadline,
    *,
    door: str = "schedule",
    only: str | None = None,
) -> list[Result]:
    """Takes up everything due for the job, in all of its zones or in `only` one. Raises
    `DatabaseUnavailable` and `SchemaOutdated` when the ledger itself cannot be written."""
    results: list[Result] = []
    left = [only] if only else zones(job, bench)
    seen = set(left)
    while left:
        zone = left.pop(0)
        try:
            found, elsewhere = _zone(job, zone, bench, deadline, door)
        except SettingsError as error:
            # One business's unusable zone must not stop the others.
            logs.error("zone_unusable", job=job.name, error=error)
            results.append(Result(zone, "unusable_zone"))
            continue
        results += found
        if only is None:
            left += sorted(elsewhere - seen)
            seen |= elsewhere
    ended = {result.status for result in results if result.run_id is not None}
    if "continued" not in ended and (ended or door != "continuation") and deadline.near():
        # Whatever is left. A continuation that came to nothing wakes nobody: its time is too short.
        bench.trigger.wake(job.name, "continuation", None)
    return results


def _zone(
    job: Job, zone: str, bench: Bench, deadline: Deadline, door: str
) -> tuple[list[Result], set[str]]:
    """What was done in a zone, and the other zones in which a run of the job is unfinished."""
    schedule = job.schedule_in(zone, bench.settings)
    per_business = job.zone_on(bench.settings) == BUSINESS_ZONE
    # A job without steps only delivers.
    duration = lease.LEASE if job.steps else lease.lasting(deadline)
    taker = Taker(bench.holder, door, duration)
    results: list[Result] = []
    elsewhere: set[str] = set()
    while not deadline.near():
        with transaction(bench.engine) as connection:
            acquired = acquire(connection, job, zone, schedule, taker)
        elsewhere |= set(acquired.elsewhere)
        run = acquired.found
        if isinstance(run, Idle):
            return results or [Result(zone, run.why)], elsewhere
        run.businesses_in = zone if per_business else None
        ending = _execute(job, run, bench, deadline)
        results.append(Result(zone, ending.status, run.id))
        if ending.status == "continued" and not run.failures and run.hops < MAX_HOPS:
            bench.trigger.wake(job.name, "continuation", run.id)
        if ending.closed is None or not _more(ending.closed, schedule):
            break
    return results, elsewhere


def _more(closed: Closed, schedule: Schedule) -> bool:
    """Whether something is due right after a run: another run that was asked for, or a slot."""
    due = schedule.due(closed.covered_through, closed.clock + EARLY)
    return closed.following is not None or due is not None


def _execute(job: Job, run: Run, bench: Bench, deadline: Deadline) -> Ending:
    with logs.bind(job=job.name, run_id=str(run.id)):
        try:
            return execute(Work(job, bench, deadline), run)
        except LeaseLost:
            logs.warning("lease_lost")
            return Ending("lost")


# A dry run whose process died is taken again once that process must be dead.
_TAKE_REHEARSAL = text("""
UPDATE ponctuel.runs SET status = 'running', started_at = ponctuel.clock()
 WHERE id = :id AND job = :job AND dry_run AND (status = 'queued'
       OR (status = 'running' AND started_at < ponctuel.clock() - CAST(:longest AS interval)))
RETURNING *, coalesce(as_of, ponctuel.clock()) AS chosen
""")
_IS_REHEARSAL = text("SELECT dry_run FROM ponctuel.runs WHERE id = :id")


def rehearse(job: Job, run_id: UUID, bench: Bench) -> str:
    """Executes a queued dry run; its only writes are to its own row. Returns its status, `lost`
    when another process has taken it or it is another job's, `real` when it is no dry run."""
    longest = timedelta(seconds=job.timeout_s)
    with transaction(bench.engine) as connection:
        taken = connection.execute(
            _TAKE_REHEARSAL, {"id": run_id, "job": job.name, "longest": longest}
        )
        row = taken.mappings().first()
        if row is None:
            is_dry = connection.execute(_IS_REHEARSAL, {"id": run_id}).scalar()
            return "lost" if is_dry else "real"
    run = ledger.as_run(dict(row) | {"now_at": row["chosen"]})
    run.businesses_in = run.zone if job.zone_on(bench.settings) == BUSINESS_ZONE else None
    try:
        report = dry_run.preview(bench.engine, job, run)
    except DatabaseUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - the runner is where every failure is recorded
        logs.error("dry_run_failed", job=job.name, run_id=str(run_id), error=error)
        code, message = described(error)
        with transaction(bench.engine) as connection:
            ledger.close_rehearsal(connection, run, "failed", error_code=code, error=message)
        return "failed"
    run.counts = dry_run.counted(report)
    with transaction(bench.engine) as connection:
        ledger.close_rehearsal(connection, run, "succeeded", report=report)
    return "succeeded"
