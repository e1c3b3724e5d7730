"""A real SIGKILL of a real process, at each step: nothing lost, nothing twice."""

from __future__ import annotations

import random

import pytest

from chalicelib import jobs
from tests.harness import Deployment
from tests.reliability import kill
from tests.reliability.points import like, passes
from tests.reliability.scenarios import SCENARIOS

SORTS = ("before:", "after:", "before_call", "inside_call", "after_call")


def test_every_job_has_a_scenario() -> None:
    assert set(SCENARIOS) == set(jobs.NAMES)


def test_followups_can_be_stopped_at_fourteen_points_or_more(deployment: Deployment) -> None:
    assert len(passes(deployment, "followups")) >= 14


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("job", jobs.NAMES)
@pytest.mark.parametrize("n", range(2))
def test_a_process_killed_at_any_step_loses_nothing_and_sends_nothing_twice(
    deployment: Deployment, job: str, sort: str, n: int
) -> None:
    draw = random.Random(f"{job}/{sort}/{n}")
    point = like(passes(deployment, job), sort, draw)
    if point is None:
        pytest.skip(f"{job} never passes {sort}: it sends nothing")
    found = kill.trial(deployment, job, point, draw)
    assert found.passed, (found, point)
