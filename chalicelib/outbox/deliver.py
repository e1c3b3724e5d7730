"""Delivering: what dead processes left is swept, then the channels take turns (`lane`)."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from uuid import UUID

from chalicelib.db.engine import transaction
from chalicelib.outbox import claim
from chalicelib.outbox.channels import Outbox
from chalicelib.outbox.lane import CALL_S, OWED, Lane
from chalicelib.outbox.senders import Senders
from chalicelib.runner.deadline import Deadline

# The claimer is surely dead that long after its deadline.
GRACE = timedelta(minutes=2)


def deliver(
    outbox: Outbox,
    deadline: Deadline,
    *,
    run_id: UUID | None = None,
    budget: Deadline | None = None,
) -> Counter[str]:
    """Sends what is due (of one run, or of all) until nothing is, the deadline is near, or the
    budget is spent. Returns the outcomes by state. Raises `DatabaseUnavailable`; a provider's
    failures are outcomes."""
    swept = _sweep(outbox)
    if not swept.due:
        return +outbox.counts
    with ExitStack() as stack:
        turns = [
            Lane(outbox, channel, stack.enter_context(Senders(channel)))
            for channel in outbox.channels.values()
        ]
        over = partial(_over, deadline, budget)
        while turns and not over():
            lane = turns.pop(0)
            lifetime = timedelta(seconds=max(0.0, deadline.remaining())) + GRACE
            if lane.turn(over, lifetime, run_id):
                turns.append(lane)
    return +outbox.counts


def _sweep(outbox: Outbox) -> claim.Swept:
    owed = dict(OWED)
    with transaction(outbox.engine) as connection:
        for claim_id, begun in owed.items():
            claim.unclaim(connection, claim_id, begun)
        swept = claim.sweep(connection)
    for claim_id in owed:
        OWED.pop(claim_id, None)
    outbox.counts.update(expired=swept.expired, uncertain=swept.uncertain)
    return swept


def _over(deadline: Deadline, budget: Deadline | None) -> bool:
    return deadline.near(CALL_S) or (budget is not None and budget.near())
