"""The jobs as an operator sees them: schedule, state per zone, last run, next slots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from chalicelib.db.engine import transaction
from chalicelib.errors import SettingsError
from chalicelib.runner.bench import Bench
from chalicelib.runner.job import Job
from chalicelib.runner.schedule import Schedule
from chalicelib.runner.work import zones

NEXT = 3

_CLOCK = text("SELECT ponctuel.clock()")
_STATES = text("""
SELECT s.job, s.zone, s.covered_through, s.lease_until > ponctuel.clock() AS running,
       s.run_id AS unfinished_run_id, s.rerun_id, s.retry_at, s.paused_at, s.paused_by,
       s.pause_reason, r.id AS last_run_id, r.number, r.status, r.started_at, r.finished_at
  FROM ponctuel.job_state s
  LEFT JOIN LATERAL (SELECT * FROM ponctuel.runs
                      WHERE job = s.job AND zone = s.zone AND NOT dry_run AND status <> 'queued'
                      ORDER BY number DESC LIMIT 1) r ON true
 WHERE s.job = ANY(CAST(:jobs AS text[])) ORDER BY s.job, s.zone
""")
_LAST_RUNS = text("""
SELECT r.job, r.id AS run_id, r.status, r.door, r.counts, r.error, r.created_at, r.finished_at
  FROM unnest(CAST(:jobs AS text[])) AS j(job)
 CROSS JOIN LATERAL (SELECT * FROM ponctuel.runs r WHERE r.job = j.job AND NOT r.dry_run
                      ORDER BY r.number DESC LIMIT 1) r
""")
_KNOWN = text("SELECT zone FROM ponctuel.job_state WHERE job = :job")
_OF_STATE = (
    "covered_through",
    "running",
    "unfinished_run_id",
    "rerun_id",
    "retry_at",
    "paused_at",
    "paused_by",
    "pause_reason",
)


def overview(bench: Bench, asked: Sequence[Job]) -> list[dict[str, Any]]:
    """One dict per job: `name`, `title`, `schedule` (five fields), `zone`, `paused`, `last_run`
    (the newest of any zone) and `states`, one per zone in use, with its `last_run` and its next
    slots (aware UTC). A zone that is no longer in use is listed while it is paused or has a run to
    finish. What an unusable setting leaves unknown has an `error` instead, so that one job's does
    not hide the others. Raises `DatabaseUnavailable`."""
    in_use: dict[str, list[str]] = {}
    errors: dict[str, str] = {}
    for job in asked:
        try:
            in_use[job.name] = zones(job, bench)
            bench.settings.schedule_for(job.name)
        except SettingsError as error:
            errors[job.name] = str(error)
    names = {"jobs": [job.name for job in asked]}
    with transaction(bench.engine) as connection:
        now: datetime = connection.execute(_CLOCK).scalar_one()
        states = [dict(row) for row in connection.execute(_STATES, names).mappings()]
        last = {
            row["job"]: {name: row[name] for name in row if name != "job"}
            for row in connection.execute(_LAST_RUNS, names).mappings()
        }
    found = []
    for job in asked:
        own = {row["zone"]: row for row in states if row["job"] == job.name}
        left = [zone for zone, row in own.items() if row["paused_at"] or row["unfinished_run_id"]]
        usable = job.name not in errors
        listed = sorted({*in_use.get(job.name, ()), *left}) if usable else []
        found.append(
            {
                "name": job.name,
                "title": job.title,
                "schedule": bench.settings.schedule_for(job.name) or job.schedule
                if usable
                else job.schedule,
                "zone": job.zone_on(bench.settings) if usable else job.zone,
                "paused": any(row["paused_at"] is not None for row in own.values()),
                "states": [_state(bench, job, zone, own.get(zone, {}), now) for zone in listed],
                "last_run": last.get(job.name),
                **({} if usable else {"error": errors[job.name]}),
            }
        )
    return found


def zones_to_resume(bench: Bench, job: Job) -> list[str]:
    """The job's zones; one that no business is in any more may have been left in pause."""
    in_use = zones(job, bench)
    with transaction(bench.engine) as connection:
        return sorted({*in_use, *connection.execute(_KNOWN, {"job": job.name}).scalars()})


def _state(
    bench: Bench, job: Job, zone: str, row: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    state: dict[str, Any] = {"zone": zone} | {name: row.get(name) for name in _OF_STATE}
    state["running"] = bool(state["running"])
    try:
        state["next_slots"] = _next_slots(job.schedule_in(zone, bench.settings), now)
    except SettingsError as error:
        state |= {"next_slots": [], "error": str(error)}
    state["next_slot"] = next(iter(state["next_slots"]), None)
    state["last_run"] = (
        {"run_id": row["last_run_id"]}
        | {name: row[name] for name in ("number", "status", "started_at", "finished_at")}
        if row.get("last_run_id")
        else None
    )
    return state


def _next_slots(schedule: Schedule, now: datetime) -> list[datetime]:
    slots = []
    for _ in range(NEXT):
        now = schedule.next_after(now)
        slots.append(now)
    return slots
