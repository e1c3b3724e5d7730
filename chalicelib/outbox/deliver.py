"""Delivering: what dead processes left is swept, then the channels take turns (`lane`)."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from uuid import UUID

from chalicelib.db.engine import transaction
from chalicelib.outbox import claim, events, inbound, restored
from chalicelib.outbox.channels import Outbox
from chalicelib.outbox.lane import CALL_S, OWED, Lane
from chalicelib.outbox.reconcile import reconcile
from chalicelib.outbox.senders import Senders
from chalicelib.runner.deadline import Deadline

# The claimer is surely dead that long after its deadline.
GRACE = timedelta(minutes=2)
OFFERED_AGAIN = 50
# What a search for proofs came to, of what it counts.
PROVED = ("proved", "resent")


def deliver(
    outbox: Outbox,
    deadline: Deadline,
    *,
    run_id: UUID | None = None,
    budget: Deadline | None = None,
) -> Counter[str]:
    """Sends what is due (of one run, or of all) until nothing is, the deadline is near, or the
    budget is spent; of all, it also looks for the proofs of uncertain messages, and has the
    operator told of those that somebody has to look at. Returns the outcomes by state. Raises
    `DatabaseUnavailable`, and `DatabaseRestored` when this is a copy that nobody has accepted; a
    provider's failures are outcomes."""
    swept = _sweep(outbox)
    if swept.untold and run_id is None:
        _find_places(outbox)
    if swept.due:
        if outbox.mark is not None:
            restored.verify(outbox.engine, outbox.mark)
        _send(outbox, deadline, run_id, budget)
    if swept.provable and run_id is None:
        found = reconcile(outbox.engine, outbox.proofs, deadline)
        outbox.counts.update({name: found[name] for name in PROVED})
    if swept.troubled and run_id is None and outbox.alert is not None:
        with transaction(outbox.engine) as connection:
            outbox.alert(connection)
    return +outbox.counts


def _send(outbox: Outbox, deadline: Deadline, run_id: UUID | None, budget: Deadline | None) -> None:
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


def _find_places(outbox: Outbox) -> None:
    """Applies what providers told of messages that were not known yet, and offers again what a
    domain failed to take."""
    with transaction(outbox.engine) as connection:
        events.settle_pending(connection)
        inbound.offer_again(connection, OFFERED_AGAIN)


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
