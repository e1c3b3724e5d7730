"""Every proof: its trial, its cases, how many times, and what it has to have gone through.

`docs/proofs.md` says in words what each does and what would count as a failure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from chalicelib import jobs
from tests.domain.accounts import proof as accounts
from tests.domain.agenda import proof as agenda
from tests.domain.inbox import proof as inbox
from tests.domain.leads import proof as leads
from tests.mail import proofs as parser
from tests.outbox import state_machine
from tests.prove.seeds import Seed
from tests.reliability import (
    clock_changes,
    database_faults,
    deadline,
    deadly,
    fault_rates,
    kill,
    provider_faults,
    restarts,
    schedules,
    storm,
    zombie,
)
from tests.reliability.scenarios import SCENARIOS
from tests.reliability.trial import Trial

# What does not belong to a job: schedules, and the engine with a job of the tests.
ENGINE = "engine"
# The job whose counts are full; the others have fewer of each.
FULL = "followups"

Cases = Callable[[str, Sequence[str]], Sequence[str]]


@dataclass(frozen=True)
class Proof:
    """`cases` of a job, given the points that it passes; `full` and `few` trials of each.
    `cost_s`: about how long one takes, so that long ones begin first; past `limit_s` it hangs.
    `needs`: what all trials of the fully counted job have to add up to; it has `at_least` that many
    of them, however few its cases are. `only`: the one job that it is about, counted fully."""

    name: str
    trial: Trial
    full: int
    few: int = 0
    cases: Cases = lambda _job, _points: [""]
    cost_s: float = 1.0
    limit_s: float = 120.0
    needs: Mapping[str, int] = field(default_factory=dict)
    at_least: int = 0
    of_engine: bool = False
    only: str | None = None

    def seeds(self, job: str, points: Sequence[str], share: float = 1.0) -> list[Seed]:
        """All trials of a job; `share` of them, at least one of each case."""
        if self.of_engine != (job == ENGINE) or self.only not in (None, job):
            return []
        cases = self.cases(job, points)
        count = self.few
        if self.is_full(job):
            count = max(self.full, math.ceil(self.at_least / max(1, len(cases))))
        wanted = max(1, round(count * share)) if count else 0
        return [Seed(job, self.name, case, n) for case in cases for n in range(wanted)]

    def is_full(self, job: str) -> bool:
        """Whether this job has all of its trials."""
        return job in (FULL, ENGINE, self.only)


def _all_points(_job: str, points: Sequence[str]) -> Sequence[str]:
    return points


def _points_before_the_call(_job: str, points: Sequence[str]) -> Sequence[str]:
    return [point for point in points if point not in zombie.TOO_LATE]


def _if_it_sends(cases: Sequence[str]) -> Cases:
    return lambda job, _points: cases if SCENARIOS[job].expected else []


def _always(cases: Sequence[str]) -> Cases:
    return lambda _job, _points: cases


def _days(job: str, _points: Sequence[str]) -> Sequence[str]:
    """The other jobs: two years of them."""
    return DAYS if job == FULL else DAYS[12:16]


DAYS = [day.isoformat() for day in clock_changes.change_days()]

PROOFS = (
    Proof("restarts", restarts.trial, 2, 0, cost_s=280, limit_s=900, needs={"minutes": 30}),
    Proof("restarts-short", partial(restarts.trial, minutes=5), 0, 2, cost_s=50, limit_s=300),
    Proof("storm", storm.trial, 50, 3, cost_s=20, limit_s=600, needs={"slots": 10_000}),
    Proof("commits", database_faults.commits_trial, 10, 2, cost_s=6),
    Proof(
        "cuts", database_faults.cuts_trial, 25, 5, cases=_always(database_faults.FAILURES), cost_s=4
    ),
    Proof("schedules", schedules.trial, 100, cost_s=4, needs={"cases": 1_000_000}, of_engine=True),
    Proof("deaths", deadly.items_trial, 50, cost_s=2, of_engine=True),
    Proof("letters", deadly.letters_trial, 25, 5, cases=_if_it_sends(("render", "send")), cost_s=2),
    Proof("deadlines", deadline.job_trial, 25, 5, cost_s=2),
    Proof("deadlines-probe", deadline.probe_trial, 400, of_engine=True, needs={"cuts": 1000}),
    Proof(
        "provider",
        provider_faults.trial,
        25,
        5,
        cases=_if_it_sends(provider_faults.KINDS),
        cost_s=2,
    ),
    Proof(
        "provider-whatsapp",
        provider_faults.whatsapp_trial,
        10,
        3,
        cases=_if_it_sends(provider_faults.WHATSAPP_KINDS),
        cost_s=1.5,
    ),
    Proof(
        "fault-rates",
        fault_rates.trial,
        4,
        cases=_always(fault_rates.CASES),
        cost_s=45,
        limit_s=600,
        needs={"messages": 100_000},
        of_engine=True,
    ),
    Proof(
        "state-machine",
        state_machine.trial,
        44,
        cost_s=15,
        limit_s=300,
        needs={"steps": 100_000},
        of_engine=True,
    ),
    Proof(
        "parser",
        parser.drawn_trial,
        20,
        cost_s=31,
        limit_s=180,
        needs={"seconds": 600},
        of_engine=True,
    ),
    Proof(
        "parser-hypothesis",
        parser.hypothesis_trial,
        20,
        cost_s=33,
        limit_s=300,
        needs={"seconds": 600},
        of_engine=True,
    ),
    # Without `needs`: atheris is not installed everywhere, and says so in what was gone through.
    Proof("parser-coverage", parser.coverage_trial, 20, cost_s=32, limit_s=180, of_engine=True),
    Proof(
        "mailbox-histories",
        inbox.trial,
        inbox.TRIALS,
        cost_s=20,
        limit_s=240,
        needs=inbox.NEEDS,
        of_engine=True,
    ),
    Proof(
        "erasing",
        accounts.trial,
        10,
        cases=_always(("user", "business")),
        cost_s=15,
        limit_s=300,
        needs={"examples": 200},
        of_engine=True,
    ),
    Proof(
        "agenda-histories",
        agenda.trial,
        6,
        cases=_always(tuple(agenda.CASES)),
        cost_s=60,
        limit_s=900,
        needs={"days": 2000, "told": 500, "reminders": 200},
        only=agenda.JOB,
    ),
    Proof(
        "lead-histories",
        leads.trial,
        6,
        cases=_always(tuple(leads.CASES)),
        cost_s=60,
        limit_s=900,
        needs={"days": 600, "followups": 200, "messages": 100},
        only=leads.JOB,
    ),
    Proof("side-by-side", storm.side_by_side_trial, 25, cost_s=1.5),
    Proof("clock-changes", clock_changes.job_trial, 1, 1, cases=_days, cost_s=8),
    Proof("daily", clock_changes.daily_trial, 1, cases=_always(DAYS), of_engine=True),
    Proof(
        "zombie",
        zombie.trial,
        25,
        5,
        cases=_points_before_the_call,
        at_least=1000,
        needs={"zombies": 1000},
    ),
    Proof("kill", kill.trial, 25, 5, cases=_all_points, needs={"kills": 350}),
)
BY_NAME = {proof.name: proof for proof in PROOFS}
# Different places at which followups can be killed.
LEAST_POINTS = 14


def planned(
    names: Sequence[str],
    proofs: Sequence[str],
    points: Mapping[str, Sequence[str]],
    share: float = 1.0,
) -> list[Seed]:
    """The trials of these jobs and proofs, the longest first."""
    chosen = [proof for proof in PROOFS if proof.name in proofs]
    chosen.sort(key=lambda proof: -proof.cost_s)
    return [
        seed
        for proof in chosen
        for job in names
        for seed in proof.seeds(job, points.get(job, ()), share)
    ]


def all_jobs() -> list[str]:
    """The registered jobs, and the engine."""
    return [*jobs.NAMES, ENGINE]
