"""A process that stops at one point, is given up, and wakes after another has done its work."""

from __future__ import annotations

import os
import random
import signal
import time
from datetime import timedelta

from tests.harness import Deployment
from tests.reliability.child import FROZEN_S, ended, start
from tests.reliability.points import drawn, passes
from tests.reliability.recovery import end_idle_transactions, recover
from tests.reliability.scenarios import SCENARIOS, journals, state_of
from tests.reliability.trial import Finding, child_environment

# One call at a time: a second one would be stopped wherever it happens to be.
CHILD = {"SENDING_CONCURRENCY": "1"}
# Past these the zombie's message is on its way, or gone: nothing that wakes can change that.
TOO_LATE = tuple(
    f"{point}{channel}"
    for point in ("before_call", "inside_call", "after_call")
    for channel in ("", "_whatsapp")
)


def trial(deployment: Deployment, job: str, case: str, draw: random.Random) -> Finding:
    """`case`: the point, none of `TOO_LATE`."""
    scenario, point = SCENARIOS[job], drawn(passes(deployment, job), case, draw)
    scenario.load(deployment)
    deployment.advance_to_slot(job)
    stopped = deployment.folder / "stopped"
    stopped.unlink(missing_ok=True)
    environment = child_environment(**CHILD)
    zombie = start(environment, job, at=point, signal_number=signal.SIGSTOP, trace=stopped)
    assert zombie.pid is not None
    try:
        while not stopped.exists():
            assert zombie.is_alive(), f"{point} was not reached"
            time.sleep(0.01)
        end_idle_transactions(deployment)
        deployment.database.advance(timedelta(seconds=FROZEN_S))
        recover(deployment, job)
        deployment.tick(job, hours=0)
        before, sent = state_of(deployment), journals(deployment)
        os.kill(zombie.pid, signal.SIGCONT)
        ended(zombie)
    except BaseException:
        zombie.kill()
        raise
    assert state_of(deployment) == before, f"the zombie has written, at {point}"
    assert journals(deployment) == sent, f"the zombie has sent, at {point}"
    found = scenario.verify(deployment, scenario.expected)
    return Finding.of(found, bound=1, zombies=1)
