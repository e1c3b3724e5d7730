"""The points at which a job's process can be stopped, found by watching it go through them.

Commits are named after the function that makes them: `before:engine._batch`, `after:claim.claim`.
A new commit is thus covered by existing. The calls have names of their own: `before_check` (of the
time left for a call), `before_call`, `before_content` (the server is about to be asked for it),
`inside_call` (the content has gone out, the answer has not come) and `after_call`; those to the
WhatsApp provider end in `_whatsapp`.
"""

from __future__ import annotations

import random
from collections import Counter

from tests.harness import Deployment
from tests.reliability.child import Point, points_of
from tests.reliability.scenarios import SCENARIOS
from tests.reliability.trial import child_environment

_known: dict[str, Counter[str]] = {}


def passes(deployment: Deployment, job: str) -> Counter[str]:
    """How often the job's scenario passes each point when nothing goes wrong. The first time in a
    process this runs it, and leaves the deployment as new."""
    if job not in _known:
        SCENARIOS[job].load(deployment)
        deployment.advance_to_slot(job)
        trace = deployment.folder / "points.json"
        _known[job] = points_of(child_environment(), job, trace)
        deployment.reset()
    return _known[job]


def drawn(counts: Counter[str], name: str, draw: random.Random) -> Point:
    """One of the times that a point is passed."""
    assert counts[name], f"the job never passes {name}"
    return Point(name, draw.randint(1, counts[name]))


def like(counts: Counter[str], sort: str, draw: random.Random) -> str | None:
    """One of the points whose names begin with `sort`; None if there is none."""
    found = sorted(name for name in counts if name.startswith(sort))
    return draw.choices(found, [counts[name] for name in found])[0] if found else None
