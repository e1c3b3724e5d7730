"""overdue_and_reminders: each thing is told once, what is settled is resolved, nothing stale is
sent. It is Tuesday 10 March 2026, 10:00 in Paris."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest

from chalicelib.jobs import job
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.request import request
from chalicelib.runner.work import work
from tests import factories
from tests.harness import NOW, TODAY, Deployment

JOB = "overdue_and_reminders"
# The first slot after the installation.
LATER = NOW + timedelta(hours=1)
KINDS = ("agenda.notice", "agenda.reminder", "agenda.digest")


def open_business(deployment: Deployment, id: str = "B1", **settings: Any) -> None:
    """A live business with an owner U1, an assistant U2, and relances switched off."""
    deployment.open_business(id, settings={"followups_enabled": False}, **settings)
    deployment.go_live(id, kinds=KINDS)
    with deployment.database.begin() as connection:
        factories.user(connection, "U1", id, role="owner", email=f"u1@{id.lower()}.example")
        factories.user(connection, "U2", id, email=f"u2@{id.lower()}.example")


def insert(deployment: Deployment, relation: str, **row: Any) -> None:
    with deployment.database.begin() as connection:
        factories.row(connection, relation, row)


def overdue(deployment: Deployment, id: str = "F1", days: int = 1, **row: Any) -> None:
    deployment.invoice(id, due_on=TODAY - timedelta(days), status="sent", **row)


def task(deployment: Deployment, id: str = "T1", **row: Any) -> None:
    insert(deployment, "tasks", **{
        "business_id": "B1", "id": id, "title": "Commander les ferrures", "user_id": "U2",
        "due_on": TODAY - timedelta(1), **row,
    })  # fmt: skip


def appointment(deployment: Deployment, id: str = "A1", **row: Any) -> None:
    insert(deployment, "appointments", **{
        "business_id": "B1", "id": id, "title": "Prise de mesures", "user_id": "U2",
        "starts_at": NOW + timedelta(hours=30), "created_at": NOW - timedelta(days=10), **row,
    })  # fmt: skip


def notifications(deployment: Deployment, **where: Any) -> list[tuple[Any, ...]]:
    rows = deployment.rows("SELECT * FROM ponctuel.notifications ORDER BY created_at, id")
    return [
        (row["kind"].removeprefix("agenda."), row["subject"], row["user_id"])
        for row in rows
        if all(row[name] == value for name, value in where.items())
    ]


def mails(deployment: Deployment) -> list[tuple[str, str]]:
    """(kind, to) of each e-mail that has left."""
    return [
        (m["kind"].removeprefix("agenda."), m["recipient"])
        for m in deployment.messages()
        if m["state"] == "accepted"
    ]


def letters(deployment: Deployment) -> list[str]:
    """The text of each e-mail that has left, as it arrived."""
    found = []
    for entry in deployment.smtp.accepted():
        content = (deployment.smtp.folder / entry.file).read_bytes()
        part = message_from_bytes(content, policy=policy.default).get_body(("plain",))
        assert part is not None
        found.append(part.get_content())
    return found


def test_an_invoice_that_becomes_overdue_is_marked_and_told_once(deployment: Deployment) -> None:
    open_business(deployment)
    overdue(deployment, balance=1234.56, total=1234.56)
    deployment.tick(JOB)
    assert deployment.last_run(JOB)["status"] == "succeeded", deployment.last_run(JOB)
    assert deployment.rows("SELECT status FROM ponctuel.invoices") == [{"status": "overdue"}]
    assert notifications(deployment) == [("invoice_overdue", "F1", "U1")]
    [shown] = deployment.rows("SELECT title, body, link FROM ponctuel.notifications")
    assert shown["title"] == "Facture F1 en retard"
    assert shown["body"] == (
        "Boulangerie Martin\u00a0: 1\u00a0234,56\u00a0€ à régler depuis le 09/03/2026"
    )
    assert mails(deployment) == [("notice", "u1@b1.example")]
    for _ in range(3):
        deployment.tick(JOB)
    assert len(notifications(deployment)) == len(mails(deployment)) == 1


def test_an_invoice_is_not_overdue_on_its_due_date(deployment: Deployment) -> None:
    open_business(deployment)
    overdue(deployment, days=0)
    deployment.tick(JOB)
    assert deployment.rows("SELECT status FROM ponctuel.invoices") == [{"status": "sent"}]
    assert notifications(deployment) == []


def test_what_is_paid_resolves_by_itself_and_a_payment_that_bounces_is_told_again(
    deployment: Deployment,
) -> None:
    open_business(deployment)
    overdue(deployment)
    deployment.tick(JOB)
    deployment.execute("UPDATE ponctuel.invoices SET status = 'paid', balance = 0")
    deployment.tick(JOB)
    assert notifications(deployment, resolved_at=None) == []
    deployment.execute("UPDATE ponctuel.invoices SET status = 'sent', balance = 10")
    deployment.tick(JOB)
    assert notifications(deployment, resolved_at=None) == [("invoice_overdue", "F1", "U1")]
    assert len(mails(deployment)) == 2


def test_an_invoice_that_is_given_more_time_is_no_longer_overdue(deployment: Deployment) -> None:
    open_business(deployment)
    overdue(deployment, total=100, balance=40)
    deployment.tick(JOB)
    deployment.execute("UPDATE ponctuel.invoices SET due_on = due_on + 10")
    deployment.tick(JOB)
    assert deployment.rows("SELECT status FROM ponctuel.invoices") == [{"status": "partial"}]
    assert notifications(deployment, resolved_at=None) == []
    deployment.tick(JOB, hours=24 * 11)
    assert deployment.rows("SELECT status FROM ponctuel.invoices") == [{"status": "overdue"}]
    assert notifications(deployment, resolved_at=None) == [("invoice_overdue", "F1", "U1")]


def test_a_notification_that_its_reader_deletes_does_not_come_back(deployment: Deployment) -> None:
    open_business(deployment)
    overdue(deployment)
    deployment.tick(JOB)
    deployment.execute("DELETE FROM ponctuel.notifications")
    deployment.tick(JOB)
    assert notifications(deployment) == []


def test_what_is_paid_before_the_email_leaves_is_not_in_it(deployment: Deployment) -> None:
    open_business(deployment)
    overdue(deployment, "F1")
    overdue(deployment, "F2")
    deployment.database.set_clock(datetime(2026, 3, 11, 3, 0, tzinfo=UTC))
    deployment.tick(JOB, hours=0)
    assert {m["state"] for m in deployment.messages()} <= {"held", "planned"}
    deployment.execute("UPDATE ponctuel.invoices SET status = 'paid', balance = 0 WHERE id = 'F1'")
    deployment.database.set_clock(NOW + timedelta(days=1))
    deployment.deliver()
    [mail] = letters(deployment)
    assert "F2" in mail
    assert "F1" not in mail


def test_a_task_is_told_to_who_has_to_do_it_once_for_each_due_date(deployment: Deployment) -> None:
    open_business(deployment)
    task(deployment)
    task(deployment, "T2", user_id=None)
    task(deployment, "T3", user_id="nobody")
    deployment.tick(JOB)
    assert sorted(notifications(deployment)) == [
        ("task_overdue", "T1", "U2"),
        ("task_overdue", "T2", "U1"),
        ("task_overdue", "T3", "U1"),
    ]
    assert sorted(mails(deployment)) == [("notice", "u1@b1.example"), ("notice", "u2@b1.example")]
    deployment.execute("UPDATE ponctuel.tasks SET due_on = due_on + 5 WHERE id = 'T1'")
    deployment.tick(JOB)
    assert len(notifications(deployment)) == 3
    deployment.tick(JOB, hours=24 * 5)
    assert notifications(deployment, subject="T1", resolved_at=None) == [
        ("task_overdue", "T1", "U2")
    ]


@pytest.mark.parametrize(
    "why",
    [
        {"status": "done"},
        {"status": "cancelled"},
        {"due_on": TODAY},
        {"due_on": None},
        {"due_at": NOW + timedelta(hours=2)},
        {"snoozed_until": NOW + timedelta(days=2)},
        {"overdue_told_at": NOW - timedelta(hours=1)},
    ],
    ids=str,
)
def test_a_task_is_left_alone(deployment: Deployment, why: dict[str, Any]) -> None:
    open_business(deployment)
    task(deployment, **why)
    deployment.tick(JOB)
    assert notifications(deployment) == []


def test_ten_thousand_overdue_tasks_of_one_user_are_one_email(deployment: Deployment) -> None:
    open_business(deployment)
    deployment.execute(
        "INSERT INTO ponctuel.tasks (business_id, id, title, user_id, due_on) "
        "SELECT 'B1', n::text, 'Tâche ' || n, 'U2', :day FROM generate_series(1, 10000) n",
        day=TODAY - timedelta(1),
    )
    deployment.tick(JOB)
    assert deployment.last_run(JOB)["counts"]["told"] == 10_000
    [mail] = letters(deployment)
    assert "9\u202f980 autres éléments" in mail


def test_a_critical_task_escalates_and_an_outage_makes_no_burst(deployment: Deployment) -> None:
    open_business(deployment)
    task(deployment, critical=True)
    deployment.tick(JOB)
    assert notifications(deployment) == [("task_overdue", "T1", "U2")]
    deployment.tick(JOB, hours=24)
    assert notifications(deployment, user_id="U1") == [("task_escalated", "T1", "U1")]
    deployment.tick(JOB, hours=24)
    assert len(notifications(deployment)) == 2
    deployment.tick(JOB, hours=24 * 9)
    assert len(notifications(deployment, kind="agenda.task_escalated")) == 2
    deployment.tick(JOB, hours=24 * 60)
    deployment.tick(JOB, hours=24 * 3)
    assert len(notifications(deployment, kind="agenda.task_escalated")) == 2


def test_an_appointment_is_reminded_of_at_each_offset_to_the_minute(
    deployment: Deployment,
) -> None:
    open_business(deployment)
    appointment(deployment, starts_at=LATER + timedelta(hours=25, minutes=20))
    deployment.tick(JOB)
    held = deployment.messages()
    assert [(m["state"], m["not_before"]) for m in held] == [
        ("held", LATER + timedelta(hours=1, minutes=20))
    ]
    deployment.tick("deliver_messages", hours=1.3)
    assert mails(deployment) == []
    deployment.tick("deliver_messages", hours=0.05)
    assert mails(deployment) == [("reminder", "u2@b1.example")]
    deployment.database.set_clock(LATER + timedelta(hours=24))
    deployment.tick(JOB, hours=0)
    deployment.tick("deliver_messages", hours=0.35)
    assert len(mails(deployment)) == 2
    [first, _] = letters(deployment)
    assert "11/03/2026 à 12:20" in first


def test_a_moved_appointment_is_reminded_of_again_and_a_cancelled_one_is_not(
    deployment: Deployment,
) -> None:
    open_business(deployment)
    start = LATER + timedelta(hours=25, minutes=20)
    for id in ("A1", "A2", "A3"):
        appointment(deployment, id, starts_at=start)
    deployment.tick(JOB)
    deployment.execute("UPDATE ponctuel.appointments SET status = 'cancelled' WHERE id = 'A1'")
    deployment.execute("DELETE FROM ponctuel.appointments WHERE id = 'A2'")
    deployment.execute(
        "UPDATE ponctuel.appointments SET starts_at = :new WHERE id = 'A3'",
        new=start + timedelta(days=3),
    )
    deployment.tick("deliver_messages", hours=1.5)
    assert mails(deployment) == []
    deployment.tick(JOB, hours=0.5)
    assert notifications(deployment, resolved_at=None) == []
    deployment.database.set_clock(start + timedelta(days=2))
    deployment.tick(JOB, hours=0)
    assert mails(deployment) == [("reminder", "u2@b1.example")]


def test_a_reminder_that_comes_too_late_is_let_go_or_becomes_the_next_one(
    deployment: Deployment,
) -> None:
    open_business(deployment)
    appointment(deployment, "A1", starts_at=LATER + timedelta(minutes=5))
    appointment(deployment, "A2", starts_at=LATER + timedelta(minutes=45))
    appointment(deployment, "A3", starts_at=LATER + timedelta(hours=13))
    appointment(deployment, "A4", starts_at=LATER - timedelta(minutes=1))
    appointment(deployment, "A5", starts_at=LATER + timedelta(hours=10))
    deployment.tick(JOB)
    told = deployment.rows("SELECT subject, cycle FROM ponctuel.agenda_told ORDER BY subject")
    assert [(row["subject"], row["cycle"].split("/")[1]) for row in told] == [
        ("A2", "60"),
        ("A3", "1440"),
    ]


def test_no_reminder_for_an_instant_before_the_appointment_was_made(
    deployment: Deployment,
) -> None:
    open_business(deployment)
    start = LATER + timedelta(hours=23)
    appointment(deployment, starts_at=start, created_at=LATER - timedelta(minutes=5))
    deployment.tick(JOB)
    assert deployment.messages() == []


@pytest.mark.parametrize(
    ("offsets", "minutes"),
    [
        ("15", 15),
        (" 15 ; 15", 15),
        ("bientôt", 60),
        ("", 60),
        ("-15", 15),
        ("- 15", 60),
        ("99999999999", 60),
    ],
)
def test_offsets_are_the_appointments_then_the_users_then_the_usual_ones(
    deployment: Deployment, offsets: str, minutes: int
) -> None:
    open_business(deployment)
    start = LATER + timedelta(hours=1, minutes=30)
    appointment(deployment, starts_at=start, offsets=offsets)
    deployment.tick(JOB)
    [message] = deployment.messages()
    assert message["not_before"] == start - timedelta(minutes=minutes)


def test_a_reminder_early_in_the_morning_does_not_wait_for_the_day(deployment: Deployment) -> None:
    open_business(deployment)
    start = datetime(2026, 3, 11, 6, 0, tzinfo=UTC)  # 7:00 in Paris
    appointment(deployment, starts_at=start)
    deployment.database.set_clock(start - timedelta(hours=1))
    deployment.tick(JOB, hours=0)
    assert mails(deployment) == [("reminder", "u2@b1.example")]


def test_who_wants_one_email_a_day_gets_it_at_their_hour(deployment: Deployment) -> None:
    open_business(deployment)
    insert(
        deployment, "user_preferences", business_id="B1", user_id="U2", digest=True,
        digest_at="08:00",
    )  # fmt: skip
    for n in range(3):
        task(deployment, f"T{n}", title=f"Tâche {n}")
    appointment(deployment, starts_at=datetime(2026, 3, 11, 13, 0, tzinfo=UTC), offsets="0")
    deployment.tick(JOB)
    assert len(notifications(deployment)) == 3
    assert mails(deployment) == []
    deployment.execute("UPDATE ponctuel.tasks SET status = 'done' WHERE id = 'T0'")
    deployment.database.set_clock(datetime(2026, 3, 11, 7, 0, tzinfo=UTC))
    deployment.tick(JOB, hours=0)
    assert mails(deployment) == [("digest", "u2@b1.example")]
    [mail] = letters(deployment)
    assert "Prise de mesures" in mail
    assert "Tâche 1" in mail
    assert "Tâche 0" not in mail
    for _ in range(10):
        deployment.tick(JOB)
    assert len(mails(deployment)) == 1


def test_a_critical_task_does_not_wait_for_the_digest(deployment: Deployment) -> None:
    open_business(deployment)
    insert(deployment, "user_preferences", business_id="B1", user_id="U2", digest=True)
    task(deployment, critical=True)
    deployment.tick(JOB)
    assert mails(deployment) == [("notice", "u2@b1.example")]


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_a_digest_at_half_past_two_comes_once_on_a_day_the_clocks_change(
    deployment: Deployment, day: date
) -> None:
    open_business(deployment)
    insert(
        deployment, "user_preferences", business_id="B1", user_id="U2", digest=True,
        digest_at="02:30",
    )  # fmt: skip
    task(deployment)
    deployment.tick(JOB)
    deployment.database.set_clock(datetime(day.year, day.month, day.day, tzinfo=UTC))
    deployment.tick(JOB, hours=-1)
    sent = [len(mails(deployment))]
    for _ in range(5):
        deployment.tick(JOB)
        sent.append(len(mails(deployment)))
    assert sent[-1] == sent[0] + 1


def test_everybody_lives_in_their_own_day(deployment: Deployment) -> None:
    open_business(deployment)
    deployment.execute("UPDATE ponctuel.users SET zone = 'Pacific/Auckland' WHERE id = 'U2'")
    task(deployment, "T1", due_on=TODAY)
    task(deployment, "T2", due_on=TODAY, user_id="U1")
    deployment.database.set_clock(datetime(2026, 3, 10, 12, 0, tzinfo=UTC))  # the 11th there
    deployment.tick(JOB, hours=0)
    assert notifications(deployment) == [("task_overdue", "T1", "U2")]


def test_a_zone_that_does_not_exist_disturbs_nobody(deployment: Deployment) -> None:
    open_business(deployment)
    deployment.execute("UPDATE ponctuel.users SET zone = 'CET+1' WHERE id = 'U2'")
    deployment.execute("UPDATE ponctuel.businesses SET zone = 'Mars/Olympus'")
    task(deployment, "T1")
    task(deployment, "T2", user_id="U1")
    deployment.tick(JOB)
    assert len(notifications(deployment)) == 2
    assert deployment.last_run(JOB)["status"] == "succeeded"


def test_a_user_without_an_address_or_who_wants_none_is_told_in_the_application(
    deployment: Deployment,
) -> None:
    open_business(deployment)
    deployment.execute("UPDATE ponctuel.users SET email = ' ' WHERE id = 'U2'")
    insert(deployment, "user_preferences", business_id="B1", user_id="U1", email=False)
    task(deployment, "T1")
    task(deployment, "T2", user_id="U1")
    deployment.tick(JOB)
    assert len(notifications(deployment)) == 2
    assert deployment.messages() == []


def test_old_things_are_shown_and_not_written_about(deployment: Deployment) -> None:
    open_business(deployment)
    overdue(deployment, days=40)
    task(deployment, due_on=TODAY - timedelta(40))
    deployment.tick(JOB)
    assert len(notifications(deployment)) == 2
    assert deployment.messages() == []


def test_twin_businesses_are_each_told_of_their_own(deployment: Deployment) -> None:
    for id in ("B1", "B2"):
        open_business(deployment, id)
    overdue(deployment, business_id="B1")
    overdue(deployment, business_id="B2")
    task(deployment, business_id="B2")
    deployment.tick(JOB)
    rows = deployment.rows("SELECT business_id, subject FROM ponctuel.notifications ORDER BY 1, 2")
    assert [tuple(row.values()) for row in rows] == [("B1", "F1"), ("B2", "F1"), ("B2", "T1")]
    assert sorted(mails(deployment)) == [
        ("notice", "u1@b1.example"),
        ("notice", "u1@b2.example"),
        ("notice", "u2@b2.example"),
    ]


def test_relations_that_cannot_be_written_keep_nobody_from_being_told(
    deployment: Deployment,
) -> None:
    open_business(deployment)
    overdue(deployment)
    deployment.execute("ALTER TABLE ponctuel.invoices ADD CHECK (status <> 'overdue')")
    deployment.execute("ALTER TABLE ponctuel.notifications ADD CHECK (title = '')")
    deployment.tick(JOB)
    run = deployment.last_run(JOB)
    assert run["status"] == "partial"
    errors = deployment.rows("SELECT item FROM ponctuel.run_errors ORDER BY item")
    assert [row["item"] for row in errors] == ["invoices_overdue", "notifications"]
    assert mails(deployment) == [("notice", "u1@b1.example")]
    deployment.tick(JOB)
    assert len(mails(deployment)) == 1


def test_a_dry_run_says_what_the_run_then_does(deployment: Deployment) -> None:
    open_business(deployment)
    insert(deployment, "user_preferences", business_id="B1", user_id="U2", digest=True)
    overdue(deployment)
    task(deployment, "T1", critical=True, due_on=TODAY - timedelta(3))
    task(deployment, "T2")
    appointment(deployment, starts_at=LATER + timedelta(hours=2))
    report = deployment.rehearse(JOB)
    deployment.tick(JOB)
    said = sorted((m["kind"], m["subject"], m["cycle"], m["step"]) for m in report["messages"])
    done = sorted((m["kind"], m["subject"], m["cycle"], m["step"]) for m in deployment.messages())
    assert [key[:2] for key in said] == [key[:2] for key in done]
    told = sorted(c["subject"] for c in report["changes"] if c["change"] == "told")
    assert told == sorted(row[1] for row in notifications(deployment))
    assert {"change": "invoices_overdue", "business_id": "B1", "subject": "F1"} in report["changes"]


@pytest.mark.parametrize("due_at", ["-infinity", "infinity"])
def test_a_date_that_is_none_stops_nobody(deployment: Deployment, due_at: str) -> None:
    open_business(deployment)
    overdue(deployment, "FI")
    deployment.execute("UPDATE ponctuel.invoices SET due_on = '-infinity'")
    overdue(deployment, "F1")
    overdue(deployment, "FN", balance="NaN", total=100)
    task(deployment, "TI", critical=True, due_on=None, due_at=due_at)
    task(deployment, "TD", critical=True, due_on=due_at)
    task(deployment, "T1", critical=True, due_on=TODAY - timedelta(3))
    appointment(deployment, "AI", starts_at=due_at)
    appointment(deployment, starts_at=LATER + timedelta(hours=1))
    deployment.tick(JOB)
    assert deployment.last_run(JOB)["status"] == "succeeded"
    told = notifications(deployment)
    assert {row[1] for row in told} - {"TI", "TD"} == {"FI", "F1", "T1", "A1"}
    assert (("task_overdue", "TI", "U2") in told) == (due_at == "-infinity")
    [unknown] = deployment.rows("SELECT status FROM ponctuel.invoices WHERE id = 'FN'")
    assert unknown == {"status": "sent"}


@pytest.mark.parametrize("digest", [False, True])
def test_an_appointment_that_is_set_back_is_reminded_of(
    deployment: Deployment, digest: bool
) -> None:
    open_business(deployment)
    if digest:
        insert(deployment, "user_preferences", business_id="B1", user_id="U2", digest=True)
    start = LATER + timedelta(hours=25, minutes=20)
    appointment(deployment, "A1", starts_at=start, offsets="1440")
    appointment(deployment, "A2", starts_at=start, offsets="1440")
    deployment.tick(JOB)
    deployment.execute("UPDATE ponctuel.appointments SET status = 'cancelled' WHERE id = 'A1'")
    deployment.execute(
        "UPDATE ponctuel.appointments SET starts_at = :new WHERE id = 'A2'",
        new=start + timedelta(days=3),
    )
    # The one is cancelled by delivery, at its minute; the other was settled by the run before.
    deployment.tick(JOB)
    assert notifications(deployment, resolved_at=None) == []
    deployment.execute("UPDATE ponctuel.appointments SET starts_at = :new", new=start)
    deployment.tick("deliver_messages", hours=0.4)
    deployment.execute("UPDATE ponctuel.appointments SET status = 'scheduled'")
    deployment.tick(JOB, hours=0.6)
    deployment.tick(JOB)
    # A1's instant had passed when the run before this one saw it cancelled no longer.
    assert mails(deployment) == [("reminder", "u2@b1.example")] * 2
    assert len(notifications(deployment, resolved_at=None)) == 2
    assert len(notifications(deployment)) == 2


def test_a_reminder_that_delivery_let_go_leaves_once_the_appointment_is_set_back(
    deployment: Deployment,
) -> None:
    open_business(deployment)
    appointment(deployment, offsets="1440", starts_at=LATER + timedelta(hours=25, minutes=20))
    deployment.tick(JOB)
    deployment.execute("UPDATE ponctuel.appointments SET status = 'cancelled'")
    deployment.tick("deliver_messages", hours=1.5)
    assert [m["state"] for m in deployment.messages()] == ["cancelled"]
    deployment.execute("UPDATE ponctuel.appointments SET status = 'scheduled'")
    deployment.tick(JOB, hours=0.5)
    deployment.tick(JOB)
    assert mails(deployment) == [("reminder", "u2@b1.example")]
    assert len(notifications(deployment, resolved_at=None)) == 1


def test_a_move_makes_up_for_no_instant_that_has_passed_and_an_outage_does(
    deployment: Deployment,
) -> None:
    open_business(deployment)
    appointment(deployment, "A1", offsets="4320", starts_at=NOW + timedelta(days=20))
    appointment(deployment, "A2", offsets="4320", starts_at=LATER + timedelta(hours=82))
    deployment.tick(JOB)
    deployment.execute(
        "UPDATE ponctuel.appointments SET starts_at = :new WHERE id = 'A1'",
        new=LATER + timedelta(hours=41),
    )
    deployment.tick(JOB)
    assert notifications(deployment) == []
    deployment.tick(JOB, hours=24)
    assert notifications(deployment) == [("appointment", "A2", "U2")]
    assert mails(deployment) == [("reminder", "u2@b1.example")]


def test_a_digest_that_would_say_nothing_is_not_planned(deployment: Deployment) -> None:
    open_business(deployment)
    insert(deployment, "user_preferences", business_id="B1", user_id="U2", digest=True)
    task(deployment)
    appointment(deployment, starts_at=LATER + timedelta(hours=24, minutes=30))
    deployment.tick(JOB)
    deployment.execute("UPDATE ponctuel.tasks SET snoozed_until = '2026-03-11 09:30Z'")
    deployment.database.set_clock(datetime(2026, 3, 11, 7, 0, tzinfo=UTC))
    for hours in (0, 1, 1):
        deployment.tick(JOB, hours=hours)
    assert [m for m in deployment.messages() if m["kind"] == "agenda.digest"] == []
    deployment.tick(JOB)
    assert ("digest", "u2@b1.example") in mails(deployment)


def test_a_task_with_an_hour_that_is_given_a_new_one_is_told_again(deployment: Deployment) -> None:
    open_business(deployment)
    earlier = LATER - timedelta(hours=22)
    task(deployment, due_at=LATER - timedelta(minutes=30), overdue_told_at=earlier)
    deployment.tick(JOB)
    assert notifications(deployment) == [("task_overdue", "T1", "U2")]


def test_a_task_of_a_day_escalates_a_day_after_it_ended_where_its_user_is(
    deployment: Deployment,
) -> None:
    open_business(deployment)
    deployment.execute("UPDATE ponctuel.users SET zone = 'Pacific/Honolulu' WHERE id = 'U2'")
    task(deployment, critical=True, due_on=TODAY - timedelta(1))
    deployment.database.set_clock(datetime(2026, 3, 11, 9, 0, tzinfo=UTC))
    deployment.tick(JOB, hours=0)
    assert notifications(deployment) == [("task_overdue", "T1", "U2")]
    deployment.tick(JOB)  # 10 March ended there at 10:00 UTC
    assert notifications(deployment, user_id="U1") == [("task_escalated", "T1", "U1")]


def test_an_invoice_given_time_is_unmarked_though_nobody_was_there_to_be_told(
    deployment: Deployment,
) -> None:
    open_business(deployment)
    deployment.execute("UPDATE ponctuel.users SET active = false")
    overdue(deployment, total=100, balance=100)
    overdue(deployment, "FH", total=100, balance=100)
    deployment.execute("UPDATE ponctuel.invoices SET status = 'overdue' WHERE id = 'FH'")
    deployment.tick(JOB)
    deployment.execute("UPDATE ponctuel.invoices SET due_on = due_on + 10")
    deployment.tick(JOB)
    statuses = deployment.rows("SELECT id, status FROM ponctuel.invoices ORDER BY id")
    assert [tuple(row.values()) for row in statuses] == [("F1", "sent"), ("FH", "overdue")]
    # Marked by hand since: it stays.
    deployment.execute("UPDATE ponctuel.invoices SET status = 'overdue'")
    deployment.tick(JOB)
    assert {row["status"] for row in deployment.rows("SELECT status FROM ponctuel.invoices")} == {
        "overdue"
    }


def test_the_appointment_of_somebody_who_has_left_is_the_owners(deployment: Deployment) -> None:
    open_business(deployment)
    deployment.execute("UPDATE ponctuel.users SET active = false WHERE id = 'U2'")
    appointment(deployment, "A1", starts_at=LATER + timedelta(hours=1))
    appointment(deployment, "A2", starts_at=LATER + timedelta(hours=1), user_id="nobody")
    deployment.tick(JOB)
    assert sorted(notifications(deployment)) == [
        ("appointment", "A1", "U1"),
        ("appointment", "A2", "U1"),
    ]
    assert mails(deployment) == [("reminder", "u1@b1.example")] * 2


def test_a_reminder_for_the_start_itself_leaves_then(deployment: Deployment) -> None:
    open_business(deployment)
    appointment(deployment, offsets="0", starts_at=LATER + timedelta(minutes=20))
    deployment.tick(JOB)
    deployment.tick("deliver_messages", hours=0.35)
    assert mails(deployment) == [("reminder", "u2@b1.example")]


def test_a_task_that_escalated_is_once_in_the_digest_and_once_unresolved(
    deployment: Deployment,
) -> None:
    open_business(deployment)
    insert(deployment, "user_preferences", business_id="B1", user_id="U1", digest=True)
    task(deployment, critical=True, user_id="U1", due_on=TODAY - timedelta(2))
    deployment.tick(JOB)
    deployment.tick(JOB, hours=24 * 3)
    deployment.tick(JOB)
    assert len(notifications(deployment, kind="agenda.task_escalated")) == 2
    assert len(notifications(deployment, kind="agenda.task_escalated", resolved_at=None)) == 1
    deployment.database.set_clock(datetime(2026, 3, 14, 7, 0, tzinfo=UTC))
    deployment.tick(JOB, hours=0)
    assert letters(deployment)[-1].count("Commander les ferrures") == 1


def test_two_runs_of_one_minute_are_two_emails(deployment: Deployment) -> None:
    open_business(deployment)
    task(deployment, "T1", title="Première")
    deployment.tick(JOB)
    task(deployment, "T2", title="Seconde")
    with bench_for(job(JOB), holder="test") as bench:
        request(bench.engine, job(JOB), job(JOB).zone, door="cli")
        work(job(JOB), bench, Deadline.after(300))
    assert [("Première" in mail, "Seconde" in mail) for mail in letters(deployment)] == [
        (True, False),
        (False, True),
    ]
