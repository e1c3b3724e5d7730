"""Answers of leads as providers post them: forged, again, in another order, cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from chalicelib.routes import webhooks
from sandbox.http import Reply
from sandbox.whatsapp_http import Webhook
from sandbox.whatsapp_meta import APP_SECRET, MetaSandbox
from sandbox.whatsapp_meta import signature as meta_signature
from sandbox.whatsapp_twilio import TOKEN, TwilioSandbox
from tests import lead_rows
from tests.harness import Deployment
from tests.routes.doors import Door, opened
from tests.webhooks import posts

PUBLIC_URL = "https://ponctuel.example.fr/api"
META_URL = f"{PUBLIC_URL}{webhooks.META}"
INBOUND_URL = f"{PUBLIC_URL}{webhooks.INBOUND}"
PHONE = "+33639980001"
JOB = "lead_followups"


@pytest.fixture
def door(shared: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """L1 of B1 has been proposed to its closer; both providers' numbers are B1's."""
    shared.reset()
    lead_rows.open_business(shared)
    lead_rows.lead(shared)
    lead_rows.proposal(shared)
    monkeypatch.setenv("PUBLIC_URL", PUBLIC_URL)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("META_APP_SECRET", APP_SECRET)
    with opened(shared) as door:
        yield door


@pytest.fixture
def twilio(tmp_path: Path, door: Door) -> Iterator[TwilioSandbox]:
    with TwilioSandbox(tmp_path / "twilio") as sandbox:
        hook = sandbox.inbound(INBOUND_URL, PHONE, "x")
        own(door, "twilio", dict(_form(hook))["To"].removeprefix("whatsapp:"))
        yield sandbox


@pytest.fixture
def meta(tmp_path: Path, door: Door) -> Iterator[MetaSandbox]:
    with MetaSandbox(tmp_path / "meta") as sandbox:
        told = json.loads(sandbox.inbound(META_URL, PHONE, "x").body)
        value = told["entry"][0]["changes"][0]["value"]
        own(door, "meta", value["metadata"]["phone_number_id"])
        own(door, "meta", posts.PHONE_NUMBER_ID)
        yield sandbox


def own(door: Door, provider: str, sender: str) -> None:
    door.deployment.execute(
        "INSERT INTO ponctuel.whatsapp_senders (provider, sender, business_id, set_at, set_by) "
        "VALUES (:provider, :sender, 'B1', now(), 'test') ON CONFLICT DO NOTHING",
        provider=provider,
        sender=sender,
    )


def _form(webhook: Webhook) -> list[tuple[str, str]]:
    return parse_qsl(webhook.body.decode(), keep_blank_values=True)


def post(door: Door, webhook: Webhook, **changes: Any) -> Reply:
    parts = urlsplit(webhook.url)
    given = {"headers": webhook.headers, "body": webhook.body} | changes
    return door.outside(webhook.method, parts.path.removeprefix("/api"), **given)


def standing(door: Door) -> tuple[str, bool, bool]:
    """(state of the follow-up, whether the lead has answered, whether it has opted out)."""
    (row,) = door.deployment.rows(
        "SELECT f.state, l.replied_at IS NOT NULL AS replied, l.opted_out "
        "FROM ponctuel.lead_followups f JOIN ponctuel.leads l ON l.id = f.lead_id"
    )
    return row["state"], row["replied"], row["opted_out"]


def count(door: Door, table: str) -> int:
    (row,) = door.deployment.rows(f"SELECT count(*) AS n FROM ponctuel.{table}")
    return int(row["n"])


UNTOUCHED = ("proposed", False, False)


def test_an_answer_through_either_provider_ends_the_cadence(
    door: Door, twilio: TwilioSandbox
) -> None:
    assert post(door, twilio.inbound(INBOUND_URL, PHONE, "Oui, appelez-moi")).status == 200
    assert standing(door) == ("cancelled", True, False)


def test_a_forged_or_altered_answer_stops_nothing(
    door: Door, twilio: TwilioSandbox, meta: MetaSandbox
) -> None:
    hook = twilio.inbound(INBOUND_URL, PHONE, "STOP")
    told = meta.inbound(META_URL, PHONE, "STOP")
    unsigned = {"Content-Type": hook.headers["Content-Type"]}
    for reply in (
        post(door, hook, headers=unsigned),
        post(door, hook, headers={**hook.headers, "X-Twilio-Signature": "c2ln"}),
        post(door, hook, body=hook.body.replace(b"STOP", b"Stop")),
        post(door, hook, body=hook.body + b"&Body=ARRET"),
        post(door, told, headers={}),
        post(door, told, body=told.body.replace(b"STOP", b"ARRT")),
    ):
        assert reply.status == 401
    assert standing(door) == UNTOUCHED
    assert count(door, "inbound_messages") == count(door, "suppressions") == 0
    assert count(door, "refused_calls") == 6


def test_a_replayed_answer_counts_once(door: Door, meta: MetaSandbox) -> None:
    told = meta.inbound(META_URL, PHONE, "Oui !")
    assert post(door, told).status == 200
    (before,) = door.deployment.rows("SELECT replied_at FROM ponctuel.leads")
    # The closer has dealt with it, the lead has gone on, and the same bytes come again.
    door.deployment.execute(
        "UPDATE ponctuel.leads SET stage = 'devis', stage_since = ponctuel.clock() "
        "+ interval '1 minute'"
    )
    door.deployment.tick(JOB, hours=30)
    for _ in range(2):
        assert post(door, told).status == 200
    states = door.deployment.rows("SELECT state FROM ponctuel.lead_followups ORDER BY id")
    assert [row["state"] for row in states] == ["cancelled", "proposed"]
    assert door.deployment.rows("SELECT replied_at FROM ponctuel.leads") == [before]
    assert len(door.deployment.messages(kind="leads.replied")) == 1
    assert count(door, "inbound_messages") == 1


def test_a_replayed_stop_after_a_start_does_not_opt_out_again(
    door: Door, twilio: TwilioSandbox
) -> None:
    stop = twilio.inbound(INBOUND_URL, PHONE, "STOP")
    post(door, stop)
    assert standing(door) == ("cancelled", True, True)
    post(door, twilio.inbound(INBOUND_URL, PHONE, "REPRENDRE"))
    assert standing(door) == ("cancelled", True, False)
    post(door, stop)
    assert standing(door) == ("cancelled", True, False)


def signed(*messages: Any) -> Webhook:
    body = posts.meta(posts.value(messages=list(messages)))
    headers = {
        "Content-Type": "application/json",
        "X-Hub-Signature-256": meta_signature(APP_SECRET, body),
    }
    return Webhook(META_URL, headers, body)


def text(words: str, id: str, at: int) -> dict[str, Any]:
    return posts.message(
        "text", {"body": words}, id=id, timestamp=str(at), **{"from": PHONE.removeprefix("+")}
    )


def test_answers_in_another_order_leave_the_date_of_the_last_one(
    door: Door, meta: MetaSandbox
) -> None:
    now = int(door.deployment.clock().timestamp())
    for id, at in (("wamid.2", now), ("wamid.1", now - 3600)):
        assert post(door, signed(text("Bonjour", id, at))).status == 200
    (lead,) = door.deployment.rows("SELECT replied_at FROM ponctuel.leads")
    assert int(lead["replied_at"].timestamp()) == now


def test_of_a_batch_with_an_unreadable_item_the_answer_counts(
    door: Door, meta: MetaSandbox
) -> None:
    now = int(door.deployment.clock().timestamp())
    broken = {"from": PHONE.removeprefix("+"), "type": "text"}
    assert post(door, signed(broken, text("Oui", "wamid.9", now))).status == 200
    assert standing(door) == ("cancelled", True, False)


def test_a_body_that_was_cut_on_its_way_stops_nothing_and_the_whole_one_then_does(
    door: Door, meta: MetaSandbox
) -> None:
    told = meta.inbound(META_URL, PHONE, "STOP")
    for length in (0, 1, len(told.body) // 2, len(told.body) - 1):
        assert post(door, told, body=told.body[:length]).status == 401
    assert standing(door) == UNTOUCHED
    assert post(door, told).status == 200
    assert standing(door) == ("cancelled", True, True)


def test_an_answer_to_one_number_stops_both_of_its_leads(door: Door, meta: MetaSandbox) -> None:
    lead_rows.lead(door.deployment, "L2", phone="0033 6 39 98 00 01", name="C. Rivière")
    post(door, meta.inbound(META_URL, PHONE, "STOP"))
    found = door.deployment.rows("SELECT opted_out FROM ponctuel.leads")
    assert [row["opted_out"] for row in found] == [True, True]
    assert len(door.deployment.messages(kind="leads.replied")) == 1
