"""Days of a business with an outage: each thing told once, nothing lost, nothing stale.
`make prove` has the months and years (`agenda-histories`)."""

from __future__ import annotations

import random

from tests.domain.agenda.history import drawn
from tests.domain.agenda.proof import QUICK, lived
from tests.harness import Deployment


def test_what_becomes_due_around_an_outage_is_told_once_and_never_late(
    deployment: Deployment,
) -> None:
    finding = lived(deployment, drawn(random.Random(2), *QUICK))
    assert finding.passed, finding
    assert finding.done["reminders"] > 2
    assert finding.done["told"] > 5
