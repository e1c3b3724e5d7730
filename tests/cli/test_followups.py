"""`./ponctuel followups` and `explain`: what did not go out, why, and what the owner decides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cli.output import when
from tests.cli.command_line import CommandLine
from tests.harness import TODAY, Deployment

REASON = ("--reason", "vu avec le client")
DAY = 24


@pytest.fixture
def refused(deployment: Deployment) -> Deployment:
    """F1 of C1: level 1 was refused by the mail server, which accepts everything from now on."""
    deployment.open_business(settings={"business_days_only": False})
    deployment.invoice()
    deployment.smtp.fail("too_large")
    deployment.tick()
    deployment.smtp.heal()
    assert deployment.states() == [("F1", "1", "refused")]
    return deployment


def test_a_refused_level_is_listed_with_its_cause_until_somebody_decides(
    refused: Deployment, ponctuel: CommandLine
) -> None:
    listed = ponctuel("followups", "list", "--json").data["to_handle"]
    assert [(row["number"], row["level"], row["state"]) for row in listed] == [("F1", 1, "refused")]
    assert "B1 facture F1 Boulangerie Martin 1 refusé" in ponctuel("followups", "list").words
    assert ponctuel("followups", "list", "--business", "B2").out == "Rien à traiter.\n"
    assert ponctuel("followups", "skip", "invoice", "F1", *REASON).code == 0
    assert ponctuel("followups", "list").out == "Rien à traiter.\n"


def test_after_retry_the_next_run_sends_the_level_again_under_the_same_key(
    refused: Deployment, ponctuel: CommandLine
) -> None:
    answer = ponctuel("followups", "retry", "invoice", "F1", *REASON)
    assert answer.out == "Le niveau 1 sera de nouveau prévu au prochain passage.\n"
    refused.tick()
    assert refused.states() == [("F1", "1", "refused"), ("F1", "1", "accepted")]
    refused.tick(hours=DAY * 10)
    assert refused.states()[2:] == [("F1", "2", "accepted")]
    event = refused.rows("SELECT * FROM ponctuel.message_events")[0]
    assert (event["event"], event["reason"]) == ("followup_retry", "vu avec le client")


def test_a_level_that_is_refused_again_after_a_retry_waits_again(
    refused: Deployment, ponctuel: CommandLine
) -> None:
    for _ in range(2):
        ponctuel("followups", "retry", "invoice", "F1", *REASON)
        refused.smtp.fail("too_large")
        refused.tick()
        refused.smtp.heal()
        refused.tick()
    assert refused.states() == [("F1", "1", "refused")] * 3
    assert len(ponctuel("followups", "list", "--json").data["to_handle"]) == 1


def test_after_skip_the_next_level_follows_at_its_normal_distance(
    refused: Deployment, ponctuel: CommandLine
) -> None:
    ponctuel("followups", "skip", "invoice", "F1", *REASON)
    refused.tick(hours=DAY * 9)
    assert len(refused.messages()) == 1, "level 2 comes ten days after level 1"
    refused.tick(hours=DAY)
    assert refused.states()[1:] == [("F1", "2", "accepted")]


def test_after_stop_nothing_more_is_sent_until_retry_lifts_it(
    refused: Deployment, ponctuel: CommandLine
) -> None:
    ponctuel("followups", "stop", "invoice", "F1", *REASON)
    refused.tick(hours=DAY * 40)
    assert len(refused.messages(kind="billing.invoice_followup")) == 1
    assert ponctuel("followups", "skip", "invoice", "F1", *REASON).code == 1
    ponctuel("followups", "retry", "invoice", "F1", *REASON)
    refused.tick(hours=DAY)
    assert ("F1", "1", "accepted") in refused.states()


def test_stop_also_recalls_what_is_planned_and_has_not_left(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.smtp.fail("refuse_temporary")
    deployment.tick()
    ponctuel("followups", "stop", "invoice", "F1", *REASON)
    deployment.smtp.heal()
    deployment.tick("deliver_messages", hours=2)
    assert deployment.states() == [("F1", "1", "cancelled")]
    assert deployment.smtp.accepted() == []


def test_a_level_that_an_operator_cancelled_can_be_taken_up_again(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.smtp.fail("refuse_temporary")
    deployment.tick()
    deployment.smtp.heal()
    (message,) = deployment.messages()
    assert ponctuel("messages", "cancel", str(message["id"]), *REASON).code == 0
    deployment.tick(hours=2)
    assert deployment.states() == [("F1", "1", "cancelled")], "the key stays taken"
    assert len(ponctuel("followups", "list", "--json").data["to_handle"]) == 1
    ponctuel("followups", "retry", "invoice", "F1", *REASON)
    deployment.tick()
    assert deployment.states()[1:] == [("F1", "1", "accepted")]


def test_an_invoice_of_a_refused_letter_is_decided_upon_alone(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business(settings={"group_by_customer": True})
    deployment.invoice("F1")
    deployment.invoice("F2")
    deployment.smtp.fail("too_large")
    deployment.tick()
    deployment.smtp.heal()
    assert len(ponctuel("followups", "list", "--json").data["to_handle"]) == 2
    ponctuel("followups", "retry", "invoice", "F2", *REASON)
    deployment.tick()
    sent = deployment.messages(state="accepted")
    assert [(m["kind"], m["subject"]) for m in sent] == [("billing.invoice_followup", "F2")]
    ponctuel("followups", "retry", "invoice", "F1", *REASON)
    deployment.tick(hours=DAY * 3)
    assert [m["subject"] for m in deployment.messages(state="accepted")] == ["F2", "F1"]


def test_a_number_that_two_businesses_have_needs_the_business(
    refused: Deployment, ponctuel: CommandLine
) -> None:
    refused.open_business("B2")
    refused.invoice(business_id="B2")
    answer = ponctuel("followups", "stop", "invoice", "F1", *REASON)
    assert (answer.code, answer.out) == (1, "")
    assert "(B1, B2)" in answer.err
    assert ponctuel("followups", "stop", "invoice", "F1", "--business", "B2", *REASON).code == 0
    decided = refused.rows("SELECT business_id FROM ponctuel.followup_decisions")
    assert [row["business_id"] for row in decided] == ["B2"]


@pytest.mark.parametrize(
    ("decision", "document", "number", "message"),
    [
        ("retry", "invoice", "F2", "Rien à reprendre"),
        ("retry", "invoice", "F9", "Aucune facture ne porte le numéro « F9 »."),
        ("skip", "quote", "D9", "Aucun devis ne porte le numéro « D9 »."),
        ("skip", "invoice", "F3", "Ce document n'est plus à relancer"),
    ],
)
def test_a_decision_that_decides_nothing_is_refused(
    refused: Deployment,
    ponctuel: CommandLine,
    decision: str,
    document: str,
    number: str,
    message: str,
) -> None:
    refused.customer("C2")
    refused.invoice("F2", customer_id="C2", due_on=TODAY + timedelta(days=30))
    refused.invoice("F3", customer_id="C2", status="paid", balance=0)
    answer = ponctuel("followups", decision, document, number, *REASON)
    assert (answer.code, answer.out) == (1, "")
    assert message in answer.err
    assert refused.rows("SELECT 1 FROM ponctuel.followup_decisions") == []


def test_skipping_while_a_relance_is_on_its_way_is_refused(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.smtp.fail("refuse_temporary")
    deployment.tick()
    answer = ponctuel("followups", "skip", "invoice", "F1", *REASON)
    assert answer.code == 1
    assert "annulez-la d'abord" in answer.err


def test_a_relance_that_has_not_left_after_a_day_is_listed(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.execute("UPDATE ponctuel.followup_levels SET attach_pdf = true")
    deployment.invoice()
    deployment.tick()
    assert ponctuel("followups", "list").out == "Rien à traiter.\n"
    deployment.database.advance(timedelta(hours=25))
    assert "B1 F1 1 1 retenu" in ponctuel("followups", "list").words
    assert "pièce jointe manquante" in ponctuel("followups", "list").words


def test_explain_says_why_a_level_waits_with_its_history_and_what_to_do(
    refused: Deployment, ponctuel: CommandLine
) -> None:
    answer = ponctuel("explain", "invoice", "F1")
    assert answer.code == 0
    assert "à traiter : la relance précédente n'est pas partie" in answer.words
    assert "1 0 1 refusé" in answer.words
    assert "./ponctuel followups retry|skip|stop invoice F1 --business B1" in answer.words
    ponctuel("followups", "stop", "invoice", "F1", *REASON)
    stopped = ponctuel("explain", "invoice", "F1")
    assert "relances arrêtées par l'entreprise" in stopped.words
    assert "vu avec le client" in stopped.words


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"status": "paid", "balance": 0}, "not_open"),
        ({"auto_enabled": False}, "auto_disabled"),
        ({"disputed": True}, "disputed"),
        ({"due_on": TODAY}, "not_due"),
        ({}, None),
    ],
)
def test_explain_gives_the_first_reason_that_holds(
    deployment: Deployment,
    ponctuel: CommandLine,
    document: dict[str, Any],
    reason: str | None,
) -> None:
    deployment.open_business()
    deployment.invoice(**document)
    (row,) = ponctuel("explain", "invoice", "F1", "--json").data
    assert row["reason"] == reason
    deployment.tick()
    assert (deployment.states() == []) is (reason is not None)


def test_explain_names_the_next_date_and_force_lifts_it(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.quote(issued_on=TODAY - timedelta(days=2))
    answer = ponctuel("explain", "quote", "D1")
    assert "délai non atteint" in answer.words
    assert "à partir du 15/03/2026" in answer.words
    assert ponctuel("explain", "quote", "D1", "--force", "--json").data[0]["reason"] is None


def test_explain_knows_that_another_relance_of_the_customer_goes_first(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice("F1")
    deployment.invoice("F2", due_on=TODAY - timedelta(days=5))
    assert ponctuel("explain", "invoice", "F1", "--json").data[0]["reason"] is None
    second = ponctuel("explain", "invoice", "F2")
    assert "une autre relance de ce client part d'abord" in second.words


def test_explain_tells_what_stands_in_the_way_around_the_invoice(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    ponctuel("pause", "followups", "--reason", "inventaire")
    deployment.execute("DELETE FROM ponctuel.go_lives")
    deployment.execute(
        "INSERT INTO ponctuel.quarantine (job, step, business_id, item, run_id, at, reason) VALUES "
        "('followups', 'plan_relances', 'B1', 'C1', gen_random_uuid(), ponctuel.clock(), 'x')"
    )
    answer = ponctuel("explain", "invoice", "F1")
    assert "le job followups est en pause (inventaire)" in answer.words
    assert "ce client est mis de côté" in answer.words
    assert "l'étape n'est pas en service" in answer.words
    assert "cette entreprise est en revue" in answer.words
    assert ponctuel("quarantine", "release", "followups", "B1", "C1").code == 0
    assert "mis de côté" not in ponctuel("explain", "invoice", "F1").words


def test_explain_of_an_operators_cancellation_says_that_it_blocks_the_level(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.smtp.fail("refuse_temporary")
    deployment.tick()
    ponctuel("messages", "cancel", "1", *REASON)
    (row,) = ponctuel("explain", "invoice", "F1", "--json").data
    assert row["reason"] in ("key_taken", "to_handle")
    assert row["to_handle"] == 1


def test_explain_says_in_which_state_a_closed_document_is_and_promises_no_next_level(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice(status="credited", balance=0)
    deployment.quote(status="accepted")
    invoice, quote = ponctuel("explain", "facture", "F1"), ponctuel("explain", "devis", "D1")
    assert "cette facture est « annulée par un avoir »" in invoice.words
    assert "ce devis est « accepté »" in quote.words
    assert "prochain niveau" not in invoice.words + quote.words
    assert ponctuel("explain", "facture", "F1", "--json").data[0]["next_on"] is None


def test_explain_shows_who_owes_how_much_since_when_and_until_when_a_promise_lasts(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice(promised_until=TODAY + timedelta(days=3))
    answer = ponctuel("explain", "invoice", "F1")
    assert "client Boulangerie Martin (C1)" in answer.words
    assert "reste dû 1 234,56 €" in answer.words
    assert "échéance " in answer.words
    until = f"{TODAY + timedelta(days=3):%d/%m/%Y}"
    assert f"promesse de paiement en cours, jusqu'au {until} inclus" in answer.words
    deployment.execute("UPDATE ponctuel.invoices SET promised_until = NULL")
    deployment.execute("UPDATE ponctuel.customers SET paused_until = :day", day=TODAY)
    paused = ponctuel("explain", "invoice", "F1").words
    assert f"relances de ce client en pause, jusqu'au {TODAY:%d/%m/%Y} inclus" in paused


def test_explain_says_when_a_message_that_waits_for_the_window_may_leave(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.tick(hours=12)
    (message,) = deployment.messages()
    assert message["hold_reason"] == "window"
    leaves = f"part après le {when(message['not_before'])}"
    assert f"hors de la plage d'envoi, {leaves}" in ponctuel("explain", "invoice", "F1").words


def test_explain_reads_a_pause_without_an_end(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.execute("UPDATE ponctuel.customers SET paused_until = 'infinity'")
    answer = ponctuel("explain", "invoice", "F1")
    assert "Pas de relance maintenant : relances de ce client en pause." in answer.words
