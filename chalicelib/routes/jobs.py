"""Jobs: when each last ran and next runs, pause and resume."""

from __future__ import annotations

from typing import Any

from chalicelib import jobs, logs
from chalicelib.errors import BadRequest
from chalicelib.routes.answers import Answer, plain, timestamp
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route
from chalicelib.routes.start import LONGEST_REASON, bench, reason_of
from chalicelib.runner import request
from chalicelib.runner.job import Job
from chalicelib.runner.overview import overview, zones_to_resume
from chalicelib.runner.work import zones


def list_jobs(call: Call) -> Answer:
    found = _described(call, [jobs.job(name) for name in jobs.NAMES])
    return Answer({"success": True, "jobs": found})


def pause(call: Call) -> Answer:
    body = call.json()
    if unknown := sorted(body.keys() - {"reason"}):
        raise BadRequest(f"Champ inconnu : {unknown[0][:60]}. Il y a : reason.")
    job = jobs.job(call.parameters["job"])
    reason = reason_of(body)
    paused = zones(job, bench(call))
    request.pause(call.engine, job, paused, by=_operator(call), reason=reason)
    logs.warning("job_paused", job=job.name)
    sentence = f"{job.title} : en pause. Rien ne s'exécute jusqu'à la reprise."
    return _after(call, job, paused, sentence)


def resume(call: Call) -> Answer:
    job = jobs.job(call.parameters["job"])
    resumed = zones_to_resume(bench(call), job)
    request.resume(call.engine, job, resumed)
    logs.info("job_resumed", job=job.name)
    sentence = f"{job.title} : repris. Le prochain passage rattrape ce qui a été manqué."
    return _after(call, job, resumed, sentence)


def _after(call: Call, job: Job, changed: list[str], sentence: str) -> Answer:
    (found,) = _described(call, [job])
    body = {"success": True, "message": sentence, "timestamp": timestamp()}
    return Answer({**body, "job": found, "zones": changed})


def _operator(call: Call) -> str:
    return call.caller.kind if call.caller else ""


def _described(call: Call, asked: list[Job]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = plain(overview(bench(call), asked))
    for job in found:
        if job["lastRun"] is not None:
            job["lastRun"]["statusUrl"] = call.link(f"/runs/{job['lastRun']['runId']}")
    return found


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
