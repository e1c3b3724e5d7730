"""Businesses with users, and what becomes of their accounts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from chalicelib.domain.accounts import requesting
from tests import factories
from tests.harness import Deployment

KINDS = tuple(
    f"accounts.deletion_{letter}"
    for letter in ("requested", "reminder", "cancelled", "blocked", "final")
)


def open_accounts(deployment: Deployment, *businesses: str, **overrides: Any) -> None:
    """Live businesses, with an owner each (O) who stays; the letters have their links."""
    deployment.patch.setenv("PUBLIC_URL", "https://ponctuel.example")
    deployment.patch.setenv("LINK_SECRET", "link-secret-of-these-tests-0123456789")
    deployment.go_live()
    for business in businesses:
        with deployment.database.begin() as connection:
            factories.business(connection, business, **overrides)
            factories.user(connection, "O", business, role="owner")
        for kind in ("*", *KINDS):
            deployment.execute(
                "INSERT INTO ponctuel.go_lives (business_id, kind, at, by)"
                " VALUES (:business, :kind, ponctuel.clock(), 'test')",
                business=business,
                kind=kind,
            )


def add_user(
    deployment: Deployment,
    id: str = "U1",
    business: str = "B1",
    date: datetime | None = None,
    **overrides: Any,
) -> None:
    """A user, with the date that the application has set."""
    with deployment.database.begin() as connection:
        factories.user(connection, id, business, deletion_scheduled_at=date, **overrides)


def set_date(
    deployment: Deployment, date: datetime | None, id: str = "U1", business: str = "B1"
) -> None:
    """What the application does by itself."""
    deployment.execute(
        "UPDATE ponctuel.users SET deletion_scheduled_at = :date"
        " WHERE business_id = :business AND id = :id",
        date=date,
        id=id,
        business=business,
    )


def deletion(deployment: Deployment, id: str = "U1", business: str = "B1") -> Mapping[str, Any]:
    """The latest of a user."""
    return deployment.rows(
        "SELECT * FROM ponctuel.account_deletions WHERE business_id = :business AND user_id = :id"
        " ORDER BY id DESC LIMIT 1",
        id=id,
        business=business,
    )[0]


def deletions(deployment: Deployment) -> list[tuple[str, str, str]]:
    """(business, user, state), in the order of their opening."""
    rows = deployment.rows("SELECT * FROM ponctuel.account_deletions ORDER BY id")
    return [(row["business_id"], row["user_id"], row["state"]) for row in rows]


def approve(deployment: Deployment, *ids: int) -> None:
    """As an operator does."""
    with deployment.database.begin() as connection:
        requesting.approve(connection, ids, by="anne")


def letters(deployment: Deployment) -> list[tuple[str, str, str]]:
    """(letter, recipient, state) of each message, in the order of planning."""
    return [
        (row["kind"].removeprefix("accounts.deletion_"), row["recipient"], row["state"])
        for row in deployment.messages()
    ]


def texts(deployment: Deployment) -> list[tuple[str, str]]:
    """(subject, text on one line, plain spaces) of each letter that has left, the oldest first."""
    rows = deployment.rows(
        "SELECT b.subject, b.text FROM ponctuel.message_bodies b"
        " JOIN ponctuel.messages m ON m.id = b.message_id WHERE m.business_id <> ''"
        " ORDER BY m.settled_at, m.id"
    )
    return [(" ".join(row["subject"].split()), " ".join(row["text"].split())) for row in rows]


_TAKEN = """
UPDATE ponctuel.account_deletions SET leased_until = 'infinity' WHERE state = 'locked'
"""


_WAITING = "SELECT EXISTS (SELECT 1 FROM ponctuel.messages WHERE settled_at IS NULL) AS waiting"


def nights(deployment: Deployment, count: int = 1, *, erased: bool = False) -> None:
    """The job's next slots, each with the morning's sending after it if a message waits. Unless
    they are to be `erased`, another process has the lease on whoever is locked, and stands."""
    for _ in range(count):
        deployment.advance_to_slot("account_deletions")
        deployment.tick("account_deletions", hours=0)
        if not erased:
            deployment.execute(_TAKEN)
        if deployment.rows(_WAITING)[0]["waiting"]:
            deployment.tick("deliver_messages", hours=8)
        else:
            deployment.database.advance(timedelta(hours=8))
