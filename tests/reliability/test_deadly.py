"""An item, or a message, that kills the process that treats it: set aside, and the others done."""

from __future__ import annotations

import math
import signal
from datetime import timedelta

import pytest

from chalicelib import jobs
from chalicelib.outbox.claim import QUARANTINE_CLAIMS, SUSPECT_CLAIMS
from chalicelib.runner.acquire import DEATHS
from chalicelib.runner.lease import LEASE
from tests.database import Database
from tests.harness import NOW, Deployment
from tests.reliability import deadly_probe
from tests.reliability.child import ended, run, spawn
from tests.reliability.conftest import CONCURRENCY, child_environment
from tests.reliability.scenarios import SCENARIOS, verdict
from tests.runner.probe import Probe, Stand, job

HOUR = timedelta(hours=1)
ITEMS = [f"i{n:02}" for n in range(12)]
BATCH = 8
# At most DEATHS for each size of the batch, halved down to one item.
MOST_DEATHS = DEATHS * (math.ceil(math.log2(BATCH)) + 1)


@pytest.fixture
def stand(database: Database) -> Stand:
    database.set_clock(NOW)
    stand = Stand(database.engine())
    stand.install(*[(f"B{n % 3}", item) for n, item in enumerate(ITEMS)])
    stand.work(job())
    stand.advance(HOUR)
    return stand


# The jobs whose scenario sends the letters that these tests make deadly.
SENDING = [name for name in jobs.NAMES if name in SCENARIOS and SCENARIOS[name].expected]


@pytest.mark.parametrize("deadly", [("i05",), ("i00", "i11")])
def test_items_that_kill_the_process_are_set_aside_and_all_the_others_are_done_once(
    database: Database, stand: Stand, deadly: tuple[str, ...]
) -> None:
    deaths = _until_it_lives(stand, database.url, deadly)
    assert deaths <= MOST_DEATHS * len(deadly)
    assert sorted(stand.done()) == [item for item in ITEMS if item not in deadly]
    (run,) = stand.runs()
    counts = {"done": len(ITEMS) - len(deadly), "failed": len(deadly)}
    assert (run["status"], run["counts"]) == ("partial", counts)
    errors = stand.rows("SELECT item, code FROM ponctuel.run_errors ORDER BY item")
    assert errors == [{"item": item, "code": "quarantined"} for item in deadly]
    aside = stand.rows(
        "SELECT job, step, item, reason, released_at FROM ponctuel.quarantine ORDER BY item"
    )
    told = {"job": "probe", "step": "probe", "reason": "process_killed", "released_at": None}
    assert aside == [told | {"item": item} for item in deadly]


def test_an_item_in_quarantine_is_left_out_until_it_is_released(
    database: Database, stand: Stand
) -> None:
    _until_it_lives(stand, database.url, ("i05",), batch=1)
    stand.advance(HOUR)
    assert [r.status for r in stand.work(job(Probe(deadly="i05")))] == ["succeeded"]
    assert "i05" not in stand.done()
    with stand.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE ponctuel.quarantine SET released_at = ponctuel.clock()")
    stand.advance(HOUR)
    stand.work(job())
    assert stand.done().count("i05") == 1


def _until_it_lives(stand: Stand, url: str, deadly: tuple[str, ...], batch: int = BATCH) -> int:
    """Real processes, one after the other, each once the lease of the one before is over."""
    for deaths in range(4 * MOST_DEATHS):
        code = ended(spawn(deadly_probe.main, url, deadly, batch))
        if code == 0:
            return deaths
        assert code == -signal.SIGKILL
        stand.advance(LEASE + timedelta(seconds=1))
    raise AssertionError("the item is never set aside")


@pytest.mark.parametrize("job", SENDING)
def test_a_message_whose_letter_kills_the_process_is_set_aside_and_the_others_are_sent(
    deployment: Deployment, job: str
) -> None:
    SCENARIOS[job].load(deployment)
    deployment.advance_to_slot()
    assert run(child_environment(TEST_DEADLY="render:F2"), job) == -signal.SIGKILL
    deaths = 1 + _deliver_until_it_lives(deployment, "render:F2")
    assert deaths <= QUARANTINE_CLAIMS
    assert SUSPECT_CLAIMS < QUARANTINE_CLAIMS
    aside = deployment.messages(state="held")
    assert {(m["subject"], m["hold_reason"]) for m in aside} == {("F2", "quarantine")}
    expected = {key for key in SCENARIOS[job].expected if key[1] != "F2"}
    found = verdict(deployment, expected)
    # The answers to the calls before were in the memory of the process that died.
    assert found.pop("uncertain", 0) <= CONCURRENCY
    assert not found, found


@pytest.mark.parametrize("job", SENDING)
def test_a_message_that_kills_while_it_is_sent_is_uncertain_and_never_tried_again(
    deployment: Deployment, job: str
) -> None:
    SCENARIOS[job].load(deployment)
    deployment.advance_to_slot()
    assert run(child_environment(TEST_DEADLY="send:F2"), job) == -signal.SIGKILL
    assert _deliver_until_it_lives(deployment, "send:F2") == 0
    uncertain = deployment.messages(state="uncertain")
    assert "F2" in {m["subject"] for m in uncertain}
    found = verdict(deployment, SCENARIOS[job].expected)
    assert found.pop("uncertain") <= CONCURRENCY
    assert not found, found


def _deliver_until_it_lives(deployment: Deployment, deadly: str) -> int:
    """The outbox's own ticks, each once the claims of the process before are over."""
    for deaths in range(2 * QUARANTINE_CLAIMS):
        deployment.database.advance(timedelta(minutes=10))
        code = run(child_environment(TEST_DEADLY=deadly), "deliver_messages")
        if code == 0:
            return deaths
        assert code == -signal.SIGKILL
    raise AssertionError("the message is never set aside")
