"""Other people's tables hold anything: what one business has there never stops the others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib import jobs
from chalicelib.db.engine import make_engine
from chalicelib.runner.events import envelope
from chalicelib.runner.request import pause, request, request_dry_run, resume
from tests.harness import TODAY, Context, Deployment


def two_businesses(deployment: Deployment, **window: str) -> None:
    """B1 is as it should be; the tests spoil B2. Each has one invoice that is due."""
    deployment.open_business("B1", settings=window)
    deployment.open_business("B2", settings=window)
    deployment.invoice(business_id="B1")
    deployment.invoice(business_id="B2")


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE ponctuel.billing_settings SET courtesy_days = 2147483647 WHERE business_id = 'B2'",
        "UPDATE ponctuel.billing_settings SET min_interval_days = 2147483647 "
        "WHERE business_id = 'B2'",
        "UPDATE ponctuel.billing_settings SET max_payment_age_hours = 2147483647 "
        "WHERE business_id = 'B2'",
        "UPDATE ponctuel.followup_levels SET delay_days = 2147483647 WHERE business_id = 'B2'",
        "UPDATE ponctuel.followup_levels SET delay_days = -2147483648 WHERE business_id = 'B2'",
        "UPDATE ponctuel.invoices SET due_on = 'infinity' WHERE business_id = 'B2'",
        "UPDATE ponctuel.invoices SET issued_on = '-infinity' WHERE business_id = 'B2'",
        "UPDATE ponctuel.invoices SET promised_until = 'infinity' WHERE business_id = 'B2'",
        "UPDATE ponctuel.invoices SET balance = 'NaN' WHERE business_id = 'B2'",
        "UPDATE ponctuel.customers SET paused_until = 'infinity' WHERE business_id = 'B2'",
        "UPDATE ponctuel.billing_settings SET window_start = '24:00' WHERE business_id = 'B2'",
        "UPDATE ponctuel.businesses SET zone = '' WHERE id = 'B2'",
        "UPDATE ponctuel.businesses SET reply_to = 'nulle part' WHERE id = 'B2'",
        "UPDATE ponctuel.customers SET emails = repeat('x', 100000) || '@b2.example' "
        "WHERE business_id = 'B2'",
    ],
)
def test_the_neighbour_is_relanced_whatever_a_business_has_in_its_rows(
    deployment: Deployment, spoil: str
) -> None:
    two_businesses(deployment)
    deployment.execute(spoil)
    deployment.tick()
    deployment.tick("deliver_messages")
    sent = [m["business_id"] for m in deployment.messages(state="accepted")]
    assert "B1" in sent
    assert deployment.last_run()["status"] in ("succeeded", "partial")


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE ponctuel.invoices SET balance = 'NaN' WHERE business_id = 'B2'",
        "UPDATE ponctuel.invoices SET issued_on = '-infinity' WHERE business_id = 'B2'",
        "UPDATE ponctuel.invoices SET currency = 'nothing like a currency' WHERE business_id='B2'",
        "UPDATE ponctuel.billing_settings SET late_penalty_rate = 'NaN' WHERE business_id = 'B2'",
        "UPDATE ponctuel.billing_settings SET window_end = '24:00' WHERE business_id = 'B2'",
    ],
)
def test_a_row_spoiled_after_planning_holds_up_its_own_message_only(
    deployment: Deployment, spoil: str
) -> None:
    two_businesses(deployment, window_start="11:30")
    deployment.tick()
    deployment.execute(spoil)
    deployment.tick("deliver_messages")
    assert "B1" in [m["business_id"] for m in deployment.messages(state="accepted")]


def test_an_invoice_that_changes_hands_is_not_shown_to_its_former_customer(
    deployment: Deployment,
) -> None:
    deployment.open_business(settings={"group_by_customer": True, "window_start": "11:30"})
    deployment.customer("C2", emails="autre@client.example")
    deployment.invoice("F1")
    deployment.invoice("F2")
    deployment.tick()
    deployment.execute("UPDATE ponctuel.invoices SET customer_id = 'C2' WHERE id = 'F2'")
    deployment.tick("deliver_messages")
    text = deployment.rows("SELECT text FROM ponctuel.message_bodies")[0]["text"]
    assert "F1" in text
    assert "F2" not in text


def test_an_invoice_dropped_from_a_letter_is_in_a_later_one(deployment: Deployment) -> None:
    deployment.open_business(
        settings={
            "group_by_customer": True,
            "window_start": "11:30",
            "business_days_only": False,
            "min_interval_days": 1,
        }
    )
    deployment.invoice("A")
    deployment.invoice("B")
    deployment.tick()
    deployment.execute("UPDATE ponctuel.invoices SET disputed = true WHERE id = 'A'")
    deployment.tick("deliver_messages")
    deployment.execute("UPDATE ponctuel.invoices SET disputed = false WHERE id = 'A'")
    for _ in range(3):
        deployment.tick(hours=24)
    lines = deployment.rows(
        "SELECT subject, step FROM ponctuel.coverage WHERE state = 'accepted' ORDER BY 1, 2"
    )
    assert [(line["subject"], line["step"]) for line in lines] == [("A", "1"), ("B", "1")]


def test_a_pause_of_a_fortnight_loses_no_relance(deployment: Deployment) -> None:
    deployment.open_business(settings={"window_start": "11:30", "business_days_only": False})
    deployment.invoice()
    job = jobs.job("followups")
    engine = make_engine(deployment.database.url, application="test")
    deployment.tick()
    pause(engine, job, [job.zone], by="Léa", reason="déménagement")
    deployment.tick("deliver_messages", hours=24 * 14)
    assert deployment.states() == [("F1", "1", "expired")]
    resume(engine, job, [job.zone])
    engine.dispose()
    deployment.tick(hours=2)
    assert deployment.states()[1:] == [("F1", "1", "accepted")]


def test_what_an_operator_ran_while_paused_is_taken_up_by_a_tick_if_its_call_was_lost(
    deployment: Deployment,
) -> None:
    job = jobs.job("followups")
    engine = make_engine(deployment.database.url, application="test")
    pause(engine, job, [job.zone], by="Léa", reason="essai")
    run_id = request(engine, job, job.zone, door="http", operator=True)
    engine.dispose()
    deployment.tick()
    assert (deployment.last_run()["id"], deployment.last_run()["status"]) == (run_id, "succeeded")


def test_a_kind_that_this_version_does_not_know_waits_and_the_others_leave(
    deployment: Deployment,
) -> None:
    two_businesses(deployment, window_start="11:30")
    deployment.tick()
    deployment.execute(
        "UPDATE ponctuel.messages SET kind = 'later.novelty' WHERE business_id = 'B2'"
    )
    deployment.tick("deliver_messages")
    states = {m["business_id"]: (m["state"], m["hold_reason"]) for m in deployment.messages()}
    assert states == {"B1": ("accepted", None), "B2": ("held", "unknown_kind")}


def test_two_pdfs_of_one_name_are_both_attached(deployment: Deployment) -> None:
    deployment.open_business(settings={"group_by_customer": True})
    deployment.execute("UPDATE ponctuel.followup_levels SET attach_pdf = true")
    for number in ("A", "B"):
        deployment.invoice(number, pdf_key=f"B1/{number}/facture.pdf")
        folder = deployment.documents / "B1" / number
        folder.mkdir(parents=True)
        (folder / "facture.pdf").write_bytes(b"%PDF-1.4 " + number.encode())
    deployment.tick()
    sent = deployment.rows("SELECT attachments FROM ponctuel.message_bodies")[0]["attachments"]
    assert sorted(a["name"] for a in sent) == ["B.pdf", "facture.pdf"]


def test_a_relation_that_goes_missing_postpones_the_run_and_blames_no_item(
    deployment: Deployment,
) -> None:
    two_businesses(deployment)
    deployment.execute("ALTER TABLE ponctuel.followup_levels RENAME TO elsewhere")
    for _ in range(4):
        deployment.tick(hours=0.2)
    deployment.tick()
    run = deployment.last_run()
    assert (run["status"], run["failures"], run["error_code"]) == (
        "continued",
        0,
        "schema_outdated",
    )
    deployment.execute("ALTER TABLE ponctuel.elsewhere RENAME TO followup_levels")
    deployment.tick(hours=0.2)
    assert [m["state"] for m in deployment.messages()] == ["accepted", "accepted"]
    assert deployment.rows("SELECT * FROM ponctuel.quarantine") == []


def test_a_total_failure_is_told_although_the_runs_before_were_partial(
    deployment: Deployment,
) -> None:
    two_businesses(deployment)
    deployment.execute("UPDATE ponctuel.businesses SET zone = 'Nulle/Part' WHERE id = 'B2'")
    deployment.tick()
    deployment.execute(
        "UPDATE ponctuel.messages SET step = 'not a level', state = 'refused' "
        "WHERE business_id = 'B1'"
    )
    deployment.tick()
    for _ in range(2):
        deployment.tick(hours=0.2)
    alerts = deployment.rows(
        "SELECT content->>'status' AS status FROM ponctuel.messages WHERE business_id = '' "
        "ORDER BY id"
    )
    assert [row["status"] for row in alerts] == ["partial", "failed"]


def test_a_rehearsal_that_is_delivered_twice_never_becomes_a_real_run(
    deployment: Deployment,
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.database.advance(timedelta(hours=1))
    job = jobs.job("followups")
    engine = make_engine(deployment.database.url, application="test")
    run_id = request_dry_run(engine, job, job.zone, door="http")
    engine.dispose()
    event = envelope("followups", door="http", run_id=run_id)
    for _ in range(2):
        jobs.module("followups").handler(event, Context())
    assert deployment.messages() == []
    assert len(deployment.rows("SELECT * FROM ponctuel.runs")) == 1


def test_a_rehearsal_of_tomorrow_is_judged_at_tomorrows_hour(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.invoice(due_on=TODAY - timedelta(days=4))
    tomorrow = datetime(2026, 3, 11, 9, tzinfo=UTC)
    messages = deployment.rehearse(as_of=tomorrow)["messages"]
    assert [(m["subject"], m["hold_reason"]) for m in messages] == [("F1", None)]
    assert deployment.rehearse()["messages"] == []


def test_a_document_whose_status_has_become_unreadable_is_not_chased(
    deployment: Deployment,
) -> None:
    """A view's CASE without ELSE gives null for a status that its author did not think of."""
    deployment.open_business("B1", {"window_start": "11:30"})
    deployment.invoice("F1", business_id="B1")
    deployment.tick()
    deployment.execute("ALTER TABLE ponctuel.invoices ALTER status DROP NOT NULL")
    deployment.execute("UPDATE ponctuel.invoices SET status = NULL")
    deployment.tick("deliver_messages")
    assert deployment.states() == [("F1", "1", "cancelled")]
    assert deployment.smtp.accepted() == []
