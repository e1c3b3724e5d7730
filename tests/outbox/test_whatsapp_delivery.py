"""WhatsApp messages on their way: free text or template, whose number, what is withheld."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.outbox.consents import grant
from chalicelib.outbox.suppressions import Suppression, suppress
from sandbox.whatsapp_meta import MetaSandbox
from tests.harness import Deployment
from tests.outbox import probes
from tests.outbox.probes import MARKETING, PLAIN, by_whatsapp, fate, one, plan

NUMBER = "+33639980001"
TYPED = "06 39 98 00 01"


@pytest.fixture
def live(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    probes.register(monkeypatch)
    deployment.go_live("B1", "B2")
    return deployment


def wrote(deployment: Deployment, ago: timedelta, business: str = "B1") -> None:
    deployment.execute(
        "INSERT INTO ponctuel.contacts (business_id, channel, contact, last_inbound_at)"
        " VALUES (:business, 'whatsapp', :number, ponctuel.clock() - CAST(:ago AS interval))",
        business=business,
        number=NUMBER,
        ago=ago,
    )


def accepted(deployment: Deployment) -> Any:
    (entry,) = deployment.twilio.accepted()
    return entry


def test_to_somebody_who_has_not_written_the_approved_template_leaves(live: Deployment) -> None:
    number = by_whatsapp(live, "Alice", TYPED)
    live.deliver()
    message, entry = one(live, "Alice"), accepted(live)
    assert (message["state"], message["provider"]) == ("accepted", "twilio")
    assert (message["contact"], message["provider_id"]) == (NUMBER, entry.provider_id)
    assert (entry.template, entry.recipient) == ("HX" + "a" * 32, NUMBER)
    assert entry.reference.endswith(f"-{number}")
    assert entry.callback_url.startswith("http")
    (body,) = live.rows("SELECT * FROM ponctuel.message_bodies")
    assert list(entry.variables.values()) == body["whatsapp"]["variables"]


def test_within_a_day_of_their_message_people_get_free_text(live: Deployment) -> None:
    by_whatsapp(live, "Alice", TYPED)
    wrote(live, timedelta(hours=20))
    live.deliver()
    entry = accepted(live)
    (body,) = live.rows("SELECT * FROM ponctuel.message_bodies")
    assert (entry.template, entry.text) == ("", body["text"])


@pytest.mark.parametrize(
    ("ago", "business"), [(timedelta(hours=24), "B1"), (timedelta(hours=1), "B2")]
)
def test_a_conversation_that_is_over_or_somebody_elses_is_no_conversation(
    live: Deployment, ago: timedelta, business: str
) -> None:
    by_whatsapp(live, "Alice", TYPED)
    wrote(live, ago, business)
    live.deliver()
    assert accepted(live).template


def test_a_window_that_whatsapp_calls_closed_is_answered_with_the_template(
    live: Deployment,
) -> None:
    by_whatsapp(live, "Alice", TYPED)
    wrote(live, timedelta(hours=20))
    live.twilio.fail("refuse", code=63016, count=1)
    live.deliver()
    assert fate(live, "Alice") == ("planned", "window_closed")
    live.tick("deliver_messages", hours=0.1)
    assert accepted(live).template


def test_without_an_approved_template_the_message_waits_and_says_how_to_give_one(
    live: Deployment,
) -> None:
    assert live.twilio
    plan(live, "Alice", channel="whatsapp", recipient=TYPED)
    live.deliver()
    assert fate(live, "Alice") == ("held", "template")
    assert "whatsapp template set" in one(live, "Alice")["error"]
    by_whatsapp(live, "Bob", "06 39 98 00 02")
    live.tick("deliver_messages", hours=1.1)
    assert fate(live, "Alice") == ("accepted", None)


def test_a_template_that_whatsapp_has_paused_blames_no_message(live: Deployment) -> None:
    by_whatsapp(live, "Alice", TYPED)
    live.twilio.fail("refuse", code=63041, count=1)
    live.deliver()
    message = one(live, "Alice")
    assert (message["state"], message["hold_reason"]) == ("held", "template")
    assert message["attempts"] == 0
    live.tick("deliver_messages", hours=1.1)
    assert one(live, "Alice")["state"] == "accepted"


@pytest.mark.parametrize("number", ["3631", "06 12 34", "Mme Martin", "06 39 98 00 01 ou 02"])
def test_a_number_that_cannot_be_dialled_holds_its_own_message(
    live: Deployment, number: str
) -> None:
    by_whatsapp(live, "Alice", number)
    by_whatsapp(live, "Bob", "06 39 98 00 02")
    live.deliver()
    assert fate(live, "Alice")[:1] == ("held",)
    assert one(live, "Alice")["hold_reason"] == "number"
    assert fate(live, "Bob") == ("accepted", None)


def test_who_hides_the_number_is_written_to_by_their_user_id(live: Deployment) -> None:
    user = "FR.13491208655302741918"
    by_whatsapp(live, "Alice", "", content=json.dumps({"user_id": user}))
    live.deliver()
    assert accepted(live).recipient == user


def test_a_stop_by_user_id_counts_for_the_number_that_goes_with_it(live: Deployment) -> None:
    user = "FR.13491208655302741918"
    by_whatsapp(live, "Alice", TYPED, content=json.dumps({"user_id": user}))
    with live.database.begin() as connection:
        suppress(connection, [Suppression("B1", "whatsapp", user, "stop")])
    live.deliver()
    assert fate(live, "Alice") == ("cancelled", "opted_out")


@pytest.mark.parametrize(
    ("code", "reason", "state"), [(63024, "unreachable", "refused"), (21610, "stop", "refused")]
)
def test_what_a_refusal_says_of_the_person_is_remembered_for_the_next_message(
    live: Deployment, code: int, reason: str, state: str
) -> None:
    by_whatsapp(live, "Alice", TYPED)
    live.twilio.fail("refuse", code=code, count=1)
    live.deliver()
    assert one(live, "Alice")["state"] == state
    (entry,) = live.rows("SELECT * FROM ponctuel.suppressions")
    assert (entry["contact"], entry["business_id"], entry["reason"]) == (NUMBER, "B1", reason)
    by_whatsapp(live, "Alice2", TYPED, person="Alice")
    live.deliver()
    assert one(live, "Alice2")["state"] == "cancelled"


def test_who_told_meta_to_stop_marketing_is_refused_that_and_gets_the_rest(
    live: Deployment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """131050 as an answer says what it says as an event."""
    with MetaSandbox(tmp_path) as meta:
        monkeypatch.setenv("WHATSAPP_URL", meta.url)
        live.execute(
            "INSERT INTO ponctuel.whatsapp_templates (business_id, provider, kind, variant, name,"
            " set_at, set_by) SELECT '*', 'meta', k.value, 'rappel', 'rappel', ponctuel.clock(), ''"
            " FROM jsonb_array_elements_text(CAST(:kinds AS jsonb)) k",
            kinds=json.dumps([PLAIN.name, MARKETING.name]),
        )
        meta.fail("refuse", code=131050, count=1)
        consent(live)
        whatsapp = {"channel": "whatsapp", "recipient": TYPED, "person": "Alice"}
        plan(live, "Promotion", MARKETING, **whatsapp)
        live.deliver()
        assert fate(live, "Promotion") == ("refused", "opt_out")
        (entry,) = live.rows("SELECT * FROM ponctuel.suppressions")
        assert (entry["reason"], entry["category"]) == ("unsubscribe", "marketing")
        plan(live, "Encore", MARKETING, **whatsapp)
        plan(live, "Facture", PLAIN, **whatsapp)
        live.deliver()
    assert fate(live, "Encore") == ("cancelled", "unsubscribed")
    assert fate(live, "Facture") == ("accepted", None)


def consent(deployment: Deployment) -> None:
    with deployment.database.begin() as connection:
        grant(
            connection,
            business_id="B1",
            channel="whatsapp",
            contact=NUMBER,
            source="formulaire du site",
        )


def test_each_business_writes_from_its_own_number_where_it_has_one(live: Deployment) -> None:
    by_whatsapp(live, "Alice", TYPED)
    live.execute(
        "INSERT INTO ponctuel.whatsapp_senders (provider, sender, business_id, set_at, set_by)"
        " VALUES ('twilio', :number, 'B1', ponctuel.clock(), 'test')",
        number=live.twilio.number,
    )
    live.deliver()
    (body,) = live.rows("SELECT * FROM ponctuel.message_bodies")
    assert body["whatsapp"]["sender"] == live.twilio.number


@pytest.mark.parametrize(
    "name",
    [
        "Chez # & Fils 🎉",
        "שלום \u202eבע״מ",
        "a" * 5_000,
        "une\nligne\tde plus",
        "*gras* _ital_ ~x~",
    ],
)
def test_whatever_a_name_holds_it_arrives_on_one_line_and_bounded(
    live: Deployment, name: str
) -> None:
    content = {"with": {"business": {"name": name}}}
    by_whatsapp(live, "Alice", TYPED, content=json.dumps(content))
    live.deliver()
    entry = accepted(live)
    assert all("\n" not in value and "\t" not in value for value in entry.variables.values())
    assert sum(map(len, entry.variables.values())) <= 1024


def test_without_a_whatsapp_account_e_mails_leave_and_the_others_wait(live: Deployment) -> None:
    plan(live, "Alice", channel="whatsapp", recipient=TYPED)
    plan(live, "Bob")
    live.deliver()
    assert (fate(live, "Alice")[0], fate(live, "Bob")[0]) == ("planned", "accepted")


def test_a_channel_that_hangs_does_not_keep_the_other_from_sending(live: Deployment) -> None:
    by_whatsapp(live, "Alice", TYPED)
    plan(live, "Bob")
    live.twilio.fail("server_error", count=1)
    live.deliver()
    assert fate(live, "Bob") == ("accepted", None)
    assert one(live, "Alice")["state"] == "uncertain"
    assert one(live, "Alice")["proof_at"] is not None
    assert PLAIN.when_unknown == "leave"
