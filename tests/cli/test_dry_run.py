"""A dry run says whether each message could leave as it is, and what the outbox would send."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.cli.command_line import CommandLine
from tests.harness import NOW, TODAY, Deployment

REASON = ("--reason", "essai")


def report(ponctuel: CommandLine, *command: str) -> dict[str, Any]:
    answer = ponctuel("dry-run", *command, "--json")
    assert answer.code == 0, answer.err
    found: dict[str, Any] = answer.data[0]["report"]
    return found


def test_a_letter_that_can_be_written_is_ready(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    (message,) = report(ponctuel, "followups")["messages"]
    assert message["letter"] == {"ready": True, "reason": None, "why": None}
    assert "prêt" in ponctuel("dry-run", "followups").words
    (explained,) = ponctuel("explain", "invoice", "F1", "--json").data
    assert explained["letter"] == message["letter"]


def test_a_missing_document_shows_before_anything_is_planned(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.execute("UPDATE ponctuel.followup_levels SET attach_pdf = true")
    deployment.invoice()
    (message,) = report(ponctuel, "followups")["messages"]
    assert (message["letter"]["ready"], message["letter"]["reason"]) == (False, "attachment")
    for command in (("dry-run", "followups"), ("explain", "invoice", "F1")):
        assert message["letter"]["why"].rstrip(".") in ponctuel(*command).words
    assert "Mais son message serait retenu" in ponctuel("explain", "invoice", "F1").out
    (deployment.documents / "B1").mkdir()
    (deployment.documents / "B1/F1.pdf").write_bytes(b"%PDF-1.4")
    assert report(ponctuel, "followups")["messages"][0]["letter"]["ready"] is True


def test_a_missing_sender_or_answer_address_shows_too(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.open_business(sender_email=None)
    deployment.invoice()
    assert report(ponctuel, "followups")["messages"][0]["letter"]["ready"] is True
    monkeypatch.delenv("MAIL_FROM")
    (message,) = report(ponctuel, "followups")["messages"]
    assert message["letter"]["reason"] == "sender"
    assert "MAIL_FROM" in ponctuel("dry-run", "followups").words


def test_a_letter_that_waits_for_its_window_is_composed_as_of_its_opening(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.database.advance(timedelta(hours=12))
    (message,) = report(ponctuel, "followups")["messages"]
    assert (message["hold_reason"], message["letter"]["ready"]) == ("window", True)
    assert "11/03/2026 09:00 hors de la plage d'envoi" in ponctuel("dry-run", "followups").words


def test_a_surge_is_judged_by_its_first_letters(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.outbox.rehearsal.MOST", 2)
    deployment.open_business()
    for number in range(4):
        deployment.customer(f"C{number + 5}")
        deployment.invoice(f"F{number}", customer_id=f"C{number + 5}")
    messages = report(ponctuel, "followups")["messages"]
    assert ["letter" in message for message in messages] == [True, True, False, False]
    assert "Les 2 premiers ont été composés à blanc" in ponctuel("dry-run", "followups").words


@pytest.fixture
def waiting(deployment: Deployment) -> Deployment:
    """Messages of every sort: due, in review, for the window, retried, claimed, submitting, lost,
    too late; and one whose invoice has been paid since."""
    deployment.open_business()
    for number in range(9):
        deployment.customer(f"C{number}0")
        deployment.invoice(f"F{number}", customer_id=f"C{number}0")
    deployment.execute("DELETE FROM ponctuel.go_lives WHERE business_id = 'B1'")
    deployment.tick()
    deployment.go_live("B1")
    soon = "ponctuel.clock() + interval '5 minutes'"
    for subject, change in {
        "F0": "state = 'planned', hold_reason = NULL",
        "F1": "hold_reason = 'review'",
        "F2": f"hold_reason = 'window', not_before = {soon}",
        "F3": f"state = 'planned', hold_reason = NULL, attempts = 1, not_before = {soon}",
        "F4": f"state = 'claimed', hold_reason = NULL, claimed_until = {soon}",
        "F5": f"state = 'submitting', hold_reason = NULL, claimed_until = {soon}",
        "F6": "state = 'submitting', hold_reason = NULL, claimed_until = ponctuel.clock()",
        "F7": "state = 'planned', hold_reason = NULL, expires_at = ponctuel.clock()",
        "F8": "state = 'planned', hold_reason = NULL",
    }.items():
        deployment.execute(
            f"UPDATE ponctuel.messages SET {change} WHERE subject = :subject", subject=subject
        )
    deployment.execute("UPDATE ponctuel.invoices SET status = 'paid', balance = 0 WHERE id = 'F8'")
    return deployment


def test_a_dry_run_of_the_outbox_lists_what_is_due_and_why_the_rest_waits(
    waiting: Deployment, ponctuel: CommandLine
) -> None:
    found = report(ponctuel, "deliver_messages")
    assert {m["subject"]: m["letter"]["ready"] for m in found["messages"]} == {
        "F0": True,
        "F8": False,
    }
    assert {left["subject"]: left["reason"] for left in found["left_out"]} == {
        "F1": "review",
        "F2": "window",
        "F3": "retry",
        "F4": "claimed",
        "F5": "submitting",
    }
    assert {change["subject"]: change["change"] for change in found["changes"]} == {
        "F6": "uncertain",
        "F7": "expired",
    }
    shown = ponctuel("dry-run", "deliver_messages", "--all").words
    for words in (
        "2 messages partiraient",
        "document soldé, annulé",
        "message clos : trop tard",
        "message incertain",
        "10/03/2026 11:05 attend un nouvel essai",
        "10/03/2026 11:05 hors de la plage d'envoi",
        "en revue avant la mise en service",
        "pris en charge par un envoi en cours",
    ):
        assert words in shown
    states = waiting.states()
    waiting.deliver()
    sent = [m["subject"] for m in waiting.messages(state="accepted")]
    assert sent == ["F0"]
    assert {s for s in states if s[0] in ("F6", "F7")} != set(waiting.states())
    left = {m["subject"]: m["state"] for m in waiting.messages()}
    assert (left["F6"], left["F7"], left["F8"]) == ("uncertain", "expired", "cancelled")


def test_a_paused_job_s_messages_and_a_closed_stage_s_are_not_due(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.smtp.fail("refuse_temporary")
    deployment.tick()
    deployment.database.advance(timedelta(hours=1))
    assert len(report(ponctuel, "deliver_messages")["messages"]) == 1
    ponctuel("pause", "followups", *REASON)
    assert report(ponctuel, "deliver_messages")["left_out"][0]["reason"] == "job_paused"
    ponctuel("resume", "followups")
    deployment.execute("DELETE FROM ponctuel.go_lives WHERE business_id = '*'")
    assert report(ponctuel, "deliver_messages")["left_out"][0]["reason"] == "stage"
    monkeypatch.setenv("ALLOW_LIST", "*@boulangerie-martin.example")
    assert len(report(ponctuel, "deliver_messages")["messages"]) == 1


def test_an_empty_outbox_says_so_and_as_of_looks_ahead(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    assert "Aucun message ne partirait" in ponctuel("dry-run", "deliver_messages").words
    deployment.open_business()
    deployment.invoice()
    deployment.tick(hours=12)
    assert report(ponctuel, "deliver_messages")["messages"] == []
    tomorrow = (NOW + timedelta(days=1, hours=2)).isoformat()
    assert len(report(ponctuel, "deliver_messages", "--as-of", tomorrow)["messages"]) == 1


def test_a_letter_that_lost_an_invoice_since_is_told_without_dropping_its_line(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business(settings={"group_by_customer": True})
    deployment.invoice("F1")
    deployment.invoice("F2", due_on=TODAY - timedelta(days=7))
    deployment.tick(hours=12)
    deployment.execute("UPDATE ponctuel.invoices SET status = 'paid', balance = 0 WHERE id = 'F1'")
    tomorrow = (NOW + timedelta(days=1, hours=2)).isoformat()
    (message,) = report(ponctuel, "deliver_messages", "--as-of", tomorrow)["messages"]
    assert (message["letter"]["ready"], message["letter"]["reason"]) == (None, "lines_dropped")
    assert (
        "il partirait sans eux"
        in ponctuel("dry-run", "deliver_messages", "--as-of", tomorrow).words
    )
    assert len(deployment.rows("SELECT 1 FROM ponctuel.message_lines")) == 2
