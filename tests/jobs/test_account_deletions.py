"""The nights of an account that is to be erased: adopted, reminded, cancelled or locked."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest

from tests.domain.accounts.people import (
    add_user,
    approve,
    deletion,
    deletions,
    letters,
    nights,
    open_accounts,
    set_date,
    texts,
)
from tests.harness import NOW, Deployment

DATE = NOW + timedelta(days=12)
LONG_AGO = datetime.fromisoformat("2024-01-01T00:00:00+00:00")


def test_what_the_application_scheduled_is_adopted_reminded_twice_and_locked(
    deployment: Deployment,
) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, date=DATE)
    nights(deployment)
    assert deletions(deployment) == [("B1", "U1", "scheduled")]
    assert deletion(deployment)["scheduled_at"] == DATE
    assert letters(deployment) == []
    nights(deployment, 20)
    assert letters(deployment) == [
        ("reminder", "u1@b1.example", "accepted"),
        ("reminder", "u1@b1.example", "accepted"),
        ("final", "u1@b1.example", "accepted"),
    ]
    row = deletion(deployment)
    assert (row["state"], row["scope"]) == ("locked", "user")
    assert row["locked_at"] >= DATE
    assert [subject for subject, _ in texts(deployment)] == [
        "Votre compte sera supprimé dans 7 jours : Menuiserie Perrin",
        "Votre compte sera supprimé demain : Menuiserie Perrin",
        "Votre compte est en cours de suppression : Menuiserie Perrin",
    ]


def test_a_date_long_past_still_leaves_a_notice_and_both_reminders(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, date=LONG_AGO)
    nights(deployment)
    adopted = deployment.clock()
    nights(deployment, 20)
    row = deletion(deployment)
    assert row["state"] == "locked"
    assert row["locked_at"] >= adopted + timedelta(days=7)
    assert [letter for letter, _, _ in letters(deployment)] == ["reminder", "reminder", "final"]
    sent = deployment.messages(kind="accounts.deletion_reminder")
    assert [message["step"] for message in sent] == ["7", "1"]


def test_a_cleared_date_cancels_and_is_confirmed_to_whoever_was_told(
    deployment: Deployment,
) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, "U1", date=NOW + timedelta(days=9))
    add_user(deployment, "U2", date=NOW + timedelta(days=20))
    nights(deployment, 4)
    set_date(deployment, None, "U1")
    set_date(deployment, None, "U2")
    nights(deployment, 30)
    assert {state for _, _, state in deletions(deployment)} == {"cancelled"}
    assert letters(deployment) == [
        ("reminder", "u1@b1.example", "accepted"),
        ("cancelled", "u1@b1.example", "accepted"),
    ]


def test_a_moved_date_is_told_anew(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, date=DATE)
    nights(deployment, 6)
    set_date(deployment, DATE + timedelta(days=30))
    nights(deployment, 60)
    assert [m["step"] for m in deployment.messages(kind="accounts.deletion_reminder")] == [
        "7",
        "7",
        "1",
    ]
    assert deletion(deployment)["locked_at"] >= DATE + timedelta(days=30)


def test_a_reminder_that_leaves_late_says_how_many_days_remain(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, date=DATE)
    nights(deployment, 4)
    deployment.smtp.fail("refuse_temporary")
    nights(deployment, 3)
    deployment.smtp.heal()
    nights(deployment)
    ((subject, text),) = texts(deployment)
    assert subject == "Votre compte sera supprimé dans 4 jours : Menuiserie Perrin"
    assert "prévue dans 4 jours, à partir du 22 mars 2026 à 10 h 00" in text


def test_nobody_is_locked_whom_no_letter_could_tell(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, date=LONG_AGO)
    deployment.execute("DELETE FROM ponctuel.go_lives WHERE kind <> '*'")
    nights(deployment, 30)
    row = deletion(deployment)
    assert (row["state"], row["postponed"]) == ("scheduled", 3)
    nights(deployment, 20)
    row = deletion(deployment)
    assert (row["state"], row["blocked_reason"]) == ("blocked", "not_told")


def test_who_has_no_address_is_erased_all_the_same(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, "U1", date=LONG_AGO, email=None)
    add_user(deployment, "U2", date=LONG_AGO, email="  ")
    nights(deployment, 12)
    assert {state for _, _, state in deletions(deployment)} == {"locked"}
    assert letters(deployment) == []


def test_the_last_owner_waits_for_another_one_and_both_are_told_once(
    deployment: Deployment,
) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, "A", role="admin")
    set_date(deployment, DATE, "O")
    nights(deployment, 30)
    row = deletion(deployment, "O")
    assert (row["state"], row["blocked_reason"]) == ("blocked", "last_owner")
    assert letters(deployment) == [
        ("blocked", "a@b1.example", "accepted"),
        ("blocked", "o@b1.example", "accepted"),
    ]
    deployment.execute("UPDATE ponctuel.users SET role = 'owner' WHERE id = 'A'")
    healed = deployment.clock()
    nights(deployment, 20)
    row = deletion(deployment, "O")
    assert row["state"] == "locked"
    assert row["locked_at"] >= healed + timedelta(days=7)
    kinds = [letter for letter, _, _ in letters(deployment)]
    assert kinds == ["blocked", "blocked", "reminder", "reminder", "final"]


def test_of_two_owners_who_leave_together_one_stays(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, "P", role="owner", date=DATE)
    add_user(deployment, "M")
    set_date(deployment, DATE, "O")
    nights(deployment, 30)
    states = {user: state for _, user, state in deletions(deployment)}
    assert sorted(states.values()) == ["blocked", "locked"]


def test_when_everybody_leaves_the_last_one_takes_the_business_along(
    deployment: Deployment,
) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, "M", date=DATE)
    set_date(deployment, DATE + timedelta(days=1), "O")
    nights(deployment, 30)
    scopes = deployment.rows("SELECT user_id, scope FROM ponctuel.account_deletions ORDER BY 1")
    assert [tuple(row.values()) for row in scopes] == [("M", "user"), ("O", "business")]


def test_two_users_of_one_business_due_in_one_night(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, "M", date=DATE)
    set_date(deployment, DATE, "O")
    nights(deployment, 30)
    scopes = deployment.rows("SELECT scope FROM ponctuel.account_deletions ORDER BY locked_at, id")
    assert sorted(row["scope"] for row in scopes) == ["business", "user"]


def test_a_legal_hold_blocks_tells_nobody_and_heals(deployment: Deployment) -> None:
    open_accounts(deployment, "B1", "B2")
    for business in ("B1", "B2"):
        add_user(deployment, business=business, date=DATE)
    deployment.execute(
        "INSERT INTO ponctuel.legal_holds (business_id, user_id) VALUES ('B1', 'U1')"
    )
    nights(deployment, 30)
    assert deletion(deployment, business="B1")["blocked_reason"] == "legal_hold"
    assert deletion(deployment, business="B2")["state"] == "locked"
    assert {recipient for _, recipient, _ in letters(deployment)} == {"u1@b2.example"}
    deployment.execute("UPDATE ponctuel.legal_holds SET lifted_at = ponctuel.clock()")
    nights(deployment, 12)
    assert deletion(deployment, business="B1")["state"] == "locked"


def test_one_id_and_one_address_in_two_businesses_are_two_accounts(
    deployment: Deployment,
) -> None:
    open_accounts(deployment, "B1", "B2")
    for business in ("B1", "B2"):
        add_user(deployment, "1", business, email="camille@exemple.example")
    set_date(deployment, DATE, "1", "B2")
    nights(deployment, 30)
    assert deletions(deployment) == [("B2", "1", "locked")]
    assert {message["business_id"] for message in deployment.messages()} == {"B2"}
    assert {message["person"] for message in deployment.messages()} == {"user:1"}


def test_who_registers_again_keeps_the_new_account_and_the_letters_say_so(
    deployment: Deployment,
) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, "U1", date=DATE, email="Camille@exemple.example")
    nights(deployment)
    add_user(deployment, "U2", email=" camille@exemple.example")
    nights(deployment, 20)
    assert deletions(deployment) == [("B1", "U1", "locked")]
    for _, text in texts(deployment):
        assert "Votre autre compte à la même adresse n’est pas concerné" in text


def test_far_more_accounts_than_usual_wait_for_an_operator(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    for n in range(30):
        add_user(deployment, f"U{n}", date=LONG_AGO, email=None)
    nights(deployment, 10)
    assert {state for _, _, state in deletions(deployment)} == {"blocked"}
    assert deletion(deployment, "U3")["blocked_reason"] == "surge"
    assert deployment.last_run("account_deletions")["status"] == "partial"
    alerts = deployment.rows("SELECT * FROM ponctuel.messages WHERE business_id = ''")
    assert [alert["state"] for alert in alerts] == ["accepted"]
    nights(deployment, 3)
    assert {state for _, _, state in deletions(deployment)} == {"blocked"}
    approve(deployment, *(deletion(deployment, f"U{n}")["id"] for n in range(29)))
    nights(deployment)
    states = Counter(state for _, _, state in deletions(deployment))
    assert states == {"locked": 29, "blocked": 1}


def test_a_run_says_beforehand_what_it_does(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, "U1", date=DATE)
    deployment.advance_to_slot("account_deletions")
    report = deployment.rehearse("account_deletions")
    assert [change["change"] for change in report["changes"]] == ["deletions_adopted"]
    nights(deployment, 3)
    deployment.advance_to_slot("account_deletions")
    report = deployment.rehearse("account_deletions")
    assert [(m["kind"], m["step"]) for m in report["messages"]] == [
        ("accounts.deletion_reminder", "7")
    ]
    assert report["messages"][0]["letter"]["reason"] == "quiet"
    nights(deployment, 7)
    deployment.advance_to_slot("account_deletions")
    report = deployment.rehearse("account_deletions")
    assert [change["change"] for change in report["changes"]] == ["deletions_locked"]
    nights(deployment)
    assert deletion(deployment)["state"] == "locked"


def test_dates_that_no_calendar_holds_stop_nobody(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    for n, date in enumerate(("infinity", "-infinity", "9999-12-31", "4000-01-01 BC")):
        add_user(deployment, f"U{n}", email=None)
        deployment.execute(
            "UPDATE ponctuel.users SET deletion_scheduled_at = CAST(:date AS timestamptz)"
            " WHERE id = :id",
            date=date,
            id=f"U{n}",
        )
    add_user(deployment, "U9", date=LONG_AGO, zone="Mars/Olympus", email="o'hara\n@b1.example")
    nights(deployment, 10)
    states = {user: state for _, user, state in deletions(deployment)}
    assert states.keys() == {"U1", "U3", "U9"}
    assert states["U1"] == states["U3"] == "locked"


def test_a_clock_that_was_ahead_locks_nobody_before_the_date(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, date=DATE)
    nights(deployment)
    deployment.database.set_clock(NOW + timedelta(days=2))
    nights(deployment, 9)
    assert deletion(deployment)["state"] == "scheduled"


def test_what_is_left_of_a_user_whom_the_application_removed_waits_for_an_operator(
    deployment: Deployment,
) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, date=DATE)
    nights(deployment)
    deployment.execute("DELETE FROM ponctuel.users WHERE id = 'U1'")
    nights(deployment, 20)
    row = deletion(deployment)
    assert (row["state"], row["blocked_reason"]) == ("blocked", "no_user")
    approve(deployment, row["id"])
    nights(deployment)
    row = deletion(deployment)
    assert (row["state"], row["scope"]) == ("locked", "user")


def test_an_approval_does_not_outlive_the_date_that_it_was_for(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, date=LONG_AGO, email=None)
    nights(deployment)
    deployment.execute(
        "UPDATE ponctuel.account_deletions SET state = 'blocked', blocked_reason = 'surge'"
    )
    approve(deployment, deletion(deployment)["id"])
    assert deletion(deployment)["approved_at"]
    set_date(deployment, DATE + timedelta(days=30))
    nights(deployment)
    row = deletion(deployment)
    assert (row["state"], row["approved_at"]) == ("scheduled", None)


@pytest.mark.parametrize("type", ["timestamp", "date"])
def test_a_date_without_a_zone_is_read_in_utc(deployment: Deployment, type: str) -> None:
    open_accounts(deployment, "B1")
    deployment.execute(f"ALTER TABLE ponctuel.users ALTER deletion_scheduled_at TYPE {type}")
    add_user(deployment, date=DATE)
    nights(deployment)
    found = deletion(deployment)["scheduled_at"]
    assert found == (DATE if type == "timestamp" else DATE.replace(hour=0))
    nights(deployment, 14)
    assert deletion(deployment)["state"] == "locked"
