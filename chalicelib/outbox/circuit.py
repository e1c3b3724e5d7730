"""A circuit breaker: a provider that fails for everybody is left alone for a while, then tried with
one message. Decisions only: the state is plain values that a table can hold, time is an argument.

Count what is the provider's or the account's fault (`SENDER_WIDE_CODES`, no answer), never what is
wrong with one message or one recipient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

Position = Literal["closed", "open", "half_open"]


@dataclass(frozen=True)
class Policy:
    """Opens after `threshold` failures in a row, for `pause`, doubled each time that the trial
    fails too, up to `longest_pause`. A trial without an outcome is given up after `trial`, which is
    longer than a call can take."""

    threshold: int = 5
    pause: timedelta = timedelta(minutes=1)
    longest_pause: timedelta = timedelta(hours=1)
    trial: timedelta = timedelta(minutes=3)


@dataclass(frozen=True)
class Circuit:
    """`failures` in a row; `opened_at` (aware) since when it is not closed; `openings` in a row;
    `trial_at` (aware) when the trial that is under way began."""

    failures: int = 0
    opened_at: datetime | None = None
    openings: int = 0
    trial_at: datetime | None = None


CLOSED = Circuit()


def position(circuit: Circuit, policy: Policy, now: datetime) -> Position:
    """`closed`: everything may leave. `open`: nothing. `half_open`: one trial may (see `trial`)."""
    until = retry_at(circuit, policy)
    if until is None:
        return "closed"
    return "open" if now < until else "half_open"


def retry_at(circuit: Circuit, policy: Policy) -> datetime | None:
    """When an open circuit may be tried, the instant that its messages are held until; None when it
    is closed."""
    if circuit.opened_at is None:
        return None
    doublings = min(max(circuit.openings - 1, 0), 20)
    end = circuit.opened_at + min(policy.longest_pause, policy.pause * (1 << doublings))
    return end if circuit.trial_at is None else max(end, circuit.trial_at + policy.trial)


def trial(circuit: Circuit, policy: Policy, now: datetime) -> Circuit | None:
    """The circuit with a trial under way, for whoever may send the one message; None when nobody
    may, or nobody has to ask. Two who ask must ask one after the other: write it under a lock."""
    if position(circuit, policy, now) != "half_open":
        return None
    return replace(circuit, trial_at=now)


def succeeded(circuit: Circuit, *, was_trial: bool = False) -> Circuit:
    """After a call that the provider answered. While the circuit is open only the trial's answer
    closes it: the others were on their way before it opened."""
    return circuit if circuit.opened_at is not None and not was_trial else CLOSED


def failed(circuit: Circuit, policy: Policy, now: datetime, *, was_trial: bool = False) -> Circuit:
    """After a call that failed for everybody. Calls that were on their way when the circuit opened
    do not lengthen its pause."""
    if circuit.opened_at is not None and not was_trial:
        return circuit
    failures = circuit.failures + 1
    if failures < policy.threshold and not was_trial:
        return replace(circuit, failures=failures)
    return Circuit(failures=failures, opened_at=now, openings=circuit.openings + 1)
