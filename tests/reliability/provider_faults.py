"""A mail server, or a WhatsApp provider, that misbehaves in one way, at random."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import get_args

import pytest

from chalicelib.providers.mail import smtp
from chalicelib.providers.whatsapp import twilio
from chalicelib.providers.whatsapp.twilio import TwilioProvider
from sandbox.smtp_faults import Fault, FaultKind, FaultPlan
from sandbox.whatsapp_faults import BEFORE_THE_CONTENT
from sandbox.whatsapp_faults import Fault as WhatsAppFault
from sandbox.whatsapp_faults import FaultKind as WhatsAppFaultKind
from sandbox.whatsapp_faults import FaultPlan as WhatsAppFaultPlan
from tests.harness import OPERATOR, Deployment
from tests.reliability.recovery import recover
from tests.reliability.scenarios import SCENARIOS
from tests.reliability.trial import Finding

LOGIN = ("relances", "mot-de-passe")
# The answer is lost when the server has, or may have, accepted.
ANSWER_LOST = {"accept_then_silence", "accept_then_close", "drop_in_data"}
REFUSED = {"refuse_permanent", "too_large"}
NOT_IN_THE_JOURNAL = {"drop_at_connect", "refuse_auth"}
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
WHATSAPP_KINDS: tuple[WhatsAppFaultKind, ...] = get_args(WhatsAppFaultKind)
# Not accepted, and nobody can tell.
WHATSAPP_UNKNOWN = {*BEFORE_THE_CONTENT, "server_error", "redirect"}
WHATSAPP_REFUSED = {"refuse", "error_inside"}
# Nobody has that number; too many requests.
_CODES: dict[WhatsAppFaultKind, int] = {"refuse": 63024, "error_inside": 63024, "throttle": 20429}


@contextmanager
def impatient(deployment: Deployment) -> Iterator[None]:
    """The deployment's server asks for a password, and SMTP time-outs are of a second."""
    short = partial(smtp.SmtpSettings, command_timeout=1, answer_timeout=0.5)
    deployment.smtp.credentials = LOGIN
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smtp, "SmtpSettings", short)
        patch.setenv("MAIL_URL", mail_url(deployment.smtp.port))
        yield
    deployment.smtp.credentials = None


def mail_url(port: int) -> str:
    user, password = LOGIN
    return f"smtp://{user}:{password}@127.0.0.1:{port}?tls=none"


def trial(
    deployment: Deployment,
    job: str,
    case: str,
    draw: random.Random,
    *,
    rates: Sequence[float] = (0.1, 0.4, 0.9),
) -> Finding:
    """`case`: the fault, which meets a part of the messages. What was hit by it, and only
    that, ends uncertain or refused, when the fault says so; everything else is accepted."""
    (kind,) = (known for known in KINDS if known == case)
    scenario = SCENARIOS[job]
    scenario.load(deployment)
    with impatient(deployment):
        faults = [Fault(kind, rate=draw.choice(rates), seconds=0.1)]
        deployment.smtp.faults = FaultPlan(faults, seed=draw.getrandbits(32))
        deployment.advance_to_slot(job)
        deployment.tick(job, hours=0)
        deployment.tick("deliver_messages", hours=0.1)
        deployment.smtp.heal()
        recover(deployment, job)
    return _judged(deployment, job, kind)


def _judged(deployment: Deployment, job: str, kind: FaultKind) -> Finding:
    hit = {
        recipient
        for entry in deployment.smtp.received()
        if kind in (entry.outcome, entry.fault)
        for recipient in entry.recipients
        if recipient != OPERATOR
    }
    assert _recipients(deployment, "uncertain") == (hit if kind in ANSWER_LOST else set())
    assert _recipients(deployment, "refused") == (hit if kind in REFUSED else set())
    assert {m["state"] for m in deployment.messages()} <= {"accepted", "uncertain", "refused"}
    found = SCENARIOS[job].verify(deployment, SCENARIOS[job].expected)
    if kind in REFUSED:  # a refusal is an answer: it is not accepted, and not lost either
        assert found.pop("lost", 0) == len(hit)
    return Finding.of(found, bound=len(hit), faults=len(hit))


def whatsapp_trial(
    deployment: Deployment,
    job: str,
    case: str,
    draw: random.Random,
    *,
    rates: Sequence[float] = (0.1, 0.4, 0.9),
) -> Finding:
    """The same of Twilio. It lists what it has accepted, so that nothing of that stays uncertain;
    what it may have accepted, and has not, does."""
    (kind,) = (known for known in WHATSAPP_KINDS if known == case)
    scenario = SCENARIOS[job]
    scenario.load(deployment)
    expected = set(scenario.expected)
    for n in range(1, 12, 2):
        expected |= scenario.add(deployment, n)
    plan = [WhatsAppFault(kind, rate=draw.choice(rates), seconds=0.1, code=_CODES.get(kind, 0))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twilio, "TwilioProvider", partial(TwilioProvider, call_timeout=0.5))
        faults = WhatsAppFaultPlan(plan, seed=draw.getrandbits(32))
        deployment.twilio.faults = faults
        deployment.advance_to_slot(job)
        deployment.tick(job, hours=0)
        deployment.tick("deliver_messages", hours=0.1)
        deployment.twilio.heal()
        recover(deployment, job)
    found = scenario.verify(deployment, expected)
    by_whatsapp = deployment.messages(channel="whatsapp")
    outcome = str(_CODES[kind]) if kind == "refuse" else kind
    entries = deployment.twilio.received()
    hit = [entry for entry in entries if entry.outcome == outcome or entry.fault == kind]
    if kind in WHATSAPP_REFUSED:
        refused = sum(m["state"] == "refused" for m in by_whatsapp)
        assert found.pop("lost", 0) == refused <= len(hit)
    may_be_lost = len(by_whatsapp) if kind in BEFORE_THE_CONTENT else len(hit)
    bound = may_be_lost if kind in WHATSAPP_UNKNOWN else 0
    return Finding.of(found, bound=bound, faults=len(hit))


def catch_up(deployment: Deployment) -> None:
    """What the outbox's ticks do once the server works, and waits between attempts are over."""
    deployment.smtp.heal()
    for _ in range(2):
        deployment.tick("deliver_messages", hours=1)


def _recipients(deployment: Deployment, state: str) -> set[str]:
    return {m["recipient"] for m in deployment.messages(channel="email", state=state)}
