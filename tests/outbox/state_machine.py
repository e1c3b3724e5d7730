"""No interleaving of plan, claim, crash, webhook and reconcile breaks "at most once per key" or
"never silently lost": a state machine of Hypothesis, on a real PostgreSQL."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from sqlalchemy import Engine

from tests.harness import Deployment
from tests.outbox.state_machine_checks import check, drain
from tests.outbox.state_machine_moves import chosen
from tests.outbox.state_machine_world import World
from tests.reliability.trial import Finding


class Outbox(RuleBasedStateMachine):
    """One ledger that begins empty. `gone_through` counts the moves of all machines."""

    deployment: Deployment
    engine: Engine
    gone_through: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.world = World(self.deployment, self.engine, self.patch)

    @rule(choice=st.integers(0, 999), details=st.integers(0, 2**16 - 1))
    def something_happens(self, choice: int, details: int) -> None:
        move = chosen(self.world, choice)
        note(move.name)
        self.gone_through.update(("steps", move.name))
        move.do(self.world, random.Random(details))
        check(self.world)

    def teardown(self) -> None:
        try:
            drain(self.world)
        finally:
            for process in list(self.world.processes):
                self.world.kill(process)
            self.patch.undo()


def play(
    deployment: Deployment, *, machines: int, steps: int, number: int, phases: Any = tuple(Phase)
) -> Counter[str]:
    """Plays that many machines of so many steps each; what was gone through. Raises what the first
    failure raises."""
    gone_through: Counter[str] = Counter()
    common = {
        "deployment": deployment,
        "engine": deployment.database.engine(),
        "gone_through": gone_through,
    }
    bound = type("Bound", (Outbox,), common)
    chosen = settings(
        max_examples=machines,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(number)(bound), settings=chosen)
    return gone_through


def trial(
    deployment: Deployment,
    job: str,
    case: str,
    draw: random.Random,
    *,
    machines: int = 10,
    steps: int = 250,
) -> Finding:
    """Some machines, none of them shrunk: the seed plays them again."""
    number = draw.getrandbits(32)
    done = play(deployment, machines=machines, steps=steps, number=number, phases=[Phase.generate])
    return Finding(Counter(), done=done)
