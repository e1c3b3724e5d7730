"""Days of leads with an outage: each level once, none at night, nothing lost. `make prove` has the
months (`lead-histories`)."""

from __future__ import annotations

import random

from tests.domain.leads.histories import drawn
from tests.domain.leads.proof import QUICK, lived
from tests.harness import Deployment


def test_leads_are_followed_up_once_for_each_level_around_an_outage(
    deployment: Deployment,
) -> None:
    draw = random.Random(1)
    finding = lived(deployment, drawn(draw, *QUICK), draw)
    assert finding.passed, finding
    assert finding.done["followups"] > 5
    assert finding.done["messages"] > 2
