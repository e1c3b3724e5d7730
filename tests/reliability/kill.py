"""A real SIGKILL of a real process at one point; then perhaps of the one that takes over."""

from __future__ import annotations

import random
import signal

from tests.harness import Deployment
from tests.reliability.child import run
from tests.reliability.points import drawn, passes
from tests.reliability.recovery import next_event, recover
from tests.reliability.scenarios import SCENARIOS
from tests.reliability.trial import CONCURRENCY, Finding, child_environment


def trial(deployment: Deployment, job: str, case: str, draw: random.Random) -> Finding:
    """`case`: the point. Every second time the process that takes over is killed too, if it ever
    comes to the point that is drawn for it."""
    scenario, counts = SCENARIOS[job], passes(deployment, job)
    scenario.load(deployment)
    deployment.advance_to_slot(job)
    code = run(child_environment(), job, at=drawn(counts, case, draw))
    assert code == -signal.SIGKILL, f"{case} was not reached: the child ended with {code}"
    kills = 1
    if draw.random() < 0.5:
        event = next_event(deployment)
        if event is not None:
            deployment.database.set_clock(event)
        second = drawn(counts, draw.choice(sorted(counts)), draw)
        code = run(child_environment(), job, at=second)
        assert code in (0, -signal.SIGKILL), f"the child that took over ended with {code}"
        kills += code != 0
    recover(deployment, job)
    found = scenario.verify(deployment, scenario.expected)
    return Finding.of(found, bound=kills * CONCURRENCY, kills=kills)
