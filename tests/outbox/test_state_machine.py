"""The state machine of the outbox in its quick form; `make prove` plays it for 100,000 steps."""

from __future__ import annotations

from tests.harness import Deployment
from tests.outbox import state_machine


def test_no_interleaving_sends_a_message_twice_or_loses_one(deployment: Deployment) -> None:
    done = state_machine.play(deployment, machines=8, steps=50, number=4)
    assert done["steps"] >= 200
