"""Connections to the database that break at random, and commits whose answer is lost."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any, get_args

import pytest
from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000

from chalicelib.errors import DatabaseUnavailable
from sandbox.proxy import Failure, Proxy
from tests.harness import Deployment
from tests.reliability.recovery import end_idle_transactions, recover
from tests.reliability.scenarios import SCENARIOS, at_all_hours
from tests.reliability.trial import Finding
from tests.reliability.wire import wired

FAILURES: tuple[Failure, ...] = get_args(Failure)


def cuts_trial(
    deployment: Deployment, job: str, case: str, draw: random.Random, *, ticks: int = 4
) -> Finding:
    """`case`: how the connection breaks, at any burst of each of some ticks."""
    (failure,) = (known for known in FAILURES if known == case)
    scenario = SCENARIOS[job]
    scenario.load(deployment)
    at_all_hours(deployment)
    expected = set(scenario.expected)
    with wired(deployment) as wire:
        wire.tick(job)
        bursts = wire.proxy.round_trips
        for n in range(ticks):
            expected |= scenario.add(deployment, 2 * n) | scenario.add(deployment, 2 * n + 1)
            deployment.advance_to_slot(job)
            wire.proxy.fail_at(draw.randint(1, bursts), failure)
            with suppress(DatabaseUnavailable):
                wire.tick(job, hours=0)
            end_idle_transactions(deployment)
            deployment.tick(job, hours=0.15)
    recover(deployment, job)
    return Finding.of(scenario.verify(deployment, expected), cuts=ticks)


def commits_trial(deployment: Deployment, job: str, case: str, draw: random.Random) -> Finding:
    """Each commit of the job in turn: the transaction is in the ledger, and nobody knows."""
    scenario = SCENARIOS[job]
    scenario.load(deployment)
    at_all_hours(deployment)
    expected, total, nth = set(scenario.expected), 1, 0
    with pytest.MonkeyPatch.context() as patch, wired(deployment) as wire:
        patch.setenv("SENDING_CONCURRENCY", "1")
        commits = _Commits(patch, wire.proxy)
        wire.tick(job)
        while nth <= total:
            for _ in range(draw.randint(1, 3)):
                expected |= scenario.add(deployment, len(expected))
            deployment.advance_to_slot(job)
            commits.lose(nth)
            with suppress(DatabaseUnavailable):
                wire.tick(job, hours=0)
            if nth == 0:  # as it goes when nothing is lost
                total = commits.seen
            commits.lose(0)
            deployment.tick(job, hours=0.15)
            nth += 1
    recover(deployment, job)
    return Finding.of(scenario.verify(deployment, expected), commits=total)


class _Commits:
    """Counts the commits; of one of them, what the server answers is lost."""

    def __init__(self, patch: pytest.MonkeyPatch, proxy: Proxy) -> None:
        self.seen = self._chosen = self._bursts = 0
        commit = PGDialect_pg8000.do_commit

        def do_commit(dialect: Any, connection: Any) -> None:
            self.seen += 1
            before = proxy.round_trips
            if self.seen == self._chosen:
                proxy.fail_at(self._bursts, "cut_answer")
            commit(dialect, connection)  # type: ignore[no-untyped-call]  # SQLAlchemy's
            # However the driver divides it, the last burst is the commit.
            self._bursts = max(self._bursts, proxy.round_trips - before)

        patch.setattr(PGDialect_pg8000, "do_commit", do_commit)

    def lose(self, nth: int) -> None:
        """The n-th commit from now on; 0: none."""
        self.seen, self._chosen = 0, nth
