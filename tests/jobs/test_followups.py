"""Relances from the tick to the letter: the happy path, and what stops, spaces or groups them."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.harness import TODAY, Deployment


def test_an_unpaid_invoice_and_an_unanswered_quote_are_chased_and_a_second_run_sends_nothing(
    deployment: Deployment,
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.customer("C2")
    deployment.quote(customer_id="C2")
    deployment.tick()
    assert deployment.states() == [("F1", "1", "accepted"), ("D1", "1", "accepted")]
    run = deployment.last_run()
    assert run["status"] == "succeeded"
    assert run["counts"]["sent"] == 2
    deployment.tick()
    assert len(deployment.smtp.accepted()) == 2
    assert deployment.last_run()["counts"] == {}


def test_the_letter_says_what_remains_due_after_a_partial_payment(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.invoice(status="partial", total=Decimal("1200.00"), balance=Decimal("300.50"))
    deployment.tick()
    body = deployment.rows("SELECT subject, text FROM ponctuel.message_bodies")[0]
    assert "300,50" in body["subject"]
    assert "300,50" in body["text"]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"status": "paid", "balance": 0}, "paid"),
        ({"status": "credited", "balance": 0}, "credited"),
        ({"status": "cancelled"}, "cancelled"),
        ({"status": "draft"}, "draft"),
        ({"disputed": True}, "disputed"),
        ({"promised_until": TODAY}, "promised until tonight"),
        ({"auto_enabled": False}, "auto_enabled is false"),
        ({"balance": Decimal("0.40")}, "a remainder within the tolerance"),
        ({"balance": Decimal("-50.00")}, "a credit above the invoice"),
        ({"due_on": None}, "no due date"),
        ({"due_on": TODAY - timedelta(days=60), "issued_on": TODAY - timedelta(days=36)}, "absurd"),
        ({"customer_id": "nobody"}, "customer deleted"),
    ],
)
def test_an_invoice_is_left_alone_when(
    deployment: Deployment, document: dict[str, object], why: str
) -> None:
    deployment.open_business()
    deployment.invoice(**document)
    deployment.invoice("F2", customer_id="C1")
    deployment.tick()
    assert [subject for subject, _, _ in deployment.states()] == ["F2"]


@pytest.mark.parametrize(
    "customer",
    [
        {"emails": None},
        {"emails": "pas d'adresse"},
        {"auto_enabled": False},
        {"insolvency": True},
        {"paused_until": TODAY},
    ],
)
def test_a_customer_is_left_alone_when(deployment: Deployment, customer: dict[str, object]) -> None:
    deployment.open_business()
    deployment.customer("C2", **customer)
    deployment.invoice(customer_id="C2")
    deployment.tick()
    assert deployment.states() == []


@pytest.mark.parametrize(
    "quote",
    [{"status": "accepted"}, {"status": "refused"}, {"valid_until": TODAY - timedelta(days=1)}],
)
def test_a_quote_is_left_alone_when(deployment: Deployment, quote: dict[str, object]) -> None:
    deployment.open_business()
    deployment.quote(**quote)
    deployment.tick()
    assert deployment.states() == []


def test_a_promise_that_has_passed_no_longer_protects(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.invoice(promised_until=TODAY - timedelta(days=1))
    deployment.tick()
    assert deployment.states() == [("F1", "1", "accepted")]


def test_a_business_that_has_not_switched_relances_on_sends_none(deployment: Deployment) -> None:
    deployment.open_business(settings={"followups_enabled": False})
    deployment.invoice()
    deployment.tick()
    assert deployment.states() == []


def test_a_missed_day_loses_no_reminder(deployment: Deployment) -> None:
    """Invoice Ninja #2183 and #637: the delay is reached (`<=`), not equal to today."""
    deployment.open_business()
    deployment.invoice(due_on=TODAY - timedelta(days=9))
    deployment.tick()
    assert deployment.states() == [("F1", "1", "accepted")]


def test_nine_days_down_over_three_levels_make_no_burst(deployment: Deployment) -> None:
    deployment.open_business(settings={"business_days_only": False})
    deployment.invoice(due_on=TODAY - timedelta(days=40), issued_on=TODAY - timedelta(days=70))
    deployment.tick()
    assert deployment.states() == [("F1", "1", "accepted")]
    deployment.tick(hours=24 * 9)
    assert len(deployment.messages()) == 1, "level 2 comes ten days after level 1, as configured"
    deployment.tick(hours=24)
    assert deployment.states() == [("F1", "1", "accepted"), ("F1", "2", "accepted")]
    deployment.tick(hours=24 * 15)
    assert deployment.states()[2:] == [("F1", "3", "accepted")]
    deployment.tick(hours=24 * 60)
    assert len(deployment.messages()) == 3


def test_twenty_two_runs_in_a_day_send_one_reminder(deployment: Deployment) -> None:
    """Invoice Ninja #1693: a cron every hour sent 22 copies of reminder 2."""
    deployment.open_business()
    deployment.invoice()
    for _ in range(22):
        deployment.tick()
    assert len(deployment.smtp.accepted()) == 1


def test_a_notice_meant_before_the_due_date_is_not_sent_after_it(deployment: Deployment) -> None:
    """Invoice Ninja #5860, and its opposite: a late notice is skipped, the next level counts."""
    deployment.open_business()
    deployment.execute(
        "UPDATE ponctuel.followup_levels SET level = level + 1 "
        "WHERE document = 'invoice' AND level = 3"
    )
    deployment.execute(
        "UPDATE ponctuel.followup_levels SET level = level + 1 "
        "WHERE document = 'invoice' AND level = 2"
    )
    deployment.execute(
        "UPDATE ponctuel.followup_levels SET level = level + 1 "
        "WHERE document = 'invoice' AND level = 1"
    )
    deployment.execute(
        "INSERT INTO ponctuel.followup_levels (business_id, document, level, anchor,"
        " delay_days, tone) VALUES ('B1', 'invoice', 1, 'due', -3, 'rappel')"
    )
    deployment.invoice("F1")
    deployment.customer("C2")
    deployment.invoice("F2", due_on=TODAY + timedelta(days=2), customer_id="C2")
    deployment.tick()
    assert deployment.states() == [("F1", "2", "accepted"), ("F2", "1", "accepted")]


def test_an_invoice_sent_yesterday_evening_is_not_past_due_this_morning(
    deployment: Deployment,
) -> None:
    """Invoice Ninja #9312: due on receipt, reminded the next morning at six."""
    deployment.open_business()
    deployment.execute(
        "UPDATE ponctuel.followup_levels SET delay_days = 1 WHERE level = 1 "
        "AND document = 'invoice'"
    )
    yesterday = TODAY - timedelta(days=1)
    deployment.invoice(issued_on=yesterday, due_on=yesterday)
    deployment.tick()
    assert deployment.states() == []
    deployment.tick(hours=24)
    assert deployment.states() == [("F1", "1", "accepted")]


def test_who_pays_between_planning_and_sending_is_not_chased(deployment: Deployment) -> None:
    deployment.open_business(settings={"window_start": "11:30"})
    deployment.invoice()
    deployment.tick()
    assert deployment.messages()[0]["hold_reason"] == "window"
    deployment.execute("UPDATE ponctuel.invoices SET status = 'paid', balance = 0")
    deployment.tick("deliver_messages")
    message = deployment.messages()[0]
    assert (message["state"], message["error_code"]) == ("cancelled", "not_open")
    assert message["key_free"]
    assert deployment.smtp.accepted() == []


def test_a_payment_that_bounces_reopens_the_case_under_a_new_cycle(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.tick()
    deployment.execute("UPDATE ponctuel.invoices SET status = 'paid', balance = 0")
    deployment.tick(hours=24 * 5)
    deployment.execute("UPDATE ponctuel.invoices SET status = 'sent', balance = 1234.56")
    deployment.tick()
    assert [(m["step"], m["cycle"]) for m in deployment.messages()] == [("1", "0"), ("1", "1")]


def test_a_new_version_of_a_quote_is_followed_anew(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.quote()
    deployment.tick()
    deployment.execute("UPDATE ponctuel.quotes SET version = 2")
    deployment.tick(hours=24 * 4)
    assert [(m["step"], m["cycle"]) for m in deployment.messages()] == [("1", "1"), ("1", "2")]


def test_a_quote_is_reminded_before_it_expires_and_marked_expired_once(
    deployment: Deployment,
) -> None:
    deployment.open_business(settings={"business_days_only": False})
    deployment.quote(issued_on=TODAY - timedelta(days=3), valid_until=TODAY + timedelta(days=9))
    for _ in range(14):
        deployment.tick(hours=24)
    assert deployment.states() == [("D1", "1", "accepted"), ("D1", "2", "accepted")]
    runs = deployment.rows("SELECT counts FROM ponctuel.runs WHERE job = 'followups'")
    assert sum(run["counts"].get("quotes_expired", 0) for run in runs) == 1
    assert deployment.rows("SELECT status FROM ponctuel.quotes") == [{"status": "expired"}]


def test_a_customer_gets_one_relance_per_interval_and_none_is_lost(deployment: Deployment) -> None:
    deployment.open_business(settings={"min_interval_days": 3})
    deployment.invoice("F1")
    deployment.invoice("F2", due_on=TODAY - timedelta(days=7))
    deployment.tick()
    assert deployment.states() == [("F2", "1", "accepted")], "the one that is due first"
    deployment.tick(hours=24)
    assert len(deployment.messages()) == 1
    deployment.tick(hours=48)
    assert {subject for subject, _, _ in deployment.states()} == {"F1", "F2"}


def test_the_due_invoices_of_a_customer_go_out_in_one_letter_with_a_total_per_currency(
    deployment: Deployment,
) -> None:
    deployment.open_business(settings={"group_by_customer": True})
    deployment.invoice("F1", total=Decimal("100.00"))
    deployment.invoice("F2", total=Decimal("50.25"))
    deployment.invoice("F3", total=Decimal("80.00"), currency="USD")
    deployment.tick()
    assert [m["kind"] for m in deployment.messages()] == ["billing.invoice_letter"]
    text = deployment.rows("SELECT text FROM ponctuel.message_bodies")[0]["text"]
    assert "150,25" in text
    assert "80,00" in text
    assert "230,25" not in text
    deployment.tick()
    assert len(deployment.messages()) == 1
    deployment.tick(hours=24 * 10)
    assert [m["kind"] for m in deployment.messages()] == ["billing.invoice_letter"] * 2


def test_a_letter_leaves_without_the_invoice_that_was_paid_meanwhile(
    deployment: Deployment,
) -> None:
    deployment.open_business(settings={"group_by_customer": True, "window_start": "11:30"})
    deployment.invoice("F1", total=Decimal("100.00"))
    deployment.invoice("F2", total=Decimal("50.25"))
    deployment.tick()
    deployment.execute("UPDATE ponctuel.invoices SET status = 'paid', balance = 0 WHERE id = 'F1'")
    deployment.tick("deliver_messages")
    text = deployment.rows("SELECT text FROM ponctuel.message_bodies")[0]["text"]
    assert "50,25" in text
    assert "F1" not in text
    assert [
        line["subject"] for line in deployment.rows("SELECT subject FROM ponctuel.message_lines")
    ] == ["F2"]


def test_a_refused_level_waits_for_the_owner_and_is_not_skipped(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.smtp.fail("refuse_permanent")
    deployment.tick()
    assert deployment.states() == [("F1", "1", "refused")]
    assert deployment.last_run()["status"] == "partial"
    deployment.smtp.heal()
    deployment.tick(hours=24 * 40)
    assert len(deployment.messages(kind="billing.invoice_followup")) == 1
    left_out = deployment.rehearse()["left_out"]
    assert [(row["number"], row["reason"]) for row in left_out] == [("F1", "to_handle")]


def test_a_relance_that_could_not_leave_in_a_week_is_too_late_and_shown_to_the_owner(
    deployment: Deployment,
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.smtp.fail("refuse_temporary")
    deployment.tick()
    assert deployment.states() == [("F1", "1", "planned")]
    deployment.smtp.heal()
    deployment.tick("deliver_messages", hours=24 * 8)
    assert deployment.states() == [("F1", "1", "expired")]
    deployment.tick()
    assert len(deployment.messages()) == 1
    assert deployment.rehearse()["left_out"][0]["reason"] == "to_handle"


def test_an_invoice_whose_pdf_is_missing_is_held_and_leaves_once_it_is_there(
    deployment: Deployment,
) -> None:
    deployment.open_business()
    deployment.execute("UPDATE ponctuel.followup_levels SET attach_pdf = true")
    deployment.invoice(pdf_key="B1/F1.pdf")
    deployment.tick()
    message = deployment.messages()[0]
    assert (message["state"], message["hold_reason"]) == ("held", "attachment")
    (deployment.documents / "B1").mkdir()
    (deployment.documents / "B1" / "F1.pdf").write_bytes(b"%PDF-1.4 facture")
    deployment.tick("deliver_messages", hours=2)
    assert deployment.states() == [("F1", "1", "accepted")]
    sent = deployment.rows("SELECT attachments FROM ponctuel.message_bodies")[0]["attachments"]
    assert [(a["name"], a["size"]) for a in sent] == [("F1.pdf", 16)]


def test_a_thirty_megabyte_pdf_is_held_with_its_reason(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.execute("UPDATE ponctuel.followup_levels SET attach_pdf = true")
    deployment.invoice(pdf_key="F1.pdf")
    with (deployment.documents / "F1.pdf").open("wb") as file:
        file.truncate(30_000_000)
    deployment.tick()
    message = deployment.messages()[0]
    assert (message["state"], message["hold_reason"]) == ("held", "attachment")
    assert message["error"]


def test_professionals_read_of_penalties_and_consumers_never_do(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.customer("C2", customer_type="consumer")
    deployment.customer("C3", customer_type=None)
    for number, customer in (("F1", "C1"), ("F2", "C2"), ("F3", "C3")):
        deployment.invoice(
            number,
            customer_id=customer,
            due_on=TODAY - timedelta(days=40),
            issued_on=TODAY - timedelta(days=70),
        )
    for _ in range(4):
        deployment.tick(hours=24 * 10)
    bodies = deployment.rows(
        "SELECT m.subject, b.text FROM ponctuel.message_bodies b "
        "JOIN ponctuel.messages m ON m.id = b.message_id"
    )
    claims = {body["subject"] for body in bodies if "40,00" in body["text"]}
    assert claims == {"F1"}
    assert all("14,25" not in body["text"] for body in bodies), "no figure for 2026 is known"


def test_payments_that_were_not_synchronised_lately_stop_relances(deployment: Deployment) -> None:
    deployment.open_business(settings={"max_payment_age_hours": 24})
    deployment.invoice()
    deployment.tick()
    assert deployment.states() == []
    deployment.execute("UPDATE ponctuel.billing_settings SET payments_synced_at = ponctuel.clock()")
    deployment.tick()
    assert deployment.states() == [("F1", "1", "accepted")]


def test_nothing_leaves_on_a_public_holiday_or_at_night(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.invoice(due_on=date(2026, 4, 1), issued_on=date(2026, 3, 1))
    deployment.tick(hours=24 * 27)  # Easter Monday, 6 April 2026
    message = deployment.messages()[0]
    assert (message["state"], message["hold_reason"]) == ("held", "window")
    assert message["not_before"].isoformat() == "2026-04-07T07:00:00+00:00"
    deployment.tick("deliver_messages", hours=24)
    assert deployment.states() == [("F1", "1", "accepted")]


def test_a_business_in_la_reunion_writes_at_its_own_hours(deployment: Deployment) -> None:
    """Invoice Ninja #8665: the customer's zone and the server's differ, and nothing was sent."""
    deployment.open_business("B1")
    deployment.open_business("R1", zone="Indian/Reunion", subdivision="974")
    deployment.invoice("F1", business_id="B1")
    deployment.invoice("F1", business_id="R1")
    deployment.tick(hours=7.5)  # 17:30 in Paris, 20:30 in Saint-Denis
    states = {m["business_id"]: (m["state"], m["hold_reason"]) for m in deployment.messages()}
    assert states == {"B1": ("accepted", None), "R1": ("held", "window")}


def test_twin_businesses_with_identical_ids_never_meet(deployment: Deployment) -> None:
    for business in ("B1", "B2"):
        deployment.open_business(business, sender_email=f"compta@{business.lower()}.example")
        deployment.invoice("F1", business_id=business)
    deployment.execute("UPDATE ponctuel.customers SET emails = lower(business_id) || '@x.example'")
    deployment.execute("UPDATE ponctuel.invoices SET balance = 10 WHERE business_id = 'B1'")
    deployment.tick()
    sent = {m["business_id"]: m["recipient"] for m in deployment.messages(state="accepted")}
    assert sent == {"B1": "b1@x.example", "B2": "b2@x.example"}
    deployment.execute(
        "UPDATE ponctuel.invoices SET status='paid', balance=0 WHERE business_id = 'B1'"
    )
    deployment.tick(hours=24 * 10)
    assert [m["business_id"] for m in deployment.messages(step="2")] == ["B2"]


def test_a_dry_run_lists_exactly_what_the_real_run_then_plans(deployment: Deployment) -> None:
    deployment.open_business("B1")
    deployment.open_business("B2", settings={"group_by_customer": True})
    for n in range(6):
        # All of one address: the last two wait, because nobody gets more than four a day.
        deployment.customer(f"K{n}", business_id="B1")
        deployment.invoice(f"F{n}", business_id="B1", customer_id=f"K{n}")
        deployment.invoice(f"F{n}", business_id="B2")
    deployment.quote(business_id="B1", valid_until=TODAY - timedelta(days=1))
    deployment.execute("DELETE FROM ponctuel.go_lives WHERE business_id = 'B2'")
    report = deployment.rehearse()
    listed = {
        (m["business_id"], m["subject"], m["step"], m["hold_reason"] or m["letter"]["reason"])
        for m in report["messages"]
    }
    assert deployment.messages() == []
    assert report["changes"] == [{"change": "quotes_expired", "business_id": "B1", "subject": "D1"}]
    deployment.tick()
    planned = {
        (m["business_id"], m["subject"], m["step"], m["hold_reason"]) for m in deployment.messages()
    }
    assert listed == planned
    assert len(planned) == 7


def test_force_lifts_the_delay_and_nothing_else(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.invoice("F1", due_on=TODAY + timedelta(days=20))
    deployment.customer("C2")
    deployment.invoice("F2", due_on=TODAY + timedelta(days=20), disputed=True, customer_id="C2")
    assert deployment.rehearse()["messages"] == []
    forced = deployment.rehearse(force=True)["messages"]
    assert [message["subject"] for message in forced] == ["F1"]


def test_one_business_with_an_unknown_zone_does_not_stop_the_others(
    deployment: Deployment,
) -> None:
    deployment.open_business("B1")
    deployment.open_business("B2", zone="CET+1/Paris")
    deployment.invoice(business_id="B1")
    deployment.invoice(business_id="B2")
    deployment.tick()
    assert [m["business_id"] for m in deployment.messages()] == ["B1"]
    run = deployment.last_run()
    assert run["status"] == "partial"
    errors = deployment.rows("SELECT business_id, code FROM ponctuel.run_errors")
    assert {(e["business_id"], e["code"]) for e in errors} == {("B2", "bad_zone")}
