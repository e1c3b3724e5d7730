"""Events that a handler did not ask for: nothing is written, and none of them makes it fail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from chalicelib import jobs
from chalicelib.runner.events import DOORS, envelope
from chalicelib.runner.request import request, request_dry_run
from tests.harness import Context, Deployment
from tests.reliability.scenarios import SCENARIOS, state_of

pytestmark = pytest.mark.parametrize("job", jobs.NAMES)

FOREIGN: dict[str, dict[str, Any]] = {
    "another source": {"source": "aws.ec2", "detail-type": "EC2 Instance State-change"},
    "a tick that is no tick": {"detail-type": "AWS API Call via CloudTrail"},
    "our name, another shape": {"source": "ponctuel", "detail-type": "Ponctuel Wake"},
    "a detail that is a text": {
        "source": "ponctuel",
        "detail-type": "Ponctuel Wake",
        "detail": "run_id=1",
    },
    "an unknown door": {
        "source": "ponctuel",
        "detail-type": "Ponctuel Wake",
        "detail": {"door": "back", "run_id": None},
    },
    "a run that is no number": {
        "source": "ponctuel",
        "detail-type": "Ponctuel Wake",
        "detail": {"door": "http", "run_id": "'; DROP TABLE ponctuel.runs; --"},
    },
    "nulls": {"source": None, "detail-type": None, "detail": None},
}


@pytest.fixture
def quiet(deployment: Deployment, job: str, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment with work to do, and no slot that is due."""
    monkeypatch.setenv("LOG_FORMAT", "json")
    SCENARIOS[job].load(deployment)
    for name in jobs.NAMES:
        deployment.execute(
            "UPDATE ponctuel.job_state SET covered_through = ponctuel.clock() + interval '1 hour' "
            "WHERE job = :job",
            job=name,
        )
    return deployment


def send(job: str, event: Mapping[str, Any]) -> Any:
    return jobs.module(job).handler(dict(event), Context())


def test_an_event_of_somebody_else_is_ignored_and_said_in_the_log(
    quiet: Deployment, job: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state_of(quiet)
    quiet.advance_to_slot()  # there is work due: a foreign event must not start it
    before["sandbox_clock"] = state_of(quiet)["sandbox_clock"]
    for change in FOREIGN.values():
        capsys.readouterr()
        assert send(job, envelope(job) | change) == {"job": job, "status": "ignored"}
        (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert (line["level"], line["message"]) == ("ERROR", "event_not_ours")
    assert state_of(quiet) == before


def test_a_truncated_envelope_is_refused_by_chalice_before_us(quiet: Deployment, job: str) -> None:
    """Chalice builds its CloudWatchEvent from the whole envelope, before any of our code."""
    before = state_of(quiet)
    for event in ({}, {"source": "aws.events"}):
        with pytest.raises(KeyError):
            send(job, event)
    assert state_of(quiet) == before


def test_a_tick_of_last_year_starts_nothing_that_is_not_due_now(
    quiet: Deployment, job: str
) -> None:
    before = state_of(quiet)
    send(job, envelope(job, now=datetime(2025, 3, 10, 9, tzinfo=UTC)))
    assert state_of(quiet) == before


def test_a_call_about_a_run_that_does_not_exist_starts_nothing(quiet: Deployment, job: str) -> None:
    before = state_of(quiet)
    for door in DOORS:
        send(job, envelope(job, door=door, run_id=uuid4()))
    assert state_of(quiet) == before


@pytest.mark.parametrize("rehearsal", [True, False])
def test_a_call_about_another_jobs_run_leaves_that_run_alone(
    quiet: Deployment, job: str, rehearsal: bool
) -> None:
    other = jobs.job(next(name for name in jobs.NAMES if name != job))
    ask = request_dry_run if rehearsal else request
    run_id: UUID = ask(quiet.database.engine(), other, other.zone, door="http")
    before = state_of(quiet)
    send(job, envelope(job, door="http", run_id=run_id))
    assert state_of(quiet) == before


def test_the_same_event_twice_has_one_effect(deployment: Deployment, job: str) -> None:
    scenario = SCENARIOS[job]
    scenario.load(deployment)
    deployment.advance_to_slot()
    event = envelope(job)
    send(job, event)
    before = state_of(deployment)
    send(job, event)
    assert state_of(deployment) == before
    assert not scenario.verify(deployment, scenario.expected)
