"""A delivery report tells of our message and of its address, and of nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.inbox.bounces import read
from tests.domain.inbox.mailroom import CUSTOMER, Mailroom, mail, relance, report, rows
from tests.harness import NOW, Deployment

SECOND = "direction@boulangerie-martin.example"


@pytest.fixture
def room(deployment: Deployment) -> Mailroom:
    for business in ("B1", "B2"):
        deployment.open_business(business)
    return Mailroom(deployment.database)


def message(room: Mailroom, number: int) -> dict[str, Any]:
    return rows(room.database, "SELECT * FROM ponctuel.messages WHERE id = :id", id=number)[0]


def dead(room: Mailroom) -> list[tuple[str, str]]:
    found = rows(room.database, "SELECT * FROM ponctuel.suppressions ORDER BY contact")
    assert {row["reason"] for row in found} <= {"hard_bounce"}
    return [(row["business_id"], row["contact"]) for row in found]


def test_a_report_about_a_dead_address_fails_the_message_and_stops_the_address(
    room: Mailroom,
) -> None:
    number, message_id = relance(room.database)
    assert room.get(report(message_id))["bounces"] == 1
    found = message(room, number)
    assert (found["state"], found["error_code"]) == ("failed", "bounce_permanent")
    assert (found["provider"], found["provider_id"][0]) == ("smtp", "Q")
    assert dead(room) == [("B1", CUSTOMER)]
    (email,) = room.emails()
    assert (email["answers"], email["inbound_id"]) == (number, None)
    assert rows(room.database, "SELECT * FROM ponctuel.inbound_messages") == []


def test_what_failed_is_not_chased_further_and_nobody_else_is_stopped(
    deployment: Deployment,
) -> None:
    """The twin has the same customer at the same address: nobody vouches for a report."""
    for business in ("B1", "B2"):
        deployment.invoice("F2", business_id=business)
    _, message_id = relance(deployment.database, subject="F9")
    for business in ("B1", "B2"):
        deployment.open_business(business)
    Mailroom(deployment.database).get(report(message_id))
    deployment.tick()
    left = {m["business_id"]: (m["state"], m["error_code"]) for m in
            deployment.messages(subject="F2")}  # fmt: skip
    assert left == {"B1": ("cancelled", "address_dead"), "B2": ("accepted", None)}


@pytest.mark.parametrize("status", ["5.1.1", "5.1.2", "5.1.10", "5.1.6"])
def test_an_address_is_dead_when_the_status_says_so(room: Mailroom, status: str) -> None:
    _, message_id = relance(room.database)
    room.get(report(message_id, status=status))
    assert dead(room) == [("B1", CUSTOMER)]


@pytest.mark.parametrize("status", ["5.2.2", "5.2.1", "5.7.1", "5.7.26", "5.0.0", "5.4.4", "", "x"])
def test_another_failure_for_good_says_nothing_of_the_address(room: Mailroom, status: str) -> None:
    number, message_id = relance(room.database)
    room.get(report(message_id, status=status))
    assert message(room, number)["error_code"] == "bounce_permanent"
    assert dead(room) == []


def test_a_delay_changes_nothing_and_giving_up_fails_the_message_for_now(room: Mailroom) -> None:
    number, message_id = relance(room.database)
    delayed = {"status": "4.4.1", "permanent": False}
    room.get(report(message_id, gave_up=False, **delayed))
    assert message(room, number)["state"] == "accepted"
    room.get(report(message_id, gave_up=True, **delayed))
    found = message(room, number)
    assert (found["state"], found["error_code"]) == ("failed", "bounce_transient")
    room.get(report(message_id))
    assert message(room, number)["error_code"] == "bounce_permanent"


def test_a_message_whose_answer_was_lost_has_left_when_it_comes_back(room: Mailroom) -> None:
    number, message_id = relance(
        room.database, state="uncertain", provider=None, provider_id=None
    )
    room.get(report(message_id))
    assert message(room, number)["state"] == "failed"


def test_a_copy_s_recipient_that_is_dead_does_not_fail_the_message(room: Mailroom) -> None:
    number, message_id = relance(room.database, recipient=f"{CUSTOMER}, {SECOND}")
    room.get(report(message_id, email=SECOND.upper()))
    assert message(room, number)["state"] == "accepted"
    assert dead(room) == [("B1", SECOND)]


def test_the_same_report_in_two_mailboxes_counts_once(room: Mailroom) -> None:
    other = Mailroom(room.database, address="compta@menuiserie-perrin.example")
    _, message_id = relance(room.database)
    for each in (room, other, room):
        each.get(report(message_id))
    events = rows(room.database, "SELECT * FROM ponctuel.webhook_events")
    assert sorted((e["type"], e["outcome"]) for e in events) == [
        ("bounce", "applied"),
        ("status", "applied"),
    ]
    assert len(dead(room)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "victime@ailleurs.example"},  # not whom the message went to
        {"internal_date": NOW - timedelta(days=30)},
    ],
)
def test_a_report_that_does_not_fit_the_message_is_only_noted(
    room: Mailroom, changes: dict[str, Any]
) -> None:
    number, message_id = relance(room.database)
    room.get(report(message_id, **changes))
    assert room.emails()[0]["answers"] == number
    assert message(room, number)["state"] == "accepted"
    assert dead(room) == []


def test_a_forged_report_suppresses_nobody(room: Mailroom) -> None:
    number, message_id = relance(room.database)
    _, twins = relance(room.database, business_id="B2", recipient="x@twin.example")
    forged = f"{number}.{'0' * 16}@{message_id.partition('@')[2]}"
    room.get(
        report(forged, email="x@twin.example"),
        report(twins, email="x@twin.example"),
        report("autre@ailleurs.example", email="y@ailleurs.example"),
    )
    assert dead(room) == []
    assert {m["state"] for m in rows(room.database, "SELECT * FROM ponctuel.messages")} == {
        "accepted"
    }


def test_a_report_that_quotes_nothing_is_about_the_last_message_and_not_the_address(
    room: Mailroom,
) -> None:
    before, _ = relance(room.database, at=NOW - timedelta(hours=9))
    number, _ = relance(room.database)
    twin, _ = relance(room.database, business_id="B2")
    room.get(report())
    assert message(room, number)["state"] == "failed"
    assert {message(room, other)["state"] for other in (before, twin)} == {"accepted"}
    assert dead(room) == []


@pytest.mark.parametrize(
    ("sent", "changes"),
    [
        ({"at": NOW - timedelta(days=3)}, {}),
        ({"state": "delivered"}, {}),
        ({"state": "uncertain"}, {}),
        ({}, {"permanent": False, "gave_up": False, "status": "4.2.2"}),
        ({}, {"email": "autre@boulangerie-martin.example"}),
    ],
)
def test_a_report_that_quotes_nothing_proves_nothing_else(
    room: Mailroom, sent: dict[str, Any], changes: dict[str, Any]
) -> None:
    number, _ = relance(room.database, **sent)
    before = message(room, number)
    room.get(report(**changes))
    assert message(room, number) == before


def test_reading_a_stored_report_never_fails() -> None:
    for bounce in (None, {}, {"recipients": {}, "message_ids": "x"}, {"recipients": [{"email": 3}]}):
        assert all(failure.status == "" for failure in read(bounce).failures)  # type: ignore[arg-type]
    assert read({"message_ids": ["<a@b>", None, 3, "c@d"]}).message_ids == ["a@b", "c@d"]


def test_an_ordinary_mail_with_a_report_attached_is_none(room: Mailroom) -> None:
    number, message_id = relance(room.database)
    room.get(mail(bounce={"recipients": [{"email": CUSTOMER, "status": "5.1.1", "permanent": True}],
                          "message_ids": [message_id]}))  # fmt: skip
    assert message(room, number)["state"] == "accepted"
