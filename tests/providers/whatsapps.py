"""Messages and sandboxes for the tests of the WhatsApp providers."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from chalicelib.errors import OutcomeUnknown, ProviderError
from chalicelib.providers.whatsapp import open_whatsapp
from chalicelib.providers.whatsapp.meta import MetaProvider, MetaSettings
from chalicelib.providers.whatsapp.port import (
    Accepted,
    Template,
    Text,
    WhatsAppMessage,
    WhatsAppProvider,
)
from chalicelib.providers.whatsapp.twilio import TwilioProvider, TwilioSettings
from sandbox import contracts
from sandbox.whatsapp_meta import PHONE_NUMBER_ID, MetaSandbox
from sandbox.whatsapp_meta import TOKEN as META_TOKEN
from sandbox.whatsapp_server import WhatsAppSandbox
from sandbox.whatsapp_twilio import ACCOUNT, NUMBER, TOKEN, TwilioSandbox
from tests.providers.wire import Conversation, http_request, serving

PERSON = "+33612345678"
USER_ID = "FR.13491208655302741918"
CALLBACK = "https://relances.example/webhooks/twilio/status"
CONTENT_SID = "HX" + "a" * 32
TEMPLATE_NAMES = {"twilio": CONTENT_SID, "meta": "relance_facture"}

MESSAGE = WhatsAppMessage(
    reference="3f2a91bc-42",
    recipient=PERSON,
    content=Text("Bonjour, votre facture F-1042 (120 €) reste à régler."),
    callback_url=CALLBACK,
)


def message(**changes: Any) -> WhatsAppMessage:
    return replace(MESSAGE, **changes)


def template(provider: str, variables: Any = ("Léa", "F-1042"), language: str = "fr") -> Template:
    return Template(TEMPLATE_NAMES[provider], language, variables)


def provider_at(name: str, base_url: str, **timeouts: float) -> WhatsAppProvider:
    if name == "twilio":
        settings = TwilioSettings(ACCOUNT, ACCOUNT, TOKEN, NUMBER, base_url=base_url)
        return TwilioProvider(settings, **timeouts)
    return MetaProvider(MetaSettings(PHONE_NUMBER_ID, META_TOKEN, base_url=base_url), **timeouts)


@dataclass
class Stage:
    """A sandbox and one client of it."""

    name: str
    sandbox: WhatsAppSandbox
    provider: WhatsAppProvider

    def outcome(self, sent: WhatsAppMessage = MESSAGE) -> str:
        """`accepted`, `unknown`, or the error's code."""
        try:
            accepted = self.provider.send(sent)
        except ProviderError as error:
            return error.code
        except OutcomeUnknown:
            return "unknown"
        assert isinstance(accepted, Accepted)
        return "accepted"

    def refused(self, sent: WhatsAppMessage = MESSAGE) -> ProviderError:
        with pytest.raises(ProviderError) as error:
            self.provider.send(sent)
        return error.value


def contract_of(name: str) -> contracts.Contract | None:
    """The provider's own document, None where it is not at hand."""
    found = contracts.folder()
    if found is None:
        return None
    return contracts.contract(found / (contracts.TWILIO if name == "twilio" else contracts.META))


def saying(answer: bytes) -> Conversation:
    def conversation(client: socket.socket) -> None:
        http_request(client)
        client.sendall(answer)

    return conversation


def http(status: str, body: bytes, headers: str = "") -> Conversation:
    head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return saying(head.encode() + body)


@contextlib.contextmanager
def answering(
    name: str, status: str, body: object, headers: str = ""
) -> Iterator[WhatsAppProvider]:
    """A client of a provider that gives each request this answer: JSON, or bytes as they are."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with (
        serving(http(status, raw, headers)) as port,
        contextlib.closing(provider_at(name, f"http://127.0.0.1:{port}")) as provider,
    ):
        yield provider


@contextlib.contextmanager
def staged(name: str, folder: Path, *, checked: bool = False, **server: Any) -> Iterator[Stage]:
    """With `checked`, requests are held against the provider's own document: skipped without."""
    contract = contract_of(name) if checked else None
    if checked and contract is None:
        pytest.skip("the providers' OpenAPI documents are not here: set PONCTUEL_CONTRACTS")
    kind = TwilioSandbox if name == "twilio" else MetaSandbox
    with (
        kind(folder, contract=contract, **server) as sandbox,
        contextlib.closing(open_whatsapp(sandbox.url)()) as provider,
    ):
        yield Stage(name, sandbox, provider)
