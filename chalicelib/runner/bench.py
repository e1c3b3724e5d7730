"""The parts that a door puts together, and that the engine works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from chalicelib.runner.deadline import Deadline
from chalicelib.runner.job import Job, Run
from chalicelib.runner.triggers import Trigger
from chalicelib.settings import Settings

# The last step of a run that sends: its messages may be claimed from then on.
DELIVERY_STEP = "delivery"

# Sends messages until the deadline and counts the outcomes. Given by the door: the engine knows no
# outbox.
Delivery = Callable[[Run, Deadline], Mapping[str, int]]
# Looks at everything that a run planned before any of it may leave; returns how much it held.
Review = Callable[[Connection, Run], int]
# Tells the operator that a run ended badly, in the closing transaction.
Alert = Callable[[Connection, Job, Run, str, str], None]


@dataclass
class Bench:
    """The parts that a door puts together once (see `invocation`)."""

    engine: Engine
    settings: Settings
    trigger: Trigger
    holder: str
    delivery: Delivery | None = None
    review: Review | None = None
    alert: Alert | None = None


@dataclass(frozen=True)
class Work:
    """One invocation's work on a run of a job."""

    job: Job
    bench: Bench
    deadline: Deadline

    @property
    def engine(self) -> Engine:
        return self.bench.engine
