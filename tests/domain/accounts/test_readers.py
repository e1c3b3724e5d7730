"""Who works in a business is known as such by every letter that they get: erasing finds it so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from chalicelib.domain.accounts import requesting
from chalicelib.domain.inbox.outcomes import Outcome, record
from chalicelib.outbox.go_live import all_kinds
from tests import factories, lead_rows
from tests.database import Server
from tests.domain.accounts.erased import lock, rows_of
from tests.domain.accounts.people import nights, open_accounts
from tests.domain.inbox.mailroom import Mailroom, mail
from tests.harness import NOW, Deployment, deployed

# Those are written to customers and leads; every other kind is to a user.
TO_OTHERS = {
    "billing.invoice_followup",
    "billing.invoice_letter",
    "billing.quote_followup",
    "leads.followup",
}
ADDRESS = "sophie.laurent@gestion.example"
USERS = "SELECT 'user:' || id AS person, email FROM ponctuel.users"


@pytest.fixture(scope="module")
def told(database_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A business in which everything has happened that a user is written to about."""
    with (
        database_server.database() as database,
        pytest.MonkeyPatch.context() as environment,
        deployed(database, tmp_path_factory.mktemp("told"), environment) as deployment,
    ):
        open_accounts(deployment, "B1", sender_email=None, reply_to=None)
        lead_rows.insert(
            deployment, "lead_settings", {"business_id": "B1", "followups_enabled": True}
        )
        with deployment.database.begin() as connection:
            factories.user(connection, "U1", email=f" {ADDRESS.title()}", role="closer")
            factories.user(connection, "U2")
            for row in ({"user_id": "U1"}, {"user_id": "O"}):
                factories.row(
                    connection, "tasks",
                    {"business_id": "B1", "id": row["user_id"], "title": "Rappeler",
                     "due_at": NOW + timedelta(minutes=10), **row},
                )  # fmt: skip
            factories.row(
                connection, "appointments",
                {"business_id": "B1", "id": "A", "title": "Visite", "user_id": "U1",
                 "starts_at": NOW + timedelta(hours=30), "created_at": NOW},
            )  # fmt: skip
            factories.row(
                connection, "user_preferences",
                {"business_id": "B1", "user_id": "O", "digest": True},
            )  # fmt: skip
        lead_rows.lead(deployment, email="claire@riviere.example")
        room = Mailroom(deployment.database, owner_email=ADDRESS)
        deployment.tick("lead_followups", hours=6)
        room.get(mail(from_email="claire@riviere.example", subject="Votre message"))
        _breaks(deployment, room)
        deployment.tick("overdue_and_reminders")
        deployment.tick("overdue_and_reminders", hours=16)
        _asks_and_is_told(deployment)
        yield deployment


def _asks_and_is_told(deployment: Deployment) -> None:
    """U2 until the account is locked, and then goes; the owner asks, cannot, and thinks again."""
    with deployment.database.begin() as connection:
        requesting.request(connection, "U2", "B1", by="user", days=8)
    nights(deployment)
    deployment.database.advance(timedelta(days=6))
    nights(deployment, 2)
    with deployment.database.begin() as connection:
        requesting.request(connection, "O", "B1", by="user", days=30)
    with deployment.database.begin() as connection:
        requesting.cancel_of_user(connection, "O", "B1", by="user")


def _breaks(deployment: Deployment, room: Mailroom) -> None:
    deployment.execute(
        "UPDATE ponctuel.mailboxes SET failures = 20, failing_since = :since,"
        " refusals = 20, refused_since = :since",
        since=(now := deployment.clock()) - timedelta(days=2),
    )
    with deployment.database.begin() as connection:
        record(
            connection,
            [Outcome(room.id, 0, "credentials", "Le serveur refuse ce mot de passe.")],
            next_tick=now,
            run_id=None,
            draw=lambda: 0.0,
        )


def test_every_kind_of_letter_to_a_user_is_among_them(told: Deployment) -> None:
    """One that is new has to be here, or in the list of those to customers and leads."""
    planned = {message["kind"] for message in told.messages()}
    assert planned == {kind.name for kind in all_kinds()} - TO_OTHERS


def test_each_names_the_user_who_is_written_to(told: Deployment) -> None:
    users = {row["email"].strip().lower(): row["person"] for row in told.rows(USERS)}
    for message in told.messages():
        to = message["recipient"].strip().lower()
        assert message["person"] == users[to], (message["kind"], to)


def test_a_users_letters_are_never_held_back_because_there_are_many(told: Deployment) -> None:
    """A cap counts what a person gets; those of colleagues are about their own work."""
    assert {kind.name for kind in all_kinds() if kind.capped} == TO_OTHERS


def test_once_the_closer_is_erased_the_address_is_nowhere(told: Deployment) -> None:
    # As they were planned before letters to closers had a person.
    told.execute("UPDATE ponctuel.messages SET person = '' WHERE kind = 'leads.closer_digest'")
    assert ADDRESS in str(rows_of(told, "B1")).lower()
    others = told.rows(USERS + " WHERE id <> 'U1'")
    lock(told)
    nights(told, erased=True)
    assert told.rows(USERS) == others
    left = rows_of(told, "B1")
    assert [name for name, rows in left.items() if ADDRESS in str(rows).lower()] == []
    assert [name for name, rows in left.items() if "user:U1" in str(rows)] == []
