"""What providers post, through API Gateway's events, signed as they sign."""

from __future__ import annotations

import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types

from chalicelib.providers.whatsapp import open_whatsapp, port
from chalicelib.providers.whatsapp.port import Text, WhatsAppMessage
from chalicelib.routes import webhooks
from chalicelib.routes.openapi import JSON
from chalicelib.routes.schemas import SCHEMAS
from sandbox.http import Reply
from sandbox.whatsapp_http import Webhook
from sandbox.whatsapp_journal import Entry
from sandbox.whatsapp_meta import APP_SECRET, MetaSandbox
from sandbox.whatsapp_meta import signature as meta_signature
from sandbox.whatsapp_twilio import TOKEN, TwilioSandbox
from sandbox.whatsapp_twilio import signature as twilio_signature
from tests.outbox.ledger import PERSON, USER_ID, message, named, row, rows, suppressed
from tests.routes.doors import CANARY, Door
from tests.webhooks import posts

PUBLIC_URL = "https://ponctuel.example.fr/api"
META_URL = f"{PUBLIC_URL}{webhooks.META}"
STATUS_URL = f"{PUBLIC_URL}{webhooks.STATUS}"
INBOUND_URL = f"{PUBLIC_URL}{webhooks.INBOUND}"
VERIFY_TOKEN = "Zk3vQ8wLr2Ty6Hn9"


@pytest.fixture
def door(door: Door, monkeypatch: pytest.MonkeyPatch) -> Door:
    monkeypatch.setenv("PUBLIC_URL", PUBLIC_URL)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("META_APP_SECRET", APP_SECRET)
    monkeypatch.setenv("META_VERIFY_TOKEN", VERIFY_TOKEN)
    return door


@pytest.fixture
def twilio(tmp_path: Path) -> Iterator[TwilioSandbox]:
    with TwilioSandbox(tmp_path / "twilio") as sandbox:
        yield sandbox


@pytest.fixture
def meta(tmp_path: Path) -> Iterator[MetaSandbox]:
    with MetaSandbox(tmp_path / "meta") as sandbox:
        yield sandbox


def sent(door: Door, sandbox: Any, **changes: Any) -> tuple[int, Entry]:
    """A message that is being submitted, and what the provider took of it."""
    database = door.deployment.database
    number = message(database, state="submitting", proof_at=None, **changes)
    provider = open_whatsapp(sandbox.url)()
    provider.send(
        WhatsAppMessage(named(database, number), PERSON, Text("Bonjour"), callback_url=STATUS_URL)
    )
    provider.close()
    return number, sandbox.accepted()[-1]


def post(door: Door, webhook: Webhook, **changes: Any) -> Reply:
    """Posts it as API Gateway passes it on, at the address that is below PUBLIC_URL."""
    parts = urlsplit(webhook.url)
    path = parts.path.removeprefix("/api") + (f"?{parts.query}" if parts.query else "")
    given = {"headers": webhook.headers, "body": webhook.body} | changes
    return door.outside(webhook.method, path, **given)


def state(door: Door, number: int) -> str:
    return str(row(door.deployment.database, number)["state"])


def refused(door: Door) -> list[Any]:
    return rows(door.deployment.database, "SELECT path, code FROM ponctuel.refused_calls")


def test_twilios_status_comes_before_our_own_commit_and_again_and_in_any_order(
    door: Door, twilio: TwilioSandbox
) -> None:
    number, entry = sent(door, twilio)
    delivered, queued = twilio.status(entry, "delivered"), twilio.status(entry, "queued")
    for webhook in (delivered, queued, delivered):
        reply = post(door, webhook)
        assert (reply.status, reply.json()) == (200, {"success": True, "received": 1})
        assert state(door, number) == "delivered"
    assert row(door.deployment.database, number)["provider_id"] == entry.provider_id
    assert len(rows(door.deployment.database, "SELECT 1 FROM ponctuel.webhook_events")) == 2


def test_metas_statuses_move_the_message(door: Door, meta: MetaSandbox) -> None:
    number, entry = sent(door, meta)
    assert post(door, meta.status(META_URL, entry, "failed", 131026)).status == 200
    assert state(door, number) == "failed"
    assert [entry[3] for entry in suppressed(door.deployment.database)] == ["unreachable"]


@pytest.mark.parametrize("sender", [PERSON, USER_ID])
def test_a_stop_through_twilio_is_obeyed_and_answered_with_empty_twiml(
    door: Door, twilio: TwilioSandbox, sender: str
) -> None:
    sent(door, twilio, contact=sender)
    reply = post(door, twilio.inbound(INBOUND_URL, sender, "STOP 🙏 svp"))
    assert (reply.status, reply.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    assert reply.body.endswith(b"<Response/>")
    assert suppressed(door.deployment.database) == [("B1", sender, "*", "stop")]
    post(door, twilio.inbound(INBOUND_URL, sender, "START"))
    assert suppressed(door.deployment.database) == []


@pytest.mark.parametrize("sender", [PERSON, USER_ID])
def test_a_stop_through_meta_is_obeyed(door: Door, meta: MetaSandbox, sender: str) -> None:
    sent(door, meta, contact=sender)
    assert post(door, meta.inbound(META_URL, sender, "Arrêt 🙏 !")).status == 200
    assert suppressed(door.deployment.database) == [("B1", sender, "*", "stop")]


def test_meta_verifies_the_address_with_our_token(door: Door, meta: MetaSandbox) -> None:
    reply = post(door, meta.verification(META_URL, VERIFY_TOKEN, "1158201444"))
    assert (reply.status, reply.body) == (200, b"1158201444")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert post(door, meta.verification(META_URL, "guess", "1158201444")).status == 401
    assert post(door, meta.verification(META_URL, VERIFY_TOKEN, "<b>")).status == 400


def forged(door: Door, webhook: Webhook, **changes: Any) -> None:
    reply = post(door, webhook, **changes)
    assert (reply.status, reply.json()["success"]) == (401, False)
    assert rows(door.deployment.database, "SELECT 1 FROM ponctuel.webhook_events") == []


def test_what_is_forged_altered_or_of_another_address_changes_nothing(
    door: Door, twilio: TwilioSandbox, meta: MetaSandbox
) -> None:
    number, entry = sent(door, twilio)
    status = twilio.status(entry, "delivered")
    other = number + 1
    altered_url = status.url.replace(f"-{number}", f"-{other}")
    forged(door, Webhook(altered_url, status.headers, status.body))
    forged(door, status, body=status.body.replace(b"delivered", b"undelivered"))
    forged(door, status, body=status.body[:-1])
    forged(door, status, headers={**status.headers, "X-Twilio-Signature": "c2ln"})
    forged(door, status, headers={"Content-Type": status.headers["Content-Type"]})
    inbound = twilio.inbound(INBOUND_URL, PERSON, "STOP")
    forged(door, Webhook(STATUS_URL, inbound.headers, inbound.body))
    told = meta.status(META_URL, entry, "delivered")
    forged(door, told, body=told.body.replace(b"delivered", b"read     "))
    forged(door, told, headers={})
    assert state(door, number) == "submitting"
    paths = {path for path, _ in refused(door)}
    assert paths == {webhooks.STATUS, webhooks.META}
    assert {code for _, code in refused(door)} == {"signature", "signature_missing"}


def test_who_insists_waits(door: Door) -> None:
    webhook = Webhook(META_URL, {"X-Hub-Signature-256": "sha256=guess"}, b"{}")
    for _ in range(7):
        begun = time.monotonic()
        assert post(door, webhook, address="203.0.113.9").status == 401
    assert time.monotonic() - begun >= 0.5
    assert len(refused(door)) == 7


def test_twilio_may_be_given_any_address_of_ours(door: Door, twilio: TwilioSandbox) -> None:
    """Below PUBLIC_URL, or as the custom domain also takes it."""
    number, entry = sent(door, twilio)
    root = "https://ponctuel.example.fr"
    for path, called in (
        (f"/api{webhooks.INBOUND}", f"/api{webhooks.INBOUND}"),
        (webhooks.INBOUND, webhooks.INBOUND),
        (f"{webhooks.INBOUND}?lieu=%C3%A0%20Lyon&b=2", f"{webhooks.INBOUND}?lieu=à Lyon&b=2"),
    ):
        webhook = twilio.inbound(root + path, PERSON, "Bonjour")
        reply = door.outside("POST", called, headers=webhook.headers, body=webhook.body)
        assert reply.status == 200, path
    under_stage = door.under_stage()
    webhook = twilio.status(entry, "read")
    parts = urlsplit(webhook.url)
    reply = under_stage.outside(
        "POST", f"{parts.path}?{parts.query}", headers=webhook.headers, body=webhook.body
    )
    assert (reply.status, state(door, number)) == (200, "delivered")


def test_without_its_secret_a_provider_is_not_heard(
    door: Door, twilio: TwilioSandbox, meta: MetaSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, entry = sent(door, twilio)
    told = {
        "TWILIO_AUTH_TOKEN": twilio.status(entry, "delivered"),
        "PUBLIC_URL": twilio.inbound(INBOUND_URL, PERSON, "STOP"),
        "META_APP_SECRET": meta.status(META_URL, entry, "delivered"),
        "META_VERIFY_TOKEN": meta.verification(META_URL, VERIFY_TOKEN, "1"),
        "SES_TOPIC_ARNS": Webhook(f"{PUBLIC_URL}{webhooks.SES}", {}, b"{}"),
    }
    for name, webhook in told.items():
        monkeypatch.delenv(name, raising=False)
        reply = post(door, webhook)
        assert (reply.status, name in reply.json()["error"]) == (503, True)
        monkeypatch.setenv("PUBLIC_URL", PUBLIC_URL)


def test_the_secret_from_before_a_change_is_still_good(
    door: Door, twilio: TwilioSandbox, meta: MetaSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, entry = sent(door, twilio)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN_PREVIOUS", TOKEN)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "f" * 32)
    monkeypatch.setenv("META_APP_SECRET_PREVIOUS", APP_SECRET)
    monkeypatch.setenv("META_APP_SECRET", "e" * 32)
    assert post(door, twilio.status(entry, "delivered")).status == 200
    assert post(door, meta.inbound(META_URL, PERSON, "Bonjour")).status == 200
    assert state(door, number) == "delivered"


def signed_form(url: str, body: bytes) -> Webhook:
    form = dict(parse_qsl(body.decode(), keep_blank_values=True))
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Twilio-Signature": twilio_signature(TOKEN, url, form),
    }
    return Webhook(url, headers, body)


def signed_json(body: bytes) -> Webhook:
    return Webhook(META_URL, {"X-Hub-Signature-256": meta_signature(APP_SECRET, body)}, body)


def test_what_was_signed_and_cannot_be_read_is_kept(door: Door) -> None:
    """Truncated, with a field twice, not JSON: taken, so that it is not posted for ever."""
    unreadable = [
        signed_form(STATUS_URL, b"MessageSid=SM1"),
        signed_json(b'{"entry": [{"changes"'),
        signed_json(posts.meta(posts.value(statuses=[posts.status(status=None)]))),
    ]
    for webhook in unreadable:
        assert post(door, webhook).status == 200
    twice = urlencode([("MessageSid", "SM1"), ("MessageStatus", "read"), ("MessageStatus", "sent")])
    both = "MessageSidSM1MessageStatusreadMessageStatussent"
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Twilio-Signature": twilio_signature(TOKEN, STATUS_URL + both, {}),
    }
    assert post(door, Webhook(STATUS_URL, headers, twice.encode())).status == 200
    kept = rows(
        door.deployment.database,
        "SELECT outcome, payload ->> 'reason' FROM ponctuel.webhook_events ORDER BY 2",
    )
    assert {outcome for outcome, _ in kept} == {"unreadable"}
    assert [reason for _, reason in kept] == ["not_json", "repeated", "status", "status"]


def test_what_is_too_long_is_refused_before_anything_is_looked_at(door: Door) -> None:
    for url, size in ((STATUS_URL, 256_001), (META_URL, 3 * 1024 * 1024 + 1)):
        assert post(door, Webhook(url, {}, b"x" * size)).status == 400


def test_a_body_of_three_megabytes_is_taken(door: Door) -> None:
    statuses = [
        posts.status(id=f"wamid.{number}", biz_opaque_callback_data=None, padding="x" * 300)
        for number in range(6_000)
    ]
    webhook = signed_json(posts.meta(posts.value(statuses=statuses)))
    assert 2_500_000 < len(webhook.body) < 3_145_728
    reply = post(door, webhook)
    assert reply.json() == {"success": True, "received": 6_000}
    pending = rows(
        door.deployment.database,
        "SELECT count(*) FROM ponctuel.webhook_events WHERE outcome = 'pending'",
    )
    assert pending == [(6_000,)]


def test_a_body_in_base64_is_checked_over_its_bytes(door: Door, meta: MetaSandbox) -> None:
    webhook = meta.inbound(META_URL, PERSON, "Bonjour")
    event = door.api.event("POST", webhooks.META, headers=webhook.headers, body=webhook.body)
    assert event is not None
    event |= {"body": b64encode(webhook.body).decode(), "isBase64Encoded": True}
    assert door.api.send(event).status == 200


def test_without_a_database_the_provider_is_asked_to_post_again(
    door: Door, meta: MetaSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody:canary@127.0.0.1:{port}/nothing")
    reply = post(door, meta.inbound(META_URL, PERSON, "Bonjour"))
    assert (reply.status, reply.json()["success"]) == (500, False)
    assert b"canary" not in reply.body


def test_a_deadlock_with_delivery_is_tried_again(door: Door, meta: MetaSandbox) -> None:
    database = door.deployment.database
    first, one = sent(door, meta)
    second, other = sent(door, meta, subject="F2")
    told = [
        posts.status(id=entry.provider_id, biz_opaque_callback_data=entry.reference)
        for entry in (one, other)
    ]
    webhook = signed_json(posts.meta(posts.value(statuses=told)))
    replies: list[Reply] = []
    caller = threading.Thread(target=lambda: replies.append(post(door, webhook)))
    lock = "SELECT 1 FROM ponctuel.messages WHERE id = {} FOR UPDATE"
    with database.begin() as connection:
        connection.exec_driver_sql("SET LOCAL deadlock_timeout = '10s'")
        connection.exec_driver_sql(lock.format(second))
        caller.start()
        while not connection.exec_driver_sql("SELECT 1 FROM pg_locks WHERE NOT granted").all():
            time.sleep(0.02)
        connection.exec_driver_sql(lock.format(first))  # the other one is undone for it
    caller.join(20)
    assert [reply.status for reply in replies] == [200]
    assert {state(door, first), state(door, second)} == {"delivered"}


def test_no_number_text_or_secret_reaches_a_log(
    door: Door, twilio: TwilioSandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sent(door, twilio)
    post(door, twilio.inbound(INBOUND_URL, PERSON, CANARY))
    post(door, twilio.inbound(INBOUND_URL, PERSON, CANARY), headers={})
    said = "".join(capsys.readouterr())
    assert "webhook_applied" in said
    for hidden in (PERSON[1:], CANARY, TOKEN):
        assert hidden not in said


def test_the_reference_travels_under_the_name_that_the_provider_was_given() -> None:
    assert webhooks.REFERENCE == port.REFERENCE


def test_the_description_says_what_each_webhook_answers(door: Door) -> None:
    paths = door.outside("GET", "/openapi.json").json()["paths"]
    told = {
        (path, method): list(operation["responses"]["200"]["content"])
        for path, item in paths.items()
        if path.startswith("/webhooks/")
        for method, operation in item.items()
    }
    received = {"success": True, "received": 1}
    Draft202012Validator(SCHEMAS["Received"]).validate(received)
    assert SCHEMAS["Received"]["properties"].keys() == received.keys()
    assert told == {
        (webhooks.STATUS, "post"): [JSON],
        (webhooks.INBOUND, "post"): ["text/xml"],
        (webhooks.META, "post"): [JSON],
        (webhooks.META, "get"): ["text/plain"],
        (webhooks.SES, "post"): [JSON],
    }
