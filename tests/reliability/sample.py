"""Which (job, case) the fast suite goes through. The others are marked slow, and `make prove` goes
through each of them many times."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chalicelib import jobs

# It has every case: the engine and the outbox are the same for all.
FULL = "followups"


def dealt(cases: Sequence[str], *, each: int = 1, of_calls: Sequence[str] = ()) -> list[object]:
    """(job, case) of every registered job. In the fast suite FULL has every case and each other job
    `each` of them, dealt in turn, so that a job is covered by being registered. `of_calls`: the
    cases that a job which sends nothing never comes to."""
    pairs: list[object] = []
    turn = 0
    for job in jobs.NAMES:
        sends = jobs.job(job).delivers != "nothing"
        own = [case for case in cases if sends or case not in of_calls]
        if not own:
            continue
        fast = own if job == FULL else [own[(turn + n) % len(own)] for n in range(each)]
        if job != FULL:
            turn += each
        for case in own:
            marks = () if case in fast else pytest.mark.slow
            pairs.append(pytest.param(job, case, marks=marks))
    return pairs
