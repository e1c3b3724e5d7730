"""Days of a business with outages: each thing told once, nothing lost, nothing stale. `make prove`
has the months and years (`agenda-histories`)."""

from __future__ import annotations

import random

import pytest

from tests.domain.agenda.history import drawn
from tests.domain.agenda.proof import QUICK, lived
from tests.harness import Deployment


@pytest.mark.parametrize("seed", [1, 2])
def test_what_becomes_due_in_a_week_with_outages_is_told_once_and_never_late(
    deployment: Deployment, seed: int
) -> None:
    finding = lived(deployment, drawn(random.Random(seed), *QUICK))
    assert finding.passed, finding
    assert finding.done["reminders"] > 2
    assert finding.done["told"] > 8
