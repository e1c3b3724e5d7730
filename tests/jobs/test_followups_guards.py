"""What happens between planning and sending, an answer that was lost, more work than one batch
holds, and a run that a person forces."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from sqlalchemy import text

from chalicelib.jobs.followups import JOB
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.job import Job
from chalicelib.runner.request import request
from chalicelib.runner.work import work
from tests import factories
from tests.harness import TODAY, Deployment

ZONE = "Europe/Paris"
LATER = {"window_start": "11:30"}  # the relance of 11:00 is planned, and waits half an hour


def received(deployment: Deployment) -> list[EmailMessage]:
    """The messages that the mail server accepted, parsed."""
    parsed = []
    for entry in deployment.smtp.accepted():
        content = (deployment.smtp.folder / entry.file).read_bytes()
        parsed.append(message_from_bytes(content, policy=policy.default))
    return parsed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE ponctuel.businesses SET active = false", "business_inactive"),
        ("UPDATE ponctuel.billing_settings SET followups_enabled = false", "followups_disabled"),
        ("DELETE FROM ponctuel.billing_settings", "followups_disabled"),
        ("DELETE FROM ponctuel.invoices", "deleted"),
        ("UPDATE ponctuel.invoices SET status = 'credited', balance = 0", "not_open"),
        ("UPDATE ponctuel.invoices SET balance = 0", "settled"),
        ("UPDATE ponctuel.invoices SET balance = 0.80", "tolerated"),
        ("UPDATE ponctuel.invoices SET auto_enabled = false", "auto_disabled"),
        ("UPDATE ponctuel.invoices SET disputed = true", "disputed"),
        ("UPDATE ponctuel.invoices SET promised_until = '2026-03-10'", "promised"),
        ("UPDATE ponctuel.customers SET paused_until = '2026-03-10'", "paused"),
        ("UPDATE ponctuel.customers SET auto_enabled = false", "opted_out"),
        ("UPDATE ponctuel.customers SET insolvency = true", "insolvency"),
        ("UPDATE ponctuel.customers SET emails = NULL", "no_email"),
        ("DELETE FROM ponctuel.customers", "no_customer"),
    ],
)
def test_what_changes_after_planning_cancels_the_relance_of_an_invoice(
    deployment: Deployment, change: str, reason: str
) -> None:
    deployment.open_business(settings=LATER)
    deployment.invoice()
    deployment.tick()
    deployment.execute(change)
    deployment.tick("deliver_messages")
    (message,) = deployment.messages()
    assert (message["state"], message["error_code"]) == ("cancelled", reason)
    assert message["key_free"], "planned again should the reason go"
    assert deployment.smtp.received() == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE ponctuel.quotes SET status = 'accepted'", "not_open"),
        ("UPDATE ponctuel.quotes SET status = 'refused'", "not_open"),
        ("UPDATE ponctuel.quotes SET version = 2", "reopened"),
        ("UPDATE ponctuel.quotes SET valid_until = '2026-03-09'", "quote_expired"),
        ("DELETE FROM ponctuel.quotes", "deleted"),
    ],
)
def test_a_quote_that_was_answered_after_planning_is_not_followed_up(
    deployment: Deployment, change: str, reason: str
) -> None:
    deployment.open_business(settings=LATER)
    deployment.quote()
    deployment.tick()
    deployment.execute(change)
    deployment.tick("deliver_messages")
    (message,) = deployment.messages()
    assert (message["state"], message["error_code"]) == ("cancelled", reason)
    assert deployment.smtp.received() == []


def test_a_dispute_that_is_settled_lets_the_cancelled_level_be_planned_again(
    deployment: Deployment,
) -> None:
    deployment.open_business(settings=LATER)
    deployment.invoice()
    deployment.tick()
    deployment.execute("UPDATE ponctuel.invoices SET disputed = true")
    deployment.tick("deliver_messages")
    deployment.execute("UPDATE ponctuel.invoices SET disputed = false")
    deployment.tick()
    assert deployment.states() == [("F1", "1", "cancelled"), ("F1", "1", "accepted")]
    assert len(deployment.smtp.accepted()) == 1


def test_an_address_that_was_corrected_after_planning_is_the_one_that_is_written_to(
    deployment: Deployment,
) -> None:
    deployment.open_business(settings=LATER)
    deployment.invoice()
    deployment.tick()
    deployment.execute("UPDATE ponctuel.customers SET emails = 'nouvelle@martin.example'")
    deployment.tick("deliver_messages")
    (entry,) = deployment.smtp.accepted()
    assert entry.recipients == ("nouvelle@martin.example",)
    (message,) = deployment.messages()
    assert (message["state"], message["recipient"]) == ("accepted", "nouvelle@martin.example")


def test_a_partial_payment_after_planning_is_deducted_in_the_letter(deployment: Deployment) -> None:
    deployment.open_business(settings=LATER)
    deployment.invoice(total=Decimal("1200.00"))
    deployment.tick()
    deployment.execute("UPDATE ponctuel.invoices SET status = 'partial', balance = 417.30")
    deployment.tick("deliver_messages")
    (letter,) = received(deployment)
    plain = letter.get_body(("plain",))
    html = letter.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert "417,30" in letter["Subject"]
    assert "417,30" in plain.get_content()
    assert "417,30" in html.get_content()


def daily_levels(deployment: Deployment) -> None:
    """A level a day, from the fifth day on, and no more than that between two relances."""
    deployment.open_business(settings={"min_interval_days": 1})
    steps = [("due", 5, "rappel"), ("due", 6, "ferme")]
    with deployment.database.begin() as connection:
        connection.execute(text("DELETE FROM ponctuel.followup_levels"))
        factories.levels(connection, steps=steps)


def test_an_uncertain_level_waits_a_day_for_its_proof_then_counts_as_gone_out(
    deployment: Deployment,
) -> None:
    daily_levels(deployment)
    deployment.invoice()
    deployment.smtp.fail("accept_then_close", count=1)
    deployment.tick()
    assert deployment.states() == [("F1", "1", "uncertain")]
    deployment.tick(hours=23)
    assert deployment.states() == [("F1", "1", "uncertain")]
    left_out = deployment.rehearse()["left_out"]
    assert [row["reason"] for row in left_out] == ["in_flight"]
    deployment.tick(hours=2)
    assert deployment.states() == [("F1", "1", "uncertain"), ("F1", "2", "accepted")]
    assert len(deployment.smtp.accepted()) == 2, "level 1 was in fact accepted: never again"


def test_the_level_after_an_uncertain_one_keeps_its_distance(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.smtp.fail("accept_then_close", count=1)
    deployment.tick()
    deployment.tick(hours=25)
    deployment.tick(hours=24 * 8)
    assert deployment.states() == [("F1", "1", "uncertain")]
    deployment.tick(hours=24)
    assert deployment.states() == [("F1", "1", "uncertain"), ("F1", "2", "accepted")]


def in_batches_of(size: int) -> Job:
    return replace(JOB, steps=tuple(replace(step, batch=size) for step in JOB.steps))


def test_more_quotes_and_customers_than_a_batch_holds_are_each_treated_once(
    deployment: Deployment,
) -> None:
    deployment.open_business()
    for number in range(7):
        deployment.customer(f"K{number}", emails=f"k{number}@client.example")
        deployment.invoice(f"F{number}", customer_id=f"K{number}")
        deployment.quote(f"D{number}", valid_until=TODAY - timedelta(days=1))
    deployment.advance_to_slot()
    job = in_batches_of(2)
    with bench_for(job, holder="test") as bench:
        results = work(job, bench, Deadline.after(300))
    assert [result.status for result in results] == ["succeeded"]
    counts = deployment.last_run()["counts"]
    assert counts == {"quotes_expired": 7, "planned": 7, "sent": 7}
    found = deployment.rows(
        "SELECT status, count(*) AS n, count(DISTINCT xmin::text) AS transactions "
        "FROM ponctuel.quotes GROUP BY status"
    )
    assert found == [{"status": "expired", "n": 7, "transactions": 4}]
    assert deployment.states() == [(f"F{n}", "1", "accepted") for n in range(7)]
    recipients = [entry.recipients for entry in deployment.smtp.accepted()]
    assert sorted(recipients) == [(f"k{n}@client.example",) for n in range(7)]
    assert deployment.rows("SELECT * FROM ponctuel.run_items") == []


def force(deployment: Deployment) -> None:
    """A person asks for a forced run, and the job's process takes it up."""
    with bench_for(JOB, holder="test") as bench:
        run_id = request(bench.engine, JOB, ZONE, door="cli", by="léa", reason="salon", force=True)
        results = work(JOB, bench, Deadline.after(300))
    assert [(result.run_id, result.status) for result in results] == [(run_id, "succeeded")]


def test_a_forced_run_sends_what_is_not_due_yet_and_nothing_that_is_disputed(
    deployment: Deployment,
) -> None:
    deployment.open_business()
    deployment.invoice("F1", due_on=TODAY + timedelta(days=20))
    deployment.customer("C2")
    deployment.invoice("F2", due_on=TODAY + timedelta(days=20), customer_id="C2", disputed=True)
    deployment.tick()
    assert deployment.states() == []
    force(deployment)
    assert deployment.states() == [("F1", "1", "accepted")]
    run = deployment.last_run()
    assert (run["door"], run["requested_by"], run["force"]) == ("cli", "léa", True)
    assert len(deployment.smtp.accepted()) == 1


def test_a_forced_run_repeats_no_level_and_keeps_the_customers_interval(
    deployment: Deployment,
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.tick()
    force(deployment)
    assert deployment.states() == [("F1", "1", "accepted")], "written to today already"
    for _ in range(3):
        deployment.database.advance(timedelta(days=7))
        force(deployment)
    assert [step for _, step, _ in deployment.states()] == ["1", "2", "3"]
    assert len(deployment.smtp.accepted()) == 3
