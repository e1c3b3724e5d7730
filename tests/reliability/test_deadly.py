"""An item, or a message, that kills the process that treats it: set aside, and the others done."""

from __future__ import annotations

import random

import pytest

from chalicelib.outbox.claim import QUARANTINE_CLAIMS, SUSPECT_CLAIMS
from tests.harness import Deployment
from tests.reliability import deadly
from tests.reliability.sample import dealt
from tests.runner.probe import Probe, job


@pytest.mark.parametrize("n", range(2))
def test_items_that_kill_the_process_are_set_aside_and_all_the_others_are_done_once(
    deployment: Deployment, n: int
) -> None:
    found = deadly.items_trial(deployment, "engine", "", random.Random(n))
    assert found.passed, found


def test_an_item_in_quarantine_is_left_out_until_it_is_released(deployment: Deployment) -> None:
    stand = deadly.probing(deployment, [f"i{n:02}" for n in range(12)])
    deadly.until_it_lives(stand, deployment.database.url, ("i05",), 1)
    stand.advance(deadly.HOUR)
    assert [r.status for r in stand.work(job(Probe(deadly="i05")))] == ["succeeded"]
    assert "i05" not in stand.done()
    with stand.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE ponctuel.quarantine SET released_at = ponctuel.clock()")
    stand.advance(deadly.HOUR)
    stand.work(job())
    assert stand.done().count("i05") == 1


@pytest.mark.parametrize(("job", "where"), dealt(("render", "send"), of_calls=("render", "send")))
def test_a_letter_that_kills_the_process_is_set_aside_or_uncertain_and_the_others_are_sent(
    deployment: Deployment, job: str, where: str
) -> None:
    found = deadly.letters_trial(deployment, job, where, random.Random(f"{job}/{where}"))
    assert found.passed, found


def test_a_message_is_claimed_alone_before_it_is_set_aside() -> None:
    assert SUSPECT_CLAIMS < QUARANTINE_CLAIMS
