"""Deletions of accounts over HTTP: asked for, taken back, looked at."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.domain.accounts.people import (
    add_user,
    deletion,
    deletions,
    letters,
    nights,
    open_accounts,
    set_date,
    texts,
)
from tests.harness import NOW, Deployment
from tests.routes.doors import Door, bearer

PATH = "/users/U1/deletion"
DUE = datetime.fromisoformat("2026-04-09T10:00:00+02:00")


@pytest.fixture(autouse=True)
def business(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment)


def date_of(deployment: Deployment, business: str = "B1") -> datetime | None:
    found = deployment.rows(
        "SELECT deletion_scheduled_at AS at FROM ponctuel.users"
        " WHERE id = 'U1' AND business_id = :business",
        business=business,
    )
    date: datetime | None = found[0]["at"]
    return date


def test_a_request_is_scheduled_in_thirty_days_on_the_wall_clock_and_confirmed(door: Door) -> None:
    reply = door.post(PATH, {})
    assert reply.status == 200
    found = reply.json()["deletion"]
    assert (found["state"], found["businessId"], found["remainingDays"]) == ("scheduled", "B1", 30)
    scheduled = datetime.fromisoformat(found["scheduledAt"])
    assert timedelta() <= scheduled - DUE < timedelta(minutes=1)  # an hour less than 30 × 24
    assert date_of(door.deployment) == scheduled
    door.deployment.deliver()
    assert letters(door.deployment) == [("requested", "u1@b1.example", "accepted")]
    ((subject, text),) = texts(door.deployment)
    assert subject == "Votre compte sera supprimé le 9 avril 2026 : Menuiserie Perrin"
    assert "https://ponctuel.example/deletion/1." in text


def test_the_same_again_changes_nothing(door: Door) -> None:
    first = door.post(PATH, {"by": "operator"}).json()["deletion"]
    door.deployment.database.advance(timedelta(hours=5))
    again = door.post(PATH, {}).json()["deletion"]
    assert (again["id"], again["scheduledAt"]) == (first["id"], first["scheduledAt"])
    assert again["requestedBy"] == "operator"
    assert len(deletions(door.deployment)) == 1


def test_what_was_asked_for_here_is_not_adopted_as_another_ones(door: Door) -> None:
    before = door.post(PATH, {}).json()["deletion"]
    nights(door.deployment, 40)
    row = deletion(door.deployment)
    assert row["scheduled_at"] == datetime.fromisoformat(before["scheduledAt"])
    assert row["state"] == "locked"
    assert [letter for letter, _, _ in letters(door.deployment)] == [
        "requested",
        "reminder",
        "reminder",
        "final",
    ]


def test_a_cancellation_is_confirmed_clears_the_date_and_may_be_repeated(door: Door) -> None:
    door.post(PATH, {})
    door.deployment.deliver()
    for _ in range(2):
        reply = door.delete(PATH)
        assert reply.status == 200
        assert reply.json()["deletion"]["state"] == "cancelled"
    assert date_of(door.deployment) is None
    door.deployment.deliver()
    nights(door.deployment, 40)
    assert letters(door.deployment) == [
        ("requested", "u1@b1.example", "accepted"),
        ("cancelled", "u1@b1.example", "accepted"),
    ]


def test_a_date_that_the_application_has_just_set_is_cancelled_too(door: Door) -> None:
    set_date(door.deployment, NOW + timedelta(days=20))
    assert door.delete(PATH).status == 200
    assert date_of(door.deployment) is None
    nights(door.deployment, 30)
    assert deletions(door.deployment) == [("B1", "U1", "cancelled")]
    assert letters(door.deployment) == []


def test_whoever_asks_again_after_cancelling_starts_over(door: Door) -> None:
    door.post(PATH, {})
    door.delete(PATH)
    door.deployment.database.advance(timedelta(days=3))
    door.post(PATH, {})
    assert [state for _, _, state in deletions(door.deployment)] == ["cancelled", "scheduled"]
    door.deployment.deliver()
    assert ("cancelled", "u1@b1.example", "accepted") not in letters(door.deployment)


def test_a_column_that_keeps_what_it_has_does_not_undo_a_cancellation(door: Door) -> None:
    """A view that takes the UPDATE and does nothing."""
    set_date(door.deployment, NOW + timedelta(days=20))
    nights(door.deployment)
    door.deployment.execute(
        "CREATE RULE kept AS ON UPDATE TO ponctuel.users"
        " WHERE NEW.deletion_scheduled_at IS DISTINCT FROM OLD.deletion_scheduled_at"
        " DO INSTEAD NOTHING"
    )
    assert door.delete(PATH).status == 200
    assert date_of(door.deployment) is not None
    nights(door.deployment, 40)
    assert deletions(door.deployment) == [("B1", "U1", "cancelled")]


def test_a_locked_account_cannot_be_kept(door: Door) -> None:
    set_date(door.deployment, NOW)
    nights(door.deployment, 12)
    assert deletion(door.deployment)["state"] == "locked"
    reply = door.delete(PATH)
    assert reply.status == 409
    assert "ne peut plus être annulée" in reply.json()["error"]
    set_date(door.deployment, None)  # the application tries too
    nights(door.deployment)
    assert door.get(PATH).json()["deletion"]["state"] == "locked"
    assert door.post(PATH, {}).json()["deletion"]["state"] == "locked"


def test_an_id_that_two_businesses_have_needs_the_business(door: Door) -> None:
    open_accounts(door.deployment, "B2")
    add_user(door.deployment, business="B2")
    reply = door.post(PATH, {})
    assert (reply.status, "précisez laquelle" in reply.json()["error"]) == (409, True)
    assert door.post(PATH, {"business": "B2"}).status == 200
    assert date_of(door.deployment, "B1") is None
    assert door.get(PATH).json()["deletion"]["businessId"] == "B2"
    assert door.post(PATH, {"business": "B1"}).status == 200
    assert door.get(PATH).status == 409
    assert door.delete(PATH).status == 409
    reply = door.delete(PATH, query={"business": "B2"})
    assert reply.json()["deletion"]["businessId"] == "B2"
    assert deletion(door.deployment, business="B1")["state"] == "scheduled"


def test_the_last_owner_is_told_at_once_what_is_in_the_way(door: Door) -> None:
    reply = door.post("/users/O/deletion", {})
    found = reply.json()["deletion"]
    assert (found["state"], found["blockedReason"]) == ("blocked", "last_owner")
    assert "dernier propriétaire" in found["why"]
    assert found["remainingDays"] is None
    door.deployment.deliver()
    assert letters(door.deployment) == [("blocked", "o@b1.example", "accepted")]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/users/nobody/deletion", {}, 404),
        ("GET", PATH, None, 404),
        ("DELETE", PATH, None, 404),
        ("POST", PATH, {"days": 0}, 400),
        ("POST", PATH, {"by": "application"}, 400),
        ("POST", PATH, {"business": ["B1"]}, 400),
        ("POST", PATH, {"business": "B1\u0000"}, 400),
        ("POST", "/users/%27%3B%20DROP/deletion", {}, 404),
        ("GET", "/deletions?state=gone", None, 400),
        ("POST", "/deletions/approve", {"ids": ["1"]}, 400),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(
    door: Door, method: str, path: str, body: object, status: int
) -> None:
    reply = door.api.call(method, path, headers=bearer(), body=body)
    assert (reply.status, reply.json()["success"]) == (status, False)
    assert reply.json()["error"]


def test_nobody_asks_without_the_secret(door: Door) -> None:
    for method, path in (("POST", PATH), ("DELETE", PATH), ("GET", PATH), ("GET", "/deletions")):
        assert door.outside(method, path).status == 401
    assert deletions(door.deployment) == []


def test_deletions_are_listed_the_newest_first_without_names_or_addresses(door: Door) -> None:
    for n in range(3):
        add_user(door.deployment, f"L{n}")
        door.post(f"/users/L{n}/deletion", {})
    reply = door.get("/deletions?limit=2&state=scheduled")
    assert [row["userId"] for row in reply.json()["deletions"]] == ["L2", "L1"]
    rest = door.get(f"/deletions?limit=2&before={reply.json()['before']}")
    assert [row["userId"] for row in rest.json()["deletions"]] == ["L0"]
    assert "@" not in str(reply.json())
    assert "Camille" not in str(reply.json())


def test_the_cron_route_runs_the_job_and_answers_as_its_users_know(door: Door) -> None:
    set_date(door.deployment, NOW + timedelta(days=12))
    reply = door.get("/users/process-account-deletions")
    assert reply.status == 200
    assert reply.json()["success"] is True
    message = "Traitement des suppressions de comptes terminé avec succès"
    assert reply.json()["message"] == message
    assert deletions(door.deployment) == [("B1", "U1", "scheduled")]
    assert door.outside("GET", "/users/process-account-deletions").status == 403
