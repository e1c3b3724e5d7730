"""A mail server that misbehaves: nothing twice, nothing lost, uncertain only what is unknown."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from chalicelib.outbox.answers import FIRST_RETRY_S
from sandbox.proxy import Proxy
from sandbox.smtp_faults import FaultKind
from sandbox.whatsapp_faults import BEFORE_THE_CONTENT
from sandbox.whatsapp_faults import FaultKind as WhatsAppFaultKind
from tests.harness import Deployment
from tests.reliability.provider_faults import (
    KINDS,
    NOT_IN_THE_JOURNAL,
    WHATSAPP_KINDS,
    catch_up,
    impatient,
    mail_url,
    trial,
    whatsapp_trial,
)
from tests.reliability.scenarios import SCENARIOS, verdict

EXPECTED = SCENARIOS["followups"].expected
# Faults that would meet every message alike.
SENDER_WIDE: tuple[FaultKind, ...] = (
    "drop_at_connect",
    "drop_before_data",
    "throttle",
    "refuse_auth",
)


@pytest.fixture
def relances(deployment: Deployment) -> Iterator[Deployment]:
    """The scenario, on a server that asks for a password, with SMTP time-outs of a second."""
    SCENARIOS["followups"].load(deployment)
    with impatient(deployment):
        yield deployment


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_the_server_does_nothing_is_sent_twice_or_lost(
    deployment: Deployment, kind: FaultKind
) -> None:
    found = trial(deployment, "followups", kind, random.Random(kind), rates=[0.6])
    assert found.passed, found
    assert found.done["faults"] or kind in NOT_IN_THE_JOURNAL, "the fault has gone off"


@pytest.mark.parametrize("kind", WHATSAPP_KINDS)
def test_whatever_twilio_does_nothing_is_sent_twice_or_lost(
    deployment: Deployment, kind: WhatsAppFaultKind
) -> None:
    found = whatsapp_trial(deployment, "followups", kind, random.Random(kind), rates=[0.6])
    assert found.passed, found
    assert found.done["faults"] or kind in BEFORE_THE_CONTENT, "the fault has gone off"


@pytest.mark.parametrize("kind", SENDER_WIDE)
def test_a_fault_that_concerns_every_message_is_blamed_on_none(
    relances: Deployment, kind: FaultKind
) -> None:
    relances.smtp.fail(kind)
    relances.tick()
    for _ in range(2):
        relances.tick("deliver_messages", hours=0.1)
    _nothing_is_blamed(relances)
    catch_up(relances)
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
        catch_up(relances)
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
        catch_up(relances)
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
    monkeypatch.setenv("MAIL_URL", mail_url(port))


def _nothing_is_blamed(deployment: Deployment) -> None:
    """What goes by WhatsApp has left: another channel's server is no concern of its."""
    messages = deployment.messages()
    by_mail = [m for m in messages if m["channel"] == "email"]
    assert {(m["state"], m["attempts"]) for m in by_mail} == {("planned", 0)}
    assert len(messages) == len(EXPECTED)
    assert {m["state"] for m in messages if m["channel"] == "whatsapp"} == {"accepted"}
