"""What a job is: a schedule, a policy, and steps in order. No I/O here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable
from uuid import UUID

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from chalicelib.runner.deadline import Deadline
    from chalicelib.runner.schedule import Schedule
    from chalicelib.settings import Settings

BUSINESS_ZONE = "business"


@dataclass
class Run:
    """One run of a job in a zone, as the process that holds its lease sees it.

    `now` chooses the candidates (aware UTC; the later of the database's clock and the slot). What
    must not be early asks the database's clock instead. `businesses_in`: only the businesses of
    that zone; None: all of them.
    """

    id: UUID
    job: str
    zone: str
    door: str
    now: datetime
    businesses_in: str | None = None
    slot_from: datetime | None = None
    slot_to: datetime | None = None
    force: bool = False
    dry_run: bool = False
    as_of: datetime | None = None
    fence: int = 0
    step: str | None = None
    position: int = 0
    attempt: int = 0
    batch_limit: int | None = None
    failures: int = 0
    hops: int = 0
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """The items that a step treats in one transaction.

    `cte` is the body of a common table expression that yields `(business_id, item)`; its
    parameters are in `parameters`. In a dry run it yields every due item.
    """

    cte: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class ItemError:
    """One item that could not be treated. `error` is French, without personal data."""

    business_id: str
    item: str
    code: str
    error: str


@dataclass(frozen=True)
class Outcome:
    """What one batch did: counters to add up, and the items that failed."""

    counts: Mapping[str, int] = field(default_factory=dict)
    errors: Sequence[ItemError] = ()


@dataclass(frozen=True)
class Preview:
    """What a step would do: JSON rows, and what it leaves out with the reason."""

    changes: Sequence[Mapping[str, Any]] = ()
    messages: Sequence[Mapping[str, Any]] = ()
    left_out: Sequence[Mapping[str, Any]] = ()


class Effect(Protocol):
    """What a step does to its items. `preview` runs the same SELECT as `apply`, in a transaction
    that cannot write; neither may read what another step of the same run wrote."""

    def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome: ...

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview: ...


@runtime_checkable
class Errand(Protocol):
    """What a step does that has to ask others' servers in between: it has no transaction around it,
    makes its own, and keeps its own leases on what it treats. `run_errand` ends before the deadline
    is near, with whatever it came to; what it leaves is due again at the next slot. An item that
    kills the process is for it to find: a run that dies too often is closed *failed*, and the next
    slot begins anew."""

    def run_errand(
        self, run: Run, engine: Engine, deadline: Deadline, items: Sequence[tuple[str, str]]
    ) -> Outcome: ...

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview: ...


@dataclass(frozen=True)
class Prepared:
    """Parameters for the SQL of a job's steps that only Python can compute (calendars), and the
    businesses for which they could not be computed."""

    parameters: Mapping[str, Any]
    errors: Sequence[ItemError] = ()


@dataclass(frozen=True)
class Step:
    """`items` is SQL that yields `(business_id, item)`, both text, for everything that is due at
    `:now` (`<=`, never `=`), in the zone `:zone`. An item is what fails, or is quarantined, alone.
    """

    name: str
    items: str
    effect: Effect | Errand
    batch: int = 500


@dataclass(frozen=True)
class Job:
    """`schedule` has five fields, read in `zone` (an IANA zone, or `business`: the zone of each
    business). `late_after`: a missed slot older than that is closed "trop tard", not run; None when
    a late run is always useful. `summary` is the French sentence of success. `delivers`: which
    messages a run sends, its own or all that are due. `quiet`: a tick that found nothing to do
    leaves no row. `prepare` adds parameters to the SQL of all steps."""

    name: str
    title: str
    schedule: str
    zone: str
    summary: str
    steps: tuple[Step, ...] = ()
    prepare: Callable[[Run, Connection], Prepared] | None = None
    late_after: timedelta | None = None
    delivers: Literal["own", "all", "nothing"] = "own"
    quiet: bool = False
    memory_mb: int = 512
    timeout_s: int = 300

    def schedule_in(self, zone: str, settings: Settings) -> Schedule:
        """The schedule in force on this stage (`SCHEDULE_<JOB>` wins), in the given zone."""
        from chalicelib.runner.schedule import Schedule

        return Schedule.parse(settings.schedule_for(self.name) or self.schedule, zone)

    def zone_on(self, settings: Settings) -> str:
        return settings.zone_for(self.name) or self.zone
