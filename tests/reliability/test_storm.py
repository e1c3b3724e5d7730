"""The same slot, delivered again and again by several processes at once, through every door."""

from __future__ import annotations

import random

import pytest

from chalicelib import jobs
from tests.harness import Deployment
from tests.reliability import storm


@pytest.mark.parametrize("job", jobs.NAMES)
def test_a_slot_delivered_many_times_through_all_doors_takes_effect_once(
    deployment: Deployment, job: str
) -> None:
    found = storm.trial(deployment, job, "", random.Random(job), slots=3, furthest=2)
    assert found.passed, found


def test_jobs_that_deliver_side_by_side_never_send_the_same_message(
    deployment: Deployment,
) -> None:
    found = storm.side_by_side_trial(deployment, "followups", "", random.Random(1))
    assert found.passed, found
