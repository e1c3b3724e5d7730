"""A process that stops, is given up, and wakes: it writes nothing and sends nothing."""

from __future__ import annotations

import random

import pytest

from chalicelib import jobs
from tests.harness import Deployment
from tests.reliability import zombie
from tests.reliability.points import like, passes

SORTS = ("before:", "after:", "before_check", "before_content")


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("job", jobs.NAMES)
def test_a_process_that_wakes_after_its_lease_writes_nothing_and_sends_nothing(
    deployment: Deployment, job: str, sort: str
) -> None:
    draw = random.Random(f"{job}/{sort}/0")
    point = like(passes(deployment, job), sort, draw)
    if point is None:
        pytest.skip(f"{job} never passes {sort}: it sends nothing")
    found = zombie.trial(deployment, job, point, draw)
    assert found.passed, (found, point)
