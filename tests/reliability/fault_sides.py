"""The other side of the fault rates: Twilio, Meta and a mail server, what they do wrong, what they
tell afterwards and where they can be searched."""

from __future__ import annotations

import json
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, get_args
from urllib.parse import parse_qs, urlsplit

import pytest

import app
from chalicelib.outbox import events
from chalicelib.providers.mail import smtp
from chalicelib.providers.whatsapp import meta as meta_adapter
from chalicelib.providers.whatsapp import twilio as twilio_adapter
from chalicelib.webhooks import meta, twilio
from sandbox import smtp_faults, whatsapp_faults
from sandbox.http import Api
from sandbox.imap import ImapSandbox
from sandbox.whatsapp_http import Webhook
from sandbox.whatsapp_journal import Entry
from sandbox.whatsapp_meta import APP_SECRET, MetaSandbox, signature
from sandbox.whatsapp_twilio import TwilioSandbox
from tests.harness import PUBLIC_URL, Deployment

META_URL = f"{PUBLIC_URL}/webhooks/meta"
# These keep a call, and those beside it, waiting for its time-out.
SLOW = ("accept_then_silence", "accept_then_drip", "slow")
TIMEOUT_S = 0.5
# Throttled, nobody there, template paused, window closed: the answer, and what it is to us.
REFUSALS = {"twilio": (63018, 63024, 63041, 63016), "meta": (130429, 131026, 132015, 131047)}
# Of the webhooks, those that go through the route one by one; the others are read and applied.
THROUGH_THE_ROUTE = 0.02
AT_ONCE = 400


class Side(ABC):
    """`kind` of message channel; `name` of the provider. Minutes are simulated ones."""

    channel: str
    name: str

    def __init__(self, deployment: Deployment, draw: random.Random) -> None:
        self.deployment = deployment
        self.draw = draw

    @abstractmethod
    def misbehave(self, rate: float) -> None:
        """From now on, that share of the calls meets one of all the faults."""

    @abstractmethod
    def accepted(self) -> list[str]:
        """The name of each message that was accepted, as often as it was."""

    @abstractmethod
    def faults(self) -> int:
        """How many calls met one, as far as they were heard."""

    @abstractmethod
    def tell(self, minute: float) -> None:
        """What it has to say by then, about what it has accepted."""

    def names(self) -> Mapping[int, str]:
        """By message, what `accepted` calls it."""
        return {m["id"]: str(m["id"]) for m in self.deployment.messages()}

    @property
    def speaks_at(self) -> float | None:
        """The next minute at which it has something to say, None if there is none."""
        return None


class WhatsAppSide(Side):
    channel = "whatsapp"
    sandbox: TwilioSandbox | MetaSandbox

    def __init__(self, deployment: Deployment, draw: random.Random) -> None:
        super().__init__(deployment, draw)
        self._heard = 0
        self._due: list[tuple[float, Webhook]] = []

    def misbehave(self, rate: float) -> None:
        kinds = get_args(whatsapp_faults.FaultKind)
        weights = {kind: 0.2 if kind in SLOW else 1.0 for kind in kinds}
        share = rate / sum(weights.values())
        codes = REFUSALS[self.name]
        plan = [
            whatsapp_faults.Fault(
                kind, rate=share * weights[kind] / len(each), seconds=0.3, code=code
            )
            for kind in kinds
            for each in [codes if kind in ("refuse", "error_inside") else codes[:1]]
            for code in each
        ]
        self.sandbox.faults = whatsapp_faults.FaultPlan(
            self._one_after_the_other(plan), seed=self.draw.getrandbits(32)
        )

    def _one_after_the_other(
        self, plan: Sequence[whatsapp_faults.Fault]
    ) -> Iterator[whatsapp_faults.Fault]:
        """The first rule that goes off hides those behind it: they go off more often instead."""
        for before in (True, False):
            left = 1.0
            for fault in plan:
                if (fault.kind in whatsapp_faults.BEFORE_THE_CONTENT) is before:
                    values = {**vars(fault), "rate": fault.rate / left}
                    left -= fault.rate
                    yield whatsapp_faults.Fault(**values)

    def accepted(self) -> list[str]:
        return [entry.reference.partition("-")[2] for entry in self.sandbox.accepted()]

    def faults(self) -> int:
        received = self.sandbox.received()
        return sum(entry.outcome != "accepted" or entry.fault != "" for entry in received)

    @property
    def speaks_at(self) -> float | None:
        return min((at for at, _webhook in self._due), default=None)

    def tell(self, minute: float) -> None:
        for entry in self.sandbox.accepted()[self._heard :]:
            self._heard += 1
            self._due += self._webhooks(entry, minute)
        due = [webhook for at, webhook in self._due if at <= minute]
        self._due = [(at, webhook) for at, webhook in self._due if at > minute]
        self.draw.shuffle(due)
        posted = [webhook for webhook in due if self.draw.random() < THROUGH_THE_ROUTE]
        for webhook in posted:
            self._post(webhook)
        others = [webhook for webhook in due if webhook not in posted]
        for start in range(0, len(others), AT_ONCE):
            self._apply(others[start : start + AT_ONCE])

    def _webhooks(self, entry: Entry, minute: float) -> Iterator[tuple[float, Webhook]]:
        """Late, in any order, some of them twice or more."""
        last = "failed" if self.draw.random() < 0.02 else "delivered"
        for status, latest in (("sent", 4.0), (last, 10.0)):
            at = minute + self.draw.uniform(0, latest)
            webhook = self._status(entry, status)
            while True:
                yield at, webhook
                if self.draw.random() > 0.2:
                    break
                at += self.draw.uniform(0, 20)

    def _post(self, webhook: Webhook) -> None:
        parts = urlsplit(webhook.url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        reply = Api(app.app).call(webhook.method, path, headers=webhook.headers, body=webhook.body)
        assert reply.status == 200, reply.body

    @abstractmethod
    def _status(self, entry: Entry, status: str) -> Webhook: ...

    @abstractmethod
    def _apply(self, several: Sequence[Webhook]) -> None: ...


class Twilio(WhatsAppSide):
    """Lists what it has accepted; each webhook is about one message."""

    name = "twilio"

    def __init__(self, deployment: Deployment, draw: random.Random) -> None:
        super().__init__(deployment, draw)
        self.sandbox: TwilioSandbox = deployment.twilio

    def _status(self, entry: Entry, status: str) -> Webhook:
        word, code = ("undelivered", 63024) if status == "failed" else (status, None)
        return self.sandbox.status(entry, word, code)

    def _apply(self, several: Sequence[Webhook]) -> None:
        with self.deployment.database.begin() as connection:
            now = events.clock(connection)
            found = [
                event
                for webhook in several
                for event in twilio.read_status(
                    webhook.body, reference=_reference(webhook.url), received_at=now
                )
            ]
            events.apply(connection, found, received_at=now)


class Meta(WhatsAppSide):
    """Lists nothing: its webhooks, many in one, are the only proof."""

    name = "meta"

    def __init__(self, deployment: Deployment, draw: random.Random, sandbox: MetaSandbox) -> None:
        super().__init__(deployment, draw)
        self.sandbox: MetaSandbox = sandbox

    def _status(self, entry: Entry, status: str) -> Webhook:
        code = 131026 if status == "failed" else None
        return self.sandbox.status(META_URL, entry, status, code)

    def _apply(self, several: Sequence[Webhook]) -> None:
        told = [json.loads(webhook.body) for webhook in several]
        together = told[0] | {"entry": [entry for one in told for entry in one["entry"]]}
        body = json.dumps(together).encode()
        if len(several) < AT_ONCE // 4:  # Meta puts a thousand into one at most
            headers = dict(several[0].headers) | {
                "X-Hub-Signature-256": signature(APP_SECRET, body)
            }
            self._post(Webhook(META_URL, headers, body))
            return
        with self.deployment.database.begin() as connection:
            now = events.clock(connection)
            events.apply(connection, meta.read(body, received_at=now), received_at=now)


class MailServer(Side):
    """Files what it has accepted into the account's Sent folder, a minute or two later."""

    channel = "email"
    name = "smtp"

    def __init__(self, deployment: Deployment, draw: random.Random, imap: ImapSandbox) -> None:
        super().__init__(deployment, draw)
        self._imap = imap
        self._filed = 0
        imap.append("Sent", [b"Message-ID: <other@example.fr>\r\n\r\n."])

    def misbehave(self, rate: float) -> None:
        kinds = [kind for kind in get_args(smtp_faults.FaultKind) if kind != "refuse_auth"]
        weights = {kind: 0.2 if kind in SLOW else 1.0 for kind in kinds}
        share = rate / sum(weights.values())
        plan = [smtp_faults.Fault(kind, rate=share * weights[kind], seconds=0.3) for kind in kinds]
        self.deployment.smtp.faults = smtp_faults.FaultPlan(plan, seed=self.draw.getrandbits(32))

    def accepted(self) -> list[str]:
        return [entry.message_id for entry in self.deployment.smtp.accepted()]

    def faults(self) -> int:
        received = self.deployment.smtp.received()
        return sum(entry.outcome != "accepted" or entry.fault != "" for entry in received)

    def names(self) -> Mapping[int, str]:
        return {m["id"]: m["message_id"] for m in self.deployment.messages()}

    def tell(self, minute: float) -> None:
        new = self.deployment.smtp.accepted()[self._filed :]
        self._filed += len(new)
        # Those that were answered well are looked for by nobody: a few of them are enough.
        filed = [e for e in new if e.fault or self.draw.random() < 0.02]
        if filed:
            self._imap.append(
                "Sent", [f"Message-ID: {e.message_id}\r\n\r\n.".encode() for e in filed]
            )


@contextmanager
def opened(name: str, deployment: Deployment, draw: random.Random) -> Iterator[Side]:
    """The side, in the deployment's settings as long as the block lasts, with short time-outs."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SENDING_CONCURRENCY", "16")
        if name == "twilio":
            quick: Any = partial(twilio_adapter.TwilioProvider, call_timeout=TIMEOUT_S)
            patch.setattr(twilio_adapter, "TwilioProvider", quick)
            yield Twilio(deployment, draw)
        elif name == "meta":
            quick = partial(meta_adapter.MetaProvider, call_timeout=TIMEOUT_S)
            patch.setattr(meta_adapter, "MetaProvider", quick)
            sandbox = stack.enter_context(MetaSandbox(deployment.folder / "meta"))
            (deployment.folder / "meta" / "journal.jsonl").unlink(missing_ok=True)
            patch.setenv("WHATSAPP_URL", sandbox.url)
            patch.setenv("META_APP_SECRET", APP_SECRET)
            yield Meta(deployment, draw, sandbox)
        else:
            short = partial(smtp.SmtpSettings, command_timeout=2, answer_timeout=TIMEOUT_S)
            patch.setattr(smtp, "SmtpSettings", short)
            imap = stack.enter_context(ImapSandbox())
            patch.setenv("SENT_FOLDER_URL", imap.url("Sent"))
            yield MailServer(deployment, draw, imap)


def _reference(url: str) -> str | None:
    return parse_qs(urlsplit(url).query).get("message", [None])[0]
