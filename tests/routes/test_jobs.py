"""The list of jobs, pause and resume."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import jobs
from tests.routes.doors import Door


def followups(door: Door) -> dict[str, Any]:
    reply = door.get("/jobs")
    assert reply.status == 200
    found: dict[str, Any] = next(job for job in reply.json()["jobs"] if job["name"] == "followups")
    return found


def test_every_job_is_listed_with_its_schedule_and_next_slot(door: Door) -> None:
    listed = door.get("/jobs").json()["jobs"]
    assert [job["name"] for job in listed] == list(jobs.NAMES)
    found = followups(door)
    assert (found["schedule"], found["zone"]) == ("0 * * * *", "Europe/Paris")
    (state,) = found["states"]
    assert state["nextSlot"] == "2026-03-10T10:00:00.000Z"
    assert found["lastRun"] is None


def test_a_job_s_last_run_is_shown_and_a_rehearsal_is_no_run(door: Door) -> None:
    run = door.post("/jobs/followups/runs").json()
    door.post("/jobs/followups/runs", {"dry_run": True})
    last = followups(door)["lastRun"]
    assert last["runId"] == run["runId"]
    assert last["status"] == "succeeded"


def test_a_schedule_set_for_the_stage_is_the_one_shown(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEDULE_FOLLOWUPS", "*/30 * * * *")
    found = followups(door)
    assert found["schedule"] == "*/30 * * * *"
    (state,) = found["states"]
    assert state["nextSlot"] == "2026-03-10T09:30:00.000Z"


def test_a_pause_is_shown_with_its_reason_until_the_job_is_resumed(door: Door) -> None:
    paused = door.post("/jobs/followups/pause", {"reason": "inventaire"}).json()
    assert paused["job"]["paused"] is True
    (state,) = followups(door)["states"]
    assert (state["pauseReason"], state["pausedBy"]) == ("inventaire", "bearer")
    assert state["pausedAt"].startswith("2026-03-10T09:00")
    resumed = door.post("/jobs/followups/resume").json()
    assert (resumed["success"], resumed["job"]["paused"]) == (True, False)
    assert followups(door)["paused"] is False


@pytest.mark.parametrize("body", [None, {}, {"reason": "  "}, {"reason": "x", "until": "demain"}])
def test_a_pause_without_a_reason_or_with_more_than_that_is_400(door: Door, body: object) -> None:
    assert door.post("/jobs/followups/pause", body).status == 400
    assert followups(door)["paused"] is False
