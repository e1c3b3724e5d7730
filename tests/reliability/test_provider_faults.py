"""A mail server that misbehaves: nothing twice, nothing lost, uncertain only what is unknown."""

from __future__ import annotations

import os
from functools import partial
from typing import get_args

import pytest

from chalicelib.outbox.answers import FIRST_RETRY_S
from chalicelib.providers.mail import smtp
from sandbox.proxy import Proxy
from sandbox.smtp_faults import Fault, FaultKind, FaultPlan
from tests.harness import Deployment
from tests.reliability.scenarios import SCENARIOS, verdict

DRAWS = int(os.environ.get("PONCTUEL_DRAWS", "1"))
EXPECTED = SCENARIOS["followups"].expected
OPERATOR = "astreinte@ponctuel.example"
RATE = 0.4
LOGIN = ("relances", "mot-de-passe")
# The answer is lost when the server has, or may have, accepted.
ANSWER_LOST = {"accept_then_silence", "accept_then_close", "drop_in_data"}
REFUSED = {"refuse_permanent", "too_large"}
NOT_IN_THE_JOURNAL = {"drop_at_connect", "refuse_auth"}
# Faults that would meet every message alike.
SENDER_WIDE: tuple[FaultKind, ...] = (
    "drop_at_connect",
    "drop_before_data",
    "throttle",
    "refuse_auth",
)


@pytest.fixture
def relances(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """The scenario, on a server that asks for a password, with SMTP time-outs of a second."""
    short = partial(smtp.SmtpSettings, command_timeout=1, answer_timeout=0.5)
    monkeypatch.setattr(smtp, "SmtpSettings", short)
    deployment.smtp.credentials = LOGIN
    _send_through(deployment.smtp.port, monkeypatch)
    SCENARIOS["followups"].load(deployment)
    return deployment


@pytest.mark.parametrize("kind", get_args(FaultKind))
@pytest.mark.parametrize("seed", range(DRAWS))
def test_whatever_the_server_does_nothing_is_sent_twice_or_lost(
    relances: Deployment, kind: FaultKind, seed: int
) -> None:
    relances.smtp.faults = FaultPlan([Fault(kind, rate=RATE, seconds=0.1)], seed=seed)
    relances.tick()
    relances.tick("deliver_messages", hours=0.1)
    _heal_and_catch_up(relances)

    hit = {
        recipient
        for entry in relances.smtp.received()
        if kind in (entry.outcome, entry.fault)
        for recipient in entry.recipients
        if recipient != OPERATOR
    }
    assert hit or kind in NOT_IN_THE_JOURNAL or seed, "the fault has gone off"
    assert _recipients(relances, "uncertain") == (hit if kind in ANSWER_LOST else set())
    assert _recipients(relances, "refused") == (hit if kind in REFUSED else set())
    assert {m["state"] for m in relances.messages()} <= {"accepted", "uncertain", "refused"}
    found = verdict(relances, EXPECTED)
    found.pop("uncertain", None)
    assert found.pop("lost", 0) == (len(hit) if kind in REFUSED else 0), "refused is not accepted"
    assert not found, found


@pytest.mark.parametrize("kind", SENDER_WIDE)
def test_a_fault_that_concerns_every_message_is_blamed_on_none(
    relances: Deployment, kind: FaultKind
) -> None:
    relances.smtp.fail(kind)
    relances.tick()
    for _ in range(2):
        relances.tick("deliver_messages", hours=0.1)
    _nothing_is_blamed(relances)
    _heal_and_catch_up(relances)
    assert not verdict(relances, EXPECTED)


@pytest.mark.parametrize("down", ["refused", "half_open"])
def test_a_server_that_is_down_delays_every_message_and_loses_none(
    relances: Deployment, monkeypatch: pytest.MonkeyPatch, down: str
) -> None:
    with Proxy(("127.0.0.1", relances.smtp.port)) as proxy:
        _send_through(proxy.port, monkeypatch)
        if down == "refused":
            proxy.refuse()
        else:
            proxy.half_open = True
        relances.tick()
        relances.tick("deliver_messages", hours=0.1)
        _nothing_is_blamed(relances)
        proxy.cut()
        proxy.half_open = False
        proxy.accept()
        _heal_and_catch_up(relances)
    assert not verdict(relances, EXPECTED)


def test_a_connection_that_goes_silent_in_the_middle_leaves_uncertain_only_what_was_in_flight(
    relances: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENDING_CONCURRENCY", "1")
    with Proxy(("127.0.0.1", relances.smtp.port)) as proxy:
        _send_through(proxy.port, monkeypatch)
        for burst in (7, 20, 29):
            proxy.fail_at(burst, "half_open")
        relances.tick()
        _heal_and_catch_up(relances)
    found = verdict(relances, EXPECTED)
    assert found.pop("uncertain", 0) <= 3
    assert not found, found


def test_a_message_refused_again_and_again_is_given_up_after_its_attempts(
    relances: Deployment,
) -> None:
    relances.smtp.fail("refuse_temporary", recipient="k1@")
    relances.tick()
    for attempts in range(1, 8):
        assert relances.messages(subject="F1", business_id="B1")[0]["attempts"] == attempts
        longest = 1.5 * FIRST_RETRY_S * 2 ** (attempts - 1)
        relances.tick("deliver_messages", hours=longest / 3600)
    (message,) = relances.messages(subject="F1", business_id="B1")
    assert (message["state"], message["attempts"]) == ("refused", 8)
    assert len(relances.messages(state="accepted")) == len(EXPECTED) - 1


def _send_through(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    user, password = LOGIN
    monkeypatch.setenv("MAIL_URL", f"smtp://{user}:{password}@127.0.0.1:{port}?tls=none")


def _heal_and_catch_up(deployment: Deployment) -> None:
    """What the outbox's ticks do once the server works, and waits between attempts are over."""
    deployment.smtp.heal()
    for _ in range(2):
        deployment.tick("deliver_messages", hours=1)


def _recipients(deployment: Deployment, state: str) -> set[str]:
    return {m["recipient"] for m in deployment.messages(state=state)}


def _nothing_is_blamed(deployment: Deployment) -> None:
    messages = deployment.messages()
    assert {(m["state"], m["attempts"]) for m in messages} == {("planned", 0)}
    assert len(messages) == len(EXPECTED)
