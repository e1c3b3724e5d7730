"""The webhooks of the WhatsApp sandboxes are those of Twilio and Meta: signed and read alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.webhooks import meta as meta_webhooks
from chalicelib.webhooks import twilio as twilio_webhooks
from chalicelib.webhooks.events import InboundEvent, StatusEvent
from chalicelib.webhooks.signatures import meta_challenge, verify_meta, verify_twilio
from sandbox.contracts import Contract
from sandbox.whatsapp_http import Webhook
from sandbox.whatsapp_journal import Entry
from sandbox.whatsapp_meta import APP_SECRET, MetaSandbox
from sandbox.whatsapp_meta import signature as meta_signature
from sandbox.whatsapp_twilio import TOKEN, TwilioSandbox, signature
from tests.providers.whatsapps import (
    MESSAGE,
    PERSON,
    USER_ID,
    Stage,
    contract_of,
    message,
    staged,
)

URL = "https://relances.example/webhooks/meta"
NOW = datetime.now(UTC)


@pytest.fixture
def twilio(tmp_path: Path) -> Iterator[Stage]:
    with staged("twilio", tmp_path) as found:
        yield found


@pytest.fixture
def meta(tmp_path: Path) -> Iterator[Stage]:
    with staged("meta", tmp_path) as found:
        yield found


def entry_of(stage: Stage) -> Entry:
    assert stage.outcome(MESSAGE) == "accepted"
    return stage.sandbox.accepted()[-1]


def twilio_status(stage: Stage, status: str, code: int | None = None) -> Webhook:
    assert isinstance(stage.sandbox, TwilioSandbox)
    return stage.sandbox.status(entry_of(stage), status, code)


def meta_status(stage: Stage, status: str, code: int | None = None) -> Webhook:
    assert isinstance(stage.sandbox, MetaSandbox)
    return stage.sandbox.status(URL, entry_of(stage), status, code)


def test_twilios_status_carries_our_reference_and_a_signature_that_twilio_would_make(
    twilio: Stage,
) -> None:
    validator = pytest.importorskip("twilio.request_validator").RequestValidator(TOKEN)
    webhook = twilio_status(twilio, "undelivered", 63016)
    reference = parse_qs(urlsplit(webhook.url).query)["message"][0]
    form = dict(parse_qsl(webhook.body.decode(), keep_blank_values=True))
    assert validator.validate(webhook.url, form, webhook.headers["X-Twilio-Signature"])
    verify_twilio(
        url=webhook.url,
        body=webhook.body,
        content_type=webhook.headers["Content-Type"],
        signature=webhook.headers["X-Twilio-Signature"],
        tokens=(TOKEN,),
    )
    (event,) = twilio_webhooks.read_status(webhook.body, reference=reference, received_at=NOW)
    assert isinstance(event, StatusEvent)
    assert (event.reference, event.state, event.code) == ("3f2a91bc-42", "failed", "63016")
    assert event.provider_id == twilio.sandbox.accepted()[0].provider_id


@pytest.mark.parametrize("sender", [PERSON, USER_ID])
def test_somebody_answers_through_twilio(twilio: Stage, sender: str) -> None:
    assert isinstance(twilio.sandbox, TwilioSandbox)
    webhook = twilio.sandbox.inbound(URL, sender, "STOP 🙏 & merci")
    (event,) = twilio_webhooks.read_inbound(webhook.body, received_at=NOW)
    assert isinstance(event, InboundEvent)
    assert (event.from_, event.text) == (sender, "STOP 🙏 & merci")
    assert event.to == twilio.sandbox.number


@given(
    st.dictionaries(st.from_regex("[A-Za-z]{1,12}", fullmatch=True), st.text(max_size=30)),
    st.from_regex(r"https://[a-z]{1,9}\.example/[a-z]{0,5}(\?[a-z]=[0-9])?", fullmatch=True),
)
def test_any_form_is_signed_as_twilios_library_signs_it(form: dict[str, str], url: str) -> None:
    validator = pytest.importorskip("twilio.request_validator").RequestValidator(TOKEN)
    assert signature(TOKEN, url, form) == validator.compute_signature(url, form)


def test_metas_status_carries_our_reference_and_is_signed_over_its_bytes(meta: Stage) -> None:
    webhook = meta_status(meta, "failed", 131026)
    signed = webhook.headers["X-Hub-Signature-256"]
    verify_meta(body=webhook.body, signature=signed, app_secrets=(APP_SECRET,))
    (event,) = meta_webhooks.read(webhook.body, received_at=NOW)
    assert isinstance(event, StatusEvent)
    assert (event.reference, event.state, event.code) == ("3f2a91bc-42", "failed", "131026")
    assert meta_signature("another", webhook.body) != signed


@pytest.mark.parametrize("sender", [PERSON, USER_ID])
def test_somebody_answers_through_meta_with_the_number_or_without(meta: Stage, sender: str) -> None:
    assert isinstance(meta.sandbox, MetaSandbox)
    webhook = meta.sandbox.inbound(URL, sender, "Arrêt 🙏 שלום", reply_to="wamid.A=")
    (event,) = meta_webhooks.read(webhook.body, received_at=NOW)
    assert isinstance(event, InboundEvent)
    assert (event.from_, event.text) == (sender, "Arrêt 🙏 שלום")
    assert (event.to, event.in_reply_to) == (meta.sandbox.phone_number_id, "wamid.A=")


def test_meta_asks_whether_the_address_is_ours(meta: Stage) -> None:
    assert isinstance(meta.sandbox, MetaSandbox)
    webhook = meta.sandbox.verification(URL, "jeton de vérification", "1158201444")
    query = dict(parse_qsl(urlsplit(webhook.url).query))
    assert webhook.method == "GET"
    assert meta_challenge(query, ("jeton de vérification",)) == "1158201444"


@pytest.fixture(scope="module")
def metas_contract() -> Contract:
    found = contract_of("meta")
    if found is None:
        pytest.skip("the providers' OpenAPI documents are not here: set PONCTUEL_CONTRACTS")
    return found


@pytest.mark.parametrize("status", ["sent", "delivered", "read", "failed"])
def test_metas_statuses_agree_with_its_own_document(
    meta: Stage, status: str, metas_contract: Contract
) -> None:
    webhook = meta_status(meta, status, 131026 if status == "failed" else None)
    headers = {name.lower(): value for name, value in webhook.headers.items()}
    body = json.loads(webhook.body)
    path = "/whatsapp/webhooks"
    assert metas_contract.request_problems("POST", path, headers, body) == []
    assert metas_contract.request_problems("POST", path, headers, {"entry": []})


def shape(value: object) -> object:
    """The names and types of a JSON document, without its values."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else type(value).__name__


def test_metas_inbound_messages_look_like_its_own_example(
    meta: Stage, metas_contract: Contract
) -> None:
    """Its schema of them cannot be used: it names the one of outgoing messages instead."""
    assert isinstance(meta.sandbox, MetaSandbox)
    webhook = meta.sandbox.inbound(URL, PERSON, "Does it come in another colour?")
    examples = metas_contract.examples("POST", "/whatsapp/webhooks")
    assert shape(json.loads(webhook.body)) == shape(examples["Text Message"])


def test_a_webhook_can_be_sent_to_an_address_of_this_machine(twilio: Stage) -> None:
    with staged("meta", twilio.sandbox.folder / "ours") as ours:
        url = f"{ours.sandbox.base_url}/webhooks/twilio/status?stage=local"
        assert twilio.outcome(message(callback_url=url)) == "accepted"
        assert isinstance(twilio.sandbox, TwilioSandbox)
        webhook = twilio.sandbox.status(twilio.sandbox.accepted()[-1], "delivered")
        status, content = webhook.send()
        assert status == 401  # what stands there is no webhook, but it answered
        assert b"OAuthException" in content
        assert webhook.url == f"{url}&message=3f2a91bc-42"
