"""Random schedules, zones and instants: what `chalicelib.runner.schedule` says and what brute force
says."""

from __future__ import annotations

import random
from collections import Counter

from tests.harness import Deployment
from tests.reliability.trial import Finding
from tests.runner.brute_force import check_case, random_case


def trial(
    deployment: Deployment, job: str, case: str, draw: random.Random, *, cases: int = 10_000
) -> Finding:
    for _ in range(cases):
        check_case(*random_case(draw))
    return Finding(Counter(), done=Counter(cases=cases))
