"""A database that is down, cut, slow, silent or read-only: nothing lost, nothing twice, no hang."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, make_url
from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000

from chalicelib import jobs
from chalicelib.db import engine as database_engine
from chalicelib.errors import DatabaseUnavailable
from chalicelib.outbox import deliver
from chalicelib.runner import engine, invocation
from chalicelib.runner.change import Change
from chalicelib.runner.job import Step
from sandbox.proxy import Failure, Proxy
from tests.database import Database
from tests.harness import NOW, Deployment
from tests.reliability.scenarios import SCENARIOS, at_all_hours, verdict
from tests.runner.probe import DUE, Stand
from tests.runner.probe import job as probe

# pg8000 leaves the socket of a handshake that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

DRAWS = int(os.environ.get("PONCTUEL_DRAWS", "2"))
# Every wait is as in production, forty times shorter.
SHORTER = 40
SOCKET_TIMEOUT_S = database_engine.SOCKET_TIMEOUT_S / SHORTER
# An invocation with so little time does not wait for the database to come back.
HURRIED_S = 60.0


@dataclass
class Wire:
    """What stands between the handlers and the server; the test itself goes straight there."""

    deployment: Deployment
    proxy: Proxy
    direct: str
    through: str

    def tick(self, job: str, **options: Any) -> None:
        """A tick whose database is behind the proxy."""
        os.environ["DATABASE_URL"] = self.through
        try:
            self.deployment.tick(job, **options)
        finally:
            os.environ["DATABASE_URL"] = self.direct
            # A run that ended early leaves failures that were meant for it.
            self.proxy._failures.clear()


@pytest.fixture
def wire(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    direct = deployment.database.url
    url = make_url(direct)
    unix = url.query.get("unix_sock")
    monkeypatch.setattr(invocation, "make_engine", _make_engine)
    for name in ("IDLE_IN_TRANSACTION_MS", "LOCK_TIMEOUT_MS"):
        limit = getattr(database_engine, name) // SHORTER
        monkeypatch.setattr(database_engine, name, limit)
    for module in (engine, deliver):
        monkeypatch.setattr(module, "time", _Hurried)
    with Proxy(str(unix) if unix else (str(url.host), url.port or 5432)) as proxy:
        proxy._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        through = url.set(host=proxy.host, port=proxy.port, query={})
        yield Wire(deployment, proxy, direct, through.render_as_string(hide_password=False))


def _make_engine(*arguments: Any, **options: Any) -> Engine:
    """With the short time-out, and without the 40 ms that Nagle's algorithm and a delayed
    acknowledgement cost each statement of more than 8 KiB on a loopback."""
    made = database_engine.make_engine(
        *arguments, **options | {"socket_timeout_s": SOCKET_TIMEOUT_S}
    )

    def send_at_once(connection: Any, _record: object) -> None:
        if connection._usock.family == socket.AF_INET:
            connection._usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    event.listen(made, "connect", send_at_once)
    return made


class _Hurried:
    """The module `time`, whose sleeps are short."""

    monotonic = time.monotonic

    @staticmethod
    def sleep(seconds: float) -> None:
        time.sleep(seconds / SHORTER)


@pytest.mark.parametrize("job", jobs.NAMES)
def test_a_database_that_is_down_is_said_in_french_and_the_work_is_done_once_it_is_back(
    deployment: Deployment, wire: Wire, job: str
) -> None:
    SCENARIOS[job].load(deployment)
    wire.proxy.refuse()
    with pytest.raises(DatabaseUnavailable, match="Vérifiez DATABASE_URL"):
        wire.tick(job)
    wire.proxy.accept()
    wire.tick(job, hours=0)
    assert not verdict(deployment, SCENARIOS[job].expected)


@pytest.mark.parametrize("job", jobs.NAMES)
def test_a_read_only_database_is_said_in_french_and_nothing_is_sent(
    deployment: Deployment, job: str
) -> None:
    SCENARIOS[job].load(deployment)
    deployment.advance_to_slot()
    name = deployment.database.name
    deployment.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    with pytest.raises(DatabaseUnavailable, match="lecture seule"):
        deployment.tick(job, hours=0)
    assert deployment.smtp.received() == []
    deployment.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    deployment.tick(job, hours=0)
    assert not verdict(deployment, SCENARIOS[job].expected)


def test_a_slow_database_only_takes_longer(deployment: Deployment, wire: Wire) -> None:
    SCENARIOS["followups"].load(deployment)
    wire.proxy.latency = 0.01
    wire.tick("followups")
    assert not verdict(deployment, SCENARIOS["followups"].expected)


@pytest.mark.parametrize("job", jobs.NAMES)
def test_a_database_that_says_nothing_holds_the_process_no_longer_than_its_time_out(
    deployment: Deployment, wire: Wire, job: str
) -> None:
    SCENARIOS[job].load(deployment)
    wire.proxy.half_open = True
    begun = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match="Vérifiez DATABASE_URL"):
        wire.tick(job, seconds=HURRIED_S)
    assert time.monotonic() - begun < 5 * SOCKET_TIMEOUT_S
    wire.proxy.cut()
    wire.proxy.half_open = False
    wire.tick(job, hours=0)
    assert not verdict(deployment, SCENARIOS[job].expected)


@pytest.mark.parametrize("failure", ["cut", "cut_answer", "half_open"])
@pytest.mark.parametrize("job", jobs.NAMES)
def test_a_connection_that_breaks_anywhere_loses_nothing_and_repeats_nothing(
    deployment: Deployment, wire: Wire, job: str, failure: Failure
) -> None:
    scenario = SCENARIOS[job]
    scenario.load(deployment)
    at_all_hours(deployment)
    expected = set(scenario.expected)
    wire.tick(job)
    bursts = wire.proxy.round_trips
    draw = random.Random(f"{job}/{failure}")
    for n in range(DRAWS):
        expected |= scenario.add(deployment, 2 * n) | scenario.add(deployment, 2 * n + 1)
        wire.proxy.fail_at(draw.randint(1, bursts), failure)
        with suppress(DatabaseUnavailable):
            wire.tick(job)
        _end_idle_transactions(deployment)
        deployment.tick(job, hours=0.15)
    _catch_up(deployment)
    found = verdict(deployment, expected)
    assert not found, found


# It delivers too; `make prove` takes the others.
@pytest.mark.parametrize("job", jobs.NAMES if "PONCTUEL_DRAWS" in os.environ else ["followups"])
def test_a_commit_whose_answer_is_lost_is_neither_repeated_nor_forgotten(
    deployment: Deployment, wire: Wire, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    """Each commit of the job in turn: the transaction is in the ledger, and nobody knows."""
    monkeypatch.setenv("SENDING_CONCURRENCY", "1")
    scenario = SCENARIOS[job]
    scenario.load(deployment)
    at_all_hours(deployment)
    commits = _Commits(monkeypatch, wire.proxy)
    wire.tick(job)
    expected, total, nth = set(scenario.expected), 1, 0
    while nth <= total:
        expected |= scenario.add(deployment, 2 * nth) | scenario.add(deployment, 2 * nth + 1)
        deployment.advance_to_slot()
        commits.lose(nth)
        with suppress(DatabaseUnavailable):
            wire.tick(job, hours=0)
        if nth == 0:  # as it goes when nothing is lost
            total = commits.seen
        commits.lose(0)
        deployment.tick(job, hours=0.15)
        nth += 1
    _catch_up(deployment)
    found = verdict(deployment, expected)
    assert not found, found


class _Commits:
    """Counts the commits; of one of them, what the server answers is lost."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, proxy: Proxy) -> None:
        self.seen = self._chosen = self._bursts = 0
        commit = PGDialect_pg8000.do_commit

        def do_commit(dialect: Any, connection: Any) -> None:
            self.seen += 1
            before = proxy.round_trips
            if self.seen == self._chosen:
                proxy.fail_at(self._bursts, "cut_answer")
            commit(dialect, connection)  # type: ignore[no-untyped-call]  # SQLAlchemy's
            # Parsed, described, executed: the last one is the commit.
            self._bursts = max(self._bursts, proxy.round_trips - before)

        monkeypatch.setattr(PGDialect_pg8000, "do_commit", do_commit)

    def lose(self, nth: int) -> None:
        """The n-th commit from now on; 0: none."""
        self.seen, self._chosen = 0, nth


def _catch_up(deployment: Deployment) -> None:
    """Once the claims of the last process are over."""
    for _ in range(2):
        deployment.tick("deliver_messages", hours=0.15)


def _end_idle_transactions(deployment: Deployment) -> None:
    """What the server does by itself after `idle_in_transaction_session_timeout`."""
    deployment.rows(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND state = 'idle in transaction'"
    )


def test_a_row_that_somebody_keeps_locked_holds_up_its_own_item_only(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_engine, "LOCK_TIMEOUT_MS", 50)
    monkeypatch.setattr(engine, "time", _Hurried)
    database.set_clock(NOW)
    stand = Stand(database.engine())
    items = [f"i{n}" for n in range(8)]
    stand.install(*[("B1", item) for item in items])
    touch = "UPDATE ponctuel.probe_due SET business_id = '' WHERE item IN (SELECT item FROM batch)"
    touching = probe(steps=(Step("touch", DUE, Change(touch, counted_as="touched")),))
    stand.work(touching)
    stand.advance(timedelta(hours=1))
    with database.begin() as other:
        other.exec_driver_sql("SELECT * FROM ponctuel.probe_due WHERE item = 'i3' FOR UPDATE")
        assert [result.status for result in stand.work(touching)] == ["partial"]
    left = stand.rows("SELECT item FROM ponctuel.probe_due WHERE business_id = 'B1'")
    assert [row["item"] for row in left] == ["i3"]
    (error,) = stand.rows("SELECT item, error FROM ponctuel.run_errors")
    assert error["item"] == "i3"
    assert "verrouillé" in error["error"]
