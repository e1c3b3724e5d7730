"""Invocations that are cut short, anywhere: each item once, and none outlives its time."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from chalicelib.outbox.deliver import CALL_S
from chalicelib.runner.deadline import RESERVE_S, Deadline
from chalicelib.runner.work import work
from tests.harness import NOW, Deployment
from tests.reliability.recovery import recover
from tests.reliability.scenarios import SCENARIOS
from tests.reliability.trial import Finding
from tests.runner.probe import Probe, Stand
from tests.runner.probe import job as probe

HOUR = timedelta(hours=1)
# Seconds that an invocation still has when it begins: none, less than the reserve, a little more;
# and around what a call to a provider needs besides.
CALLING_S = RESERVE_S + CALL_S
CUTS = (-0.68, 0.0, 5.0, *(limit + n for limit in (RESERVE_S, CALLING_S) for n in (-0.1, 0.3, 1.0)))
PROBE_CUTS = (-0.68, 0.0, *(RESERVE_S + n for n in (-0.1, 0.0, 0.5, 5.0, 25.0)))


@dataclass
class Time:
    """An invocation's time, which passes only where the test says so."""

    left: float

    def pass_by(self, seconds: float) -> None:
        self.left -= seconds

    def deadline(self) -> Deadline:
        return Deadline(lambda: self.left)


def job_trial(deployment: Deployment, job: str, case: str, draw: random.Random) -> Finding:
    """Ticks of the job, each cut at one of `CUTS`, with a slow mail server."""
    scenario = SCENARIOS[job]
    scenario.load(deployment)
    deployment.smtp.fail("slow", seconds=0.15)
    deployment.advance_to_slot(job)
    cuts = draw.sample(CUTS, k=len(CUTS))
    for seconds in cuts:
        deployment.tick(job, hours=0.1, seconds=seconds)
    deployment.smtp.heal()
    recover(deployment, job)
    return Finding.of(scenario.verify(deployment, scenario.expected), cuts=len(cuts))


def probe_trial(deployment: Deployment, job: str, case: str, draw: random.Random) -> Finding:
    """A run of the probe in as many invocations as it takes, on a time that only batches use up."""
    deployment.database.set_clock(NOW)
    stand = Stand(deployment.database.engine())
    stand.install()
    stand.work(probe())
    return cut_at_random(stand, draw)


def cut_at_random(stand: Stand, draw: random.Random) -> Finding:
    """The probe's next slot, with 0 to 60 items, batches of any size and any duration."""
    items = [f"i{n:03}" for n in range(draw.choice((0, 1, 2, 37, 60)))]
    batch, cost = draw.randint(1, 20), draw.uniform(0.1, 4.0)
    with stand.engine.begin() as connection:
        for table in ("probe_due", "probe_done"):
            connection.exec_driver_sql(f"DELETE FROM ponctuel.{table}")
    stand.install(*[("B1", item) for item in items])
    stand.advance(HOUR)
    statuses: list[str] = []
    useful = cuts = 0
    while "succeeded" not in statuses:
        budget = draw.choice(PROBE_CUTS)
        cuts += 1
        useful += budget >= RESERVE_S
        assert useful <= len(items) + 2, "each invocation that has time for a batch does one"
        time = Time(budget)
        slow = probe(Probe(before=partial(time.pass_by, cost)), batch=batch)
        done = len(stand.done())
        results = work(slow, stand.bench(), time.deadline())
        statuses = [result.status for result in results]
        if budget < RESERVE_S:
            assert (statuses, len(stand.done())) == ([], done)
        else:
            assert time.left >= min(budget, RESERVE_S) - cost, "one batch past the reserve, at most"
    assert [run["status"] for run in stand.runs()[-1:]] == ["succeeded"]
    times = Counter(stand.done())
    wrong = Counter(
        lost=len(set(items) - set(times)),
        unexpected=len(set(times) - set(items)),
        duplicate=sum(n - 1 for n in times.values()),
    )
    return Finding.of(wrong, cuts=cuts)
