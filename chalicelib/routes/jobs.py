"""Jobs: when each last ran and next runs, pause and resume."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from chalicelib import jobs, logs
from chalicelib.db.engine import transaction
from chalicelib.errors import BadRequest, SettingsError
from chalicelib.routes.answers import Answer, timestamp
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route
from chalicelib.routes.start import LONGEST_REASON, bench, reason_of
from chalicelib.runner import request
from chalicelib.runner.job import Job
from chalicelib.runner.work import zones

_STATES = text("""
SELECT s.*, s.lease_until > ponctuel.clock() AS busy, ponctuel.clock() AS clock
  FROM ponctuel.job_state s WHERE s.job = ANY(CAST(:jobs AS text[])) ORDER BY s.job, s.zone
""")

_LAST_RUNS = text("""
SELECT r.job, r.id, r.status, r.door, r.counts, r.error, r.created_at, r.finished_at
  FROM unnest(CAST(:jobs AS text[])) AS j(job)
 CROSS JOIN LATERAL (SELECT * FROM ponctuel.runs r WHERE r.job = j.job AND NOT r.dry_run
                      ORDER BY r.number DESC LIMIT 1) r
""")


def list_jobs(call: Call) -> Answer:
    with transaction(call.engine) as connection:
        found = _described(call, connection, list(jobs.NAMES))
    return Answer({"success": True, "jobs": found})


def pause(call: Call) -> Answer:
    body = call.json()
    if unknown := sorted(body.keys() - {"reason"}):
        raise BadRequest(f"Champ inconnu : {unknown[0][:60]}. Il y a : reason.")
    job = jobs.job(call.parameters["job"])
    request.pause(
        call.engine, job, zones(job, bench(call)), by=_operator(call), reason=reason_of(body)
    )
    logs.warning("job_paused", job=job.name)
    return _after(call, job, f"{job.title} : en pause. Rien ne s'exécute jusqu'à la reprise.")


def resume(call: Call) -> Answer:
    job = jobs.job(call.parameters["job"])
    request.resume(call.engine, job, zones(job, bench(call)))
    logs.info("job_resumed", job=job.name)
    sentence = f"{job.title} : repris. Le prochain passage rattrape ce qui a été manqué."
    return _after(call, job, sentence)


def _after(call: Call, job: Job, sentence: str) -> Answer:
    with transaction(call.engine) as connection:
        found = _described(call, connection, [job.name])
    return Answer({"success": True, "message": sentence, "timestamp": timestamp(), "job": found[0]})


def _operator(call: Call) -> str:
    return call.caller.kind if call.caller else ""


def _described(call: Call, connection: Connection, names: list[str]) -> list[dict[str, Any]]:
    states = defaultdict(list)
    for row in connection.execute(_STATES, {"jobs": names}).mappings():
        states[row["job"]].append(row)
    found = connection.execute(_LAST_RUNS, {"jobs": names}).mappings()
    last = {row["job"]: row for row in found}
    return [_job(call, jobs.job(name), states[name], last.get(name)) for name in names]


def _job(call: Call, job: Job, states: list[Any], last: Mapping[Any, Any] | None) -> dict[str, Any]:
    return {
        "name": job.name,
        "title": job.title,
        "schedule": call.settings.schedule_for(job.name) or job.schedule,
        "zone": job.zone_on(call.settings),
        "paused": any(state["paused_at"] is not None for state in states),
        "states": [_state(call, job, state) for state in states],
        "lastRun": None if last is None else _last(call, last),
    }


def _state(call: Call, job: Job, state: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "zone": state["zone"],
        "coveredThrough": timestamp(state["covered_through"]),
        "nextSlot": _next_slot(call, job, state["zone"], state["clock"]),
        "running": bool(state["busy"]),
        "unfinishedRunId": str(state["run_id"]) if state["run_id"] else None,
        "rerunId": str(state["rerun_id"]) if state["rerun_id"] else None,
        "retryAt": timestamp(state["retry_at"]) if state["retry_at"] else None,
        "pausedAt": timestamp(state["paused_at"]) if state["paused_at"] else None,
        "pausedBy": state["paused_by"],
        "pauseReason": state["pause_reason"],
    }


def _next_slot(call: Call, job: Job, zone: str, now: datetime) -> str | None:
    try:
        return timestamp(job.schedule_in(zone, call.settings).next_after(now))
    except SettingsError:
        return None  # a zone or a schedule that cannot be used: `./ponctuel check` says which


def _last(call: Call, row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "runId": str(row["id"]),
        "status": row["status"],
        "door": row["door"],
        "counts": row["counts"],
        "error": row["error"],
        "createdAt": timestamp(row["created_at"]),
        "finishedAt": timestamp(row["finished_at"]) if row["finished_at"] else None,
        "statusUrl": call.link(f"/runs/{row['id']}"),
    }


ROUTES = (
    Route(
        "/jobs",
        ("GET",),
        list_jobs,
        summary="Every job: schedule, last run, next slot, pause.",
        responses={200: "The jobs."},
    ),
    Route(
        "/jobs/{job}/pause",
        ("POST",),
        pause,
        summary="Blocks a job's ticks and calls, and holds its planned messages.",
        body={"reason": {"type": "string", "maxLength": LONGEST_REASON}},
        responses={
            200: "Paused.",
            400: "A reason is needed: a colleague will read it.",
            404: "There is no such job.",
        },
    ),
    Route(
        "/jobs/{job}/resume",
        ("POST",),
        resume,
        summary="Ends a pause: the next tick covers what was missed, in one run.",
        responses={200: "Resumed.", 404: "There is no such job."},
    ),
)
