"""Providers that fail now and then, and often, for some hundreds of messages."""

from __future__ import annotations

import random

import pytest

from tests.harness import Deployment
from tests.reliability import fault_rates


@pytest.mark.parametrize(("case", "messages"), [("twilio-50", 60), ("meta-10", 150)])
def test_each_message_leaves_once_and_what_can_be_proved_is_proved_in_time(
    deployment: Deployment, case: str, messages: int
) -> None:
    draw = random.Random(case)
    found = fault_rates.trial(deployment, "engine", case, draw, messages=messages)
    assert found.passed, found
    assert found.done["provable"] > 0
