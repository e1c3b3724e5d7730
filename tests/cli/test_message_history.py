"""`messages show`: was it sent, why not, what happened to it; and what came back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.cli.command_line import CommandLine
from tests.harness import NOW, Deployment
from tests.ledger_rows import inbound, webhook_event

HOUR = timedelta(hours=1)


@pytest.fixture
def sent(deployment: Deployment) -> Deployment:
    """Message 1 was accepted at 11:00 in Paris; told as if it were Twilio's."""
    deployment.open_business()
    deployment.invoice()
    deployment.tick()
    deployment.execute(
        "UPDATE ponctuel.messages SET channel = 'whatsapp', provider = 'twilio', "
        "provider_id = 'SM1', contact = '+33612345678'"
    )
    return deployment


def test_the_history_has_what_the_provider_told_in_the_order_of_time(
    sent: Deployment, ponctuel: CommandLine
) -> None:
    webhook_event(sent, 1, "read", NOW + 4 * HOUR)
    webhook_event(sent, 1, "delivered", NOW + 2 * HOUR)
    sent.execute(
        "UPDATE ponctuel.messages SET state = 'delivered', settled_at = :at", at=NOW + 3 * HOUR
    )
    shown = ponctuel("messages", "show", "1")
    # Kept twice, until the provider's own event is pruned.
    for event, at in (("delivered", NOW + 2 * HOUR), ("sent", NOW + 1.5 * HOUR)):
        sent.execute(
            "INSERT INTO ponctuel.message_events (message_id, at, event, actor) "
            "VALUES (1, :at, :event, 'webhook')",
            at=at,
            event=event,
        )
    events = ponctuel("messages", "show", "1", "--json").data["events"]
    assert [event["event"] for event in events] == [
        "planned",
        "submitting",
        "sent",
        "delivered",
        "read",
    ]
    assert (
        "Est-il parti ? Oui : Twilio l'a accepté le 10 mars 2026 à 11 h 00, remis le 10 mars 2026 "
        "à 12 h 00 et lu le 10 mars 2026 à 14 h 00." in shown.words
    )
    assert "canal WhatsApp" in shown.words
    assert "contact +33612345678" in shown.words
    assert "10/03/2026 12:00 remis Twilio 10/03/2026 14:00 lu Twilio" in shown.words


def test_what_its_provider_answered_is_in_the_history_until_an_event_says_more(
    sent: Deployment, ponctuel: CommandLine
) -> None:
    events = ponctuel("messages", "show", "1", "--json").data["events"]
    assert [event["event"] for event in events] == ["planned", "submitting", "accepted"]
    webhook_event(sent, 1, "failed", NOW + 2 * HOUR, code="63016")
    sent.execute(
        "UPDATE ponctuel.messages SET state = 'failed', error_code = '63016', settled_at = :at",
        at=NOW + 2 * HOUR,
    )
    shown = ponctuel("messages", "show", "1")
    assert "Est-il parti ? Non : Twilio l'a accepté" in shown.words
    assert "10/03/2026 12:00 non remis Twilio 63016" in shown.words


def test_replies_to_a_message_are_shown_with_it(sent: Deployment, ponctuel: CommandLine) -> None:
    inbound(sent, "STOP\x1b[2J", in_reply_to=1, intent="opt_out")
    inbound(sent, "Autre chose", provider_id="SM9")
    shown = ponctuel("messages", "show", "1")
    assert "En réponse" in shown.out
    assert "+33612345678 ne veut plus rien recevoir STOP" in shown.words
    assert "Autre chose" not in shown.out
    assert "\x1b" not in shown.out


def test_a_message_held_for_the_night_says_until_when_and_why(
    sent: Deployment, ponctuel: CommandLine
) -> None:
    sent.execute(
        "UPDATE ponctuel.messages SET state = 'held', hold_reason = 'quiet', not_before = :at, "
        "error = 'Il était 22 h 40 chez le destinataire.'",
        at=NOW + 22 * HOUR,
    )
    shown = ponctuel("messages", "show", "1").words
    assert "Pas encore : retenu jusqu'au 11 mars 2026 à 8 h 00 : il était 22 h 40 chez le" in shown
    listed = ponctuel("messages", "--hold", "quiet").words
    assert "Il était 22 h 40 chez le destinataire, jusqu'au 11/03/2026 08:00" in listed


def test_an_attempt_that_was_given_up_stays_in_the_history(
    sent: Deployment, ponctuel: CommandLine
) -> None:
    sent.execute(
        "UPDATE ponctuel.messages SET state = 'uncertain', error = 'La réponse s''est perdue.', "
        "proofs = 3, proof_at = NULL"
    )
    asked = ponctuel("messages", "show", "1").words
    assert "preuves cherchées 3" in asked
    assert "à vous de dire s'il est arrivé ou de le renvoyer" in asked
    ponctuel("messages", "resend", "1", "--reason", "le client n'a rien reçu")
    shown = ponctuel("messages", "show", "1").words
    assert "Pas encore renvoyé (personne ne sait si le premier envoi est arrivé)" in shown
    assert "incertain Twilio La réponse s'est perdue. (SM1)" in shown
    assert "le client n'a rien reçu" in shown


def test_refused_messages_are_the_dead_letters(sent: Deployment, ponctuel: CommandLine) -> None:
    sent.execute("UPDATE ponctuel.messages SET state = 'refused', error_code = '21211'")
    assert "1 message : 1 refusé" in ponctuel("messages", "--state", "refused").words
    for found in (("--channel", "whatsapp"), ("--channel", "e-mail"), ("--contact", "nobody")):
        listed = ponctuel("messages", *found, "--json").data["messages"]
        assert len(listed) == (found[1] == "whatsapp")


def test_actions_of_messages_are_listed_in_french(ponctuel: CommandLine) -> None:
    shown = ponctuel("messages", "--help")
    assert "show" in shown.out
    wrong = ponctuel("messages", "renvoyer", "1")
    assert (wrong.code, wrong.out) == (1, "")
    assert "renvoyer" in wrong.err
    assert "n'existe pas (au choix :" in wrong.err
    assert len(ponctuel("messages", "show", "1", "--json").err.splitlines()) == 1
