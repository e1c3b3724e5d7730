"""A real SIGKILL of a real process, at each step: nothing lost, nothing twice."""

from __future__ import annotations

import random

import pytest

from chalicelib import jobs
from tests.harness import Deployment
from tests.reliability import kill
from tests.reliability.points import like, passes
from tests.reliability.sample import dealt
from tests.reliability.scenarios import SCENARIOS

OF_CALLS = ("before_call", "inside_call", "after_call")
SORTS = ("before:", "after:", *OF_CALLS)


def test_every_job_has_a_scenario() -> None:
    assert set(SCENARIOS) == set(jobs.NAMES)


def test_followups_can_be_stopped_at_fourteen_points_or_more(deployment: Deployment) -> None:
    assert len(passes(deployment, "followups")) >= 14


@pytest.mark.parametrize(("job", "sort"), dealt(SORTS, each=2, of_calls=OF_CALLS))
def test_a_process_killed_at_any_step_loses_nothing_and_sends_nothing_twice(
    deployment: Deployment, job: str, sort: str
) -> None:
    draw = random.Random(f"{job}/{sort}")
    point = like(passes(deployment, job), sort, draw)
    assert point, f"{job} never passes {sort}"
    found = kill.trial(deployment, job, point, draw)
    assert found.passed, (found, point)
