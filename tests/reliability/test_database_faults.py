"""A database that is down, cut, slow, silent or read-only: nothing lost, nothing twice, no hang."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from chalicelib import jobs
from chalicelib.db import engine as database_engine
from chalicelib.errors import DatabaseUnavailable
from chalicelib.runner import engine
from chalicelib.runner.change import Change
from chalicelib.runner.job import Step
from sandbox.proxy import Failure
from tests.database import Database
from tests.harness import NOW, Deployment
from tests.reliability.database_faults import FAILURES, commits_trial, cuts_trial
from tests.reliability.sample import dealt
from tests.reliability.scenarios import SCENARIOS, verdict
from tests.reliability.wire import SOCKET_TIMEOUT_S, Hurried, Wire, wired
from tests.runner.probe import DUE, Stand
from tests.runner.probe import job as probe

# pg8000 leaves the socket of a handshake that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

# An invocation with so little time does not wait for the database to come back.
HURRIED_S = 60.0


@pytest.fixture
def wire(deployment: Deployment) -> Iterator[Wire]:
    with wired(deployment) as wire:
        yield wire


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
    assert not SCENARIOS[job].verify(deployment, SCENARIOS[job].expected)


@pytest.mark.parametrize("job", jobs.NAMES)
def test_a_read_only_database_is_said_in_french_and_nothing_is_sent(
    deployment: Deployment, job: str
) -> None:
    SCENARIOS[job].load(deployment)
    deployment.advance_to_slot()
    name = deployment.database.name
    deployment.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    deployment.database.forget_connections()
    with pytest.raises(DatabaseUnavailable, match="lecture seule"):
        deployment.tick(job, hours=0)
    assert deployment.smtp.received() == []
    deployment.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    deployment.database.forget_connections()
    deployment.tick(job, hours=0)
    assert not SCENARIOS[job].verify(deployment, SCENARIOS[job].expected)


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
    assert not SCENARIOS[job].verify(deployment, SCENARIOS[job].expected)


@pytest.mark.parametrize(("job", "failure"), dealt(FAILURES))
def test_a_connection_that_breaks_anywhere_loses_nothing_and_repeats_nothing(
    deployment: Deployment, job: str, failure: Failure
) -> None:
    found = cuts_trial(deployment, job, failure, random.Random(f"{job}/{failure}"), ticks=2)
    assert found.passed, found


def test_a_commit_whose_answer_is_lost_is_neither_repeated_nor_forgotten(
    deployment: Deployment,
) -> None:
    found = commits_trial(deployment, "followups", "", random.Random(1))
    assert found.passed, found


def test_a_row_that_somebody_keeps_locked_holds_up_its_own_item_only(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_engine, "LOCK_TIMEOUT_MS", 50)
    monkeypatch.setattr(engine, "time", Hurried())
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
