"""Slots that are delivered again and again by several processes at once, through every door."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from multiprocessing import Pipe
from types import TracebackType

from chalicelib import jobs
from chalicelib.runner.request import pause, resume
from chalicelib.runner.schedule import Schedule
from tests.harness import Deployment
from tests.reliability import knocking
from tests.reliability.child import barrier, ended, spawn
from tests.reliability.scenarios import SCENARIOS, at_all_hours
from tests.reliability.trial import Finding, child_environment

PROCESSES = 4
MOST_CALLS = 3  # of each process, in each round
ROUND_S = 60


class Crowd:
    """Processes that live for a whole trial and knock on the doors together."""

    def __init__(self, job: str) -> None:
        self._start = barrier(PROCESSES)  # kept: it goes with its last reference here
        environment = child_environment(CRON_SECRET=knocking.SECRET)
        pipes = [Pipe() for _ in range(PROCESSES)]
        self._ends = [ours for ours, _ in pipes]
        self._children = [
            spawn(knocking.main, environment, job, theirs, self._start) for _, theirs in pipes
        ]
        for _, theirs in pipes:
            theirs.close()

    def knock(self, doors: Sequence[Sequence[str]]) -> None:
        """One round: each process goes through its doors."""
        for end, own in zip(self._ends, doors, strict=True):
            end.send(own)
        for end in self._ends:
            assert end.poll(ROUND_S), "a process of the storm hangs"
            try:
                end.recv()
            except EOFError:
                raise AssertionError("a process of the storm has ended") from None

    def __enter__(self) -> Crowd:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for end, child in zip(self._ends, self._children, strict=True):
            if error is not None:
                child.kill()
            with suppress(BrokenPipeError):
                end.send(None)
            end.close()
        codes = [ended(child) for child in self._children]
        assert error is not None or codes == [0] * PROCESSES, codes


def trial(
    deployment: Deployment,
    job: str,
    case: str,
    draw: random.Random,
    *,
    slots: int = 200,
    furthest: int = 20,
) -> Finding:
    """Rounds until `slots` have gone by, 1 to `furthest` at a time. Some rounds begin with a pause,
    during which only what a pause keeps out is tried; some have a forced run."""
    scenario = SCENARIOS[job]
    scenario.load(deployment)
    at_all_hours(deployment)
    expected, begun = set(scenario.expected), _covered_through(deployment, job)
    doors = knocking.doors_of(job)
    gone = rounds = calls = pauses = forced = 0
    with Crowd(job) as crowd:
        while gone < slots:
            expected |= scenario.add(deployment, rounds)
            jump = min(draw.randint(1, furthest), slots - gone)
            deployment.advance_to_slot(job, jump)
            if draw.random() < 0.1:
                _paused_round(deployment, crowd, job, draw)
                pauses += 1
            errands = _errands(doors, draw)
            if draw.random() < 0.05:
                errands[0][-1] = "forced"
                forced += 1
            crowd.knock(errands)
            if job != "deliver_messages":  # what was held for the night waits for it
                deployment.tick("deliver_messages", hours=0)
            calls += sum(map(len, errands))
            gone, rounds = gone + jump, rounds + 1
    deployment.deliver()
    found = scenario.verify(deployment, expected)
    if forced:
        del found["unexpected"]  # force lifts the delay: later levels have gone out too
    assert deployment.rows("SELECT id FROM ponctuel.runs WHERE finished_at IS NULL") == []
    covered = _covered_once(deployment, job, begun)
    assert covered >= slots
    return Finding.of(found, slots=covered, calls=calls, pauses=pauses)


def _errands(doors: Sequence[str], draw: random.Random) -> list[list[str]]:
    return [draw.choices(doors, k=draw.randint(1, MOST_CALLS)) for _ in range(PROCESSES)]


def _paused_round(deployment: Deployment, crowd: Crowd, job: str, draw: random.Random) -> None:
    found, engine = jobs.job(job), deployment.database.engine()
    before = _covered_through(deployment, job)
    pause(engine, found, [found.zone], by="test", reason="storm")
    doors = [door for door in knocking.doors_of(job) if door in knocking.AUTOMATIC]
    crowd.knock(_errands(doors, draw))
    assert _covered_through(deployment, job) == before, "a paused job has run"
    resume(engine, found, [found.zone])


def side_by_side_trial(deployment: Deployment, job: str, case: str, draw: random.Random) -> Finding:
    """Two jobs that deliver at the same moment, and a slow mail server."""
    scenario = SCENARIOS["deliver_messages"]
    scenario.load(deployment)
    expected = set(scenario.expected)
    for n in range(draw.randint(5, 15)):
        expected |= SCENARIOS["followups"].add(deployment, n)
    deployment.smtp.fail("slow", seconds=draw.uniform(0.005, 0.03))
    deployment.advance_to_slot()
    start = barrier(2)
    pipes = [Pipe() for _ in range(2)]
    children = [
        spawn(knocking.main, child_environment(), name, theirs, start)
        for name, (_, theirs) in zip(("followups", "deliver_messages"), pipes, strict=True)
    ]
    for ours, theirs in pipes:
        ours.send(["tick"])
        ours.send(None)
        theirs.close()
    assert [ended(child) for child in children] == [0, 0]
    for ours, _ in pipes:
        ours.close()
    deployment.deliver()
    return Finding.of(scenario.verify(deployment, expected), messages=len(expected))


def _covered_once(deployment: Deployment, job: str, begun: datetime) -> int:
    """The number of slots since `begun`, each covered by exactly one run."""
    runs = deployment.rows(
        "SELECT slot_from, slot_to, status FROM ponctuel.runs "
        "WHERE job = :job AND slot_from IS NOT NULL",
        job=job,
    )
    assert {run["status"] for run in runs} == {"succeeded"}
    found, second = jobs.job(job), timedelta(seconds=1)
    schedule = Schedule.parse(found.schedule, found.zone)
    slots = list(schedule.between(begun + second, _covered_through(deployment, job) + second))
    times = [sum(run["slot_from"] <= slot <= run["slot_to"] for run in runs) for slot in slots]
    # A quiet job keeps no row of a run that found nothing to do.
    assert set(times) <= ({0, 1} if found.quiet else {1}), "a slot is not covered by one run"
    return len(slots)


def _covered_through(deployment: Deployment, job: str) -> datetime:
    rows = deployment.rows("SELECT covered_through FROM ponctuel.job_state WHERE job = :j", j=job)
    covered: datetime = rows[0]["covered_through"]
    return covered
