"""A real SIGKILL of a real process, at each step: nothing lost, nothing twice."""

from __future__ import annotations

import os
import random
import signal

import pytest

from chalicelib import jobs
from tests.harness import Deployment
from tests.reliability.child import POINTS, Point, run
from tests.reliability.conftest import CONCURRENCY, PointCounts, child_environment
from tests.reliability.scenarios import SCENARIOS, recover, verdict

# How many points of each sort the quick form tries; `make prove` tries many more.
DRAWS = int(os.environ.get("PONCTUEL_DRAWS", "2"))


def test_every_job_has_a_scenario() -> None:
    assert set(SCENARIOS) == set(jobs.NAMES)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("job", jobs.NAMES)
@pytest.mark.parametrize("draw", range(DRAWS))
def test_a_process_killed_at_any_step_loses_nothing_and_sends_nothing_twice(
    deployment: Deployment, point_counts: PointCounts, job: str, point: str, draw: int
) -> None:
    scenario = SCENARIOS[job]
    scenario.load(deployment)
    deployment.advance_to_slot()
    passes = point_counts(job)[point]
    if passes == 0:
        pytest.skip(f"{job} never passes {point}: it sends nothing")
    nth = random.Random(f"{job}/{point}/{draw}").randint(1, passes)
    code = run(child_environment(), job, at=Point(point, nth))
    assert code == -signal.SIGKILL, f"{point} {nth} was not reached"
    recover(deployment, job)
    found = verdict(deployment, scenario.expected)
    assert found.pop("uncertain", 0) <= CONCURRENCY, "only calls in flight may be uncertain"
    assert not found, (found, Point(point, nth))
