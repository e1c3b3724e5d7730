"""A process that stops, is given up, and wakes: it writes nothing and sends nothing."""

from __future__ import annotations

import random

import pytest

from tests.harness import Deployment
from tests.reliability import zombie
from tests.reliability.points import like, passes
from tests.reliability.sample import dealt

OF_CALLS = ("before_check", "before_content")
SORTS = ("before:", "after:", *OF_CALLS)


@pytest.mark.parametrize(("job", "sort"), dealt(SORTS, each=2, of_calls=OF_CALLS))
def test_a_process_that_wakes_after_its_lease_writes_nothing_and_sends_nothing(
    deployment: Deployment, job: str, sort: str
) -> None:
    draw = random.Random(f"{job}/{sort}/0")
    point = like(passes(deployment, job), sort, draw)
    assert point, f"{job} never passes {sort}"
    found = zombie.trial(deployment, job, point, draw)
    assert found.passed, (found, point)
