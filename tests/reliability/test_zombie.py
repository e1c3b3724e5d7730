"""A process that stops, is given up, and wakes: it writes nothing and sends nothing."""

from __future__ import annotations

import os
import random
import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest

from chalicelib import jobs
from tests.harness import Deployment
from tests.reliability.child import FROZEN_S, Point, ended, start
from tests.reliability.conftest import PointCounts, child_environment
from tests.reliability.scenarios import SCENARIOS, recover, state_of, verdict

DRAWS = int(os.environ.get("PONCTUEL_DRAWS", "1"))
POINTS = ("before_commit", "after_commit", "before_check", "before_content")
# One call at a time: a second one would be stopped wherever it happens to be.
CHILD = {"SENDING_CONCURRENCY": "1"}


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("job", jobs.NAMES)
@pytest.mark.parametrize("draw", range(DRAWS))
def test_a_process_that_wakes_after_its_lease_writes_nothing_and_sends_nothing(
    deployment: Deployment,
    point_counts: PointCounts,
    tmp_path: Path,
    job: str,
    point: str,
    draw: int,
) -> None:
    scenario = SCENARIOS[job]
    scenario.load(deployment)
    deployment.advance_to_slot()
    passes = point_counts(job)[point]
    if passes == 0:
        pytest.skip(f"{job} never passes {point}: it sends nothing")
    nth = random.Random(f"{job}/{point}/{draw}").randint(1, passes)
    stopped = tmp_path / "stopped"
    zombie = start(
        child_environment(**CHILD),
        job,
        at=Point(point, nth),
        signal_number=signal.SIGSTOP,
        trace=stopped,
    )
    assert zombie.pid is not None
    while not stopped.exists():
        assert zombie.is_alive(), f"{point} {nth} was not reached"
        time.sleep(0.01)
    _end_idle_transactions(deployment)
    deployment.database.advance(timedelta(seconds=FROZEN_S))
    recover(deployment, job)
    deployment.tick(job, hours=0)
    before, sent = state_of(deployment), len(deployment.smtp.accepted())
    os.kill(zombie.pid, signal.SIGCONT)
    ended(zombie)
    assert state_of(deployment) == before, Point(point, nth)
    assert len(deployment.smtp.accepted()) == sent, Point(point, nth)
    found = verdict(deployment, scenario.expected)
    assert found.pop("uncertain", 0) <= 1, "only calls in flight may be uncertain"
    assert not found, (found, Point(point, nth))


def _end_idle_transactions(deployment: Deployment) -> None:
    """What the server does by itself after `idle_in_transaction_session_timeout`."""
    deployment.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND state = 'idle in transaction'"
    )
