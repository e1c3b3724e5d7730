"""The operator hears of messages that somebody has to look at: once each, together, by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from sqlalchemy import text

from chalicelib.domain.operations.kinds import MESSAGES_ALERT
from chalicelib.outbox import attention, operator
from chalicelib.webhooks.events import Notice
from tests.harness import OPERATOR, Deployment
from tests.outbox import probes
from tests.outbox.ledger import tell
from tests.outbox.probes import by_whatsapp, one, plan

TYPED = "06 39 98 00 01"


@pytest.fixture
def live(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    probes.register(monkeypatch)
    deployment.go_live("B1", "B2")
    return deployment


def alerts(deployment: Deployment) -> Sequence[Mapping[str, Any]]:
    return deployment.rows(
        "SELECT * FROM ponctuel.messages WHERE kind = :kind ORDER BY id", kind=MESSAGES_ALERT
    )


def told(deployment: Deployment) -> list[tuple[str, int, list[int]]]:
    """What the last alert says."""
    troubles = alerts(deployment)[-1]["content"]["troubles"]
    return [(trouble["name"], trouble["count"], trouble["ids"]) for trouble in troubles]


def minutes(deployment: Deployment, number: int) -> None:
    """So many ticks of a minute."""
    for _ in range(number):
        deployment.deliver()


def lost(deployment: Deployment, subject: str) -> int:
    """A message whose answer is lost, on a channel where nothing proves anything."""
    number = plan(deployment, subject)
    deployment.smtp.fail("accept_then_close", count=1)
    deployment.deliver()
    assert one(deployment, subject)["state"] == "uncertain"
    return number


def test_a_message_that_stays_uncertain_is_told_once_after_a_quarter_of_an_hour(
    live: Deployment,
) -> None:
    number = lost(live, "Alice")
    minutes(live, 14)
    assert alerts(live) == []
    minutes(live, 2)
    assert told(live) == [("uncertain", 1, [number])]
    minutes(live, 90)
    assert len(alerts(live)) == 1
    assert one(live, "Alice")["state"] == "uncertain"
    (event,) = live.rows("SELECT event, actor, reason FROM ponctuel.message_events")
    assert tuple(event.values()) == ("alerted", "deliver_messages", "uncertain")


def test_the_letter_names_numbers_and_commands_and_nobody(live: Deployment) -> None:
    number = lost(live, "Alice")
    minutes(live, 18)
    (entry,) = [e for e in live.smtp.accepted() if e.recipients == (OPERATOR,)]
    content = (live.smtp.folder / entry.file).read_bytes()
    mail = message_from_bytes(content, policy=policy.default)
    body = mail.get_body(("plain",))
    assert body is not None
    words = " ".join(body.get_content().split())
    assert " ".join(mail["Subject"].split()) == "[local] Un message à examiner"
    assert f"Numéro : {number} Commande : ./ponctuel messages --state uncertain" in words
    assert "alice" not in content.decode().lower()


def test_what_is_proved_or_settled_in_time_alerts_nobody(live: Deployment) -> None:
    number = lost(live, "Alice")
    minutes(live, 10)
    with live.database.begin() as connection:
        operator.arrived(connection, [number], by="Léa", reason="vu dans la boîte d'envoi")
    minutes(live, 30)
    assert alerts(live) == []


def test_one_letter_an_hour_tells_all_that_came_meanwhile(live: Deployment) -> None:
    lost(live, "Alice")
    minutes(live, 17)
    assert len(alerts(live)) == 1
    late = [lost(live, name) for name in ("Bob", "Chloe")]
    minutes(live, 40)
    assert len(alerts(live)) == 1
    minutes(live, 25)
    assert len(alerts(live)) == 2
    assert told(live) == [("uncertain", 2, late)]


def test_an_attempt_that_is_lost_again_is_told_again(live: Deployment) -> None:
    number = lost(live, "Alice")
    minutes(live, 17)
    live.database.advance(timedelta(hours=2))
    live.smtp.fail("accept_then_close", count=1)
    with live.database.begin() as connection:
        operator.resend(connection, [number], by="Léa", reason="rien n'est arrivé")
    minutes(live, 18)
    assert one(live, "Alice")["state"] == "uncertain"
    assert [len(alerts(live)), told(live)] == [2, [("uncertain", 1, [number])]]


def test_a_dead_letter_is_told_unless_it_says_something_of_the_person(live: Deployment) -> None:
    """A number without WhatsApp is the business's to correct: it is told there."""
    refused = by_whatsapp(live, "Alice", TYPED)
    live.twilio.fail("refuse", code=63013, count=1)
    live.deliver()
    by_whatsapp(live, "Bob", "06 39 98 00 02")
    live.twilio.fail("refuse", code=63024, count=1)
    live.deliver()
    assert {one(live, name)["state"] for name in ("Alice", "Bob")} == {"refused"}
    minutes(live, 1)
    assert told(live) == [("refused", 1, [refused])]


def test_a_token_that_was_revoked_is_told_though_its_messages_only_wait(live: Deployment) -> None:
    number = by_whatsapp(live, "Alice", TYPED)
    live.twilio.fail("refuse", code=20003)
    minutes(live, 12)
    assert alerts(live) == [], "it may be over in a minute"
    minutes(live, 25)
    assert (one(live, "Alice")["state"], one(live, "Alice")["error_code"]) == (
        "planned",
        "credentials",
    )
    assert told(live) == [("blocked", 1, [number])]


def test_messages_that_wait_for_the_operator_are_told_and_those_of_the_night_are_not(
    live: Deployment,
) -> None:
    template = by_whatsapp(live, "Alice", TYPED)
    live.execute("DELETE FROM ponctuel.whatsapp_templates")
    surge = plan(live, "Bob")
    live.execute(
        "UPDATE ponctuel.messages SET state = 'held', hold_reason = 'approval' WHERE id = :id",
        id=surge,
    )
    asleep = plan(live, "Chloe")
    live.execute(
        "UPDATE ponctuel.messages SET state = 'held', hold_reason = 'quiet',"
        " not_before = not_before + interval '8 hours' WHERE id = :id",
        id=asleep,
    )
    minutes(live, 17)
    assert told(live) == [("held", 2, [template, surge])]


def test_a_letter_to_the_operator_that_is_lost_is_not_told_of(live: Deployment) -> None:
    lost(live, "Alice")
    minutes(live, 15)
    live.smtp.fail("accept_then_close", recipient=OPERATOR, count=1)
    minutes(live, 100)
    assert [row["state"] for row in alerts(live)] == ["uncertain"]


def test_what_meta_changes_of_the_account_is_told_once_and_good_news_is_not(
    live: Deployment,
) -> None:
    """A template that has become marketing costs more, and reaches fewer people."""
    category = ("relance_rappel", "fr", "UTILITY", "MARKETING")
    tell(
        live.database,
        Notice("meta", "template_category_update", "meta:1", category),
        Notice("meta", "message_template_status_update", "meta:2"),
    )
    minutes(live, 2)
    (entry,) = [e for e in live.smtp.accepted() if e.recipients == (OPERATOR,)]
    content = (live.smtp.folder / entry.file).read_bytes()
    body = message_from_bytes(content, policy=policy.default).get_body(("plain",))
    assert body is not None
    words = " ".join(body.get_content().split())
    assert "Catégorie d’un modèle : relance_rappel, fr, UTILITY, MARKETING" in words
    minutes(live, 70)
    assert len(alerts(live)) == 1
    kept = live.rows("SELECT payload FROM ponctuel.webhook_events ORDER BY event_key")
    assert kept[0]["payload"] == {"name": "template_category_update", "told": list(category)}


def test_without_an_operator_the_log_tells_it_once(
    live: Deployment, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPERATOR_EMAIL")
    lost(live, "Alice")
    minutes(live, 40)
    assert alerts(live) == []
    logged = capfd.readouterr().err
    assert logged.count("messages_need_attention") == 1


def test_thousands_are_counted_and_the_first_are_named(live: Deployment) -> None:
    live.execute(
        "INSERT INTO ponctuel.messages (business_id, kind, subject, channel, state, hold_reason,"
        " planned_at, not_before, expires_at) SELECT 'B1', 'probe.plain', 'F' || n, 'email',"
        " 'held', 'approval', ponctuel.clock() - interval '1 hour', ponctuel.clock(),"
        " ponctuel.clock() + interval '7 days' FROM generate_series(1, 3000) n"
    )
    minutes(live, 1)
    ((name, count, ids),) = told(live)
    assert (name, count, len(ids)) == ("held", 3000, attention.MOST_NAMED)
    assert ids == sorted(ids)


def test_whether_there_is_any_reads_no_message_that_is_settled(live: Deployment) -> None:
    """It is asked each minute, of a ledger of years."""
    with live.database.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan_of = connection.execute(text(f"EXPLAIN SELECT {attention.PENDING}"))
        lines = "\n".join(row[0] for row in plan_of)
    assert "messages_refused" in lines
    assert "webhook_events_to_tell" in lines
    assert "Seq Scan" not in lines
