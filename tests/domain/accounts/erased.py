"""A business with something in every table that erasing looks at, and deletions that are locked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text

from chalicelib.domain.accounts import retention
from tests import factories
from tests.domain.accounts.people import deletion
from tests.harness import NOW, TODAY, Deployment

_MAIL = """
WITH box AS (
  INSERT INTO ponctuel.mailboxes (business_id, address, owner_email, host, port, security, auth,
                                  username, credentials, created_at, next_sync_at)
  VALUES (:business, :address, :owner, 'imap.example', 993, 'tls', 'password', 'u', 'x', :now, :now)
  RETURNING id
), folder AS (
  INSERT INTO ponctuel.mailbox_folders (mailbox_id, path) SELECT id, 'INBOX' FROM box RETURNING id
), mail AS (
  INSERT INTO ponctuel.emails (business_id, mailbox_id, message_id, has_message_id, sha256,
                               header_sha256, size, raw_key, created_at)
  SELECT :business, id, 'm@example', true, '\\x01', '\\x02', 10, :raw, :now FROM box RETURNING id
), place AS (
  INSERT INTO ponctuel.email_places (folder_id, uidvalidity, uid, email_id)
  SELECT f.id, 1, 1, m.id FROM folder f, mail m
)
INSERT INTO ponctuel.email_attachments (email_id, position, name, declared_type, type, size, inline,
                                        sha256, stored_key)
SELECT id, 1, 'devis.pdf', 'application/pdf', 'application/pdf', 3, false, '\\x03', :part FROM mail
"""
_MESSAGE = """
WITH m AS (
  INSERT INTO ponctuel.messages (business_id, kind, subject, channel, person, recipient, contact,
                                 state, planned_at, not_before, expires_at)
  VALUES (:business, :kind, :subject, 'email', :person, :recipient, :recipient, :state, :now, :now,
          CAST(:now AS timestamptz) + interval '1 day')
  RETURNING id
), e AS (
  INSERT INTO ponctuel.message_events (message_id, at, event, actor)
  SELECT id, :now, 'planned', :person FROM m
)
INSERT INTO ponctuel.message_bodies (message_id, subject, text)
SELECT id, 'Bonjour', 'Pour ' || :recipient FROM m
"""
_LOCK = """
INSERT INTO ponctuel.account_deletions (business_id, user_id, scope, state, requested_at,
                                        requested_by, scheduled_at, zone, locked_at)
VALUES (:business, :user, :scope, 'locked', ponctuel.clock(), 'user', ponctuel.clock(),
        'Europe/Paris', ponctuel.clock())
"""


def fill(deployment: Deployment, business: str, **owner: Any) -> None:
    """Owner O and member U1, each with rows of every kind; the ids are the same in each business.
    Documents are in the store."""
    with deployment.database.begin() as connection:
        factories.business(connection, business)
        factories.settings(connection, business)
        factories.levels(connection, business)
        factories.customer(connection, business_id=business, emails="client@example.net")
        factories.phone(connection, business_id=business)
        factories.invoice(connection, TODAY, "F1", business, pdf_key=f"{business}/F1.pdf")
        factories.invoice(connection, TODAY, "F2", business, status="draft", issued_on=None)
        factories.quote(connection, TODAY, "D1", business, pdf_key=f"{business}/D1.pdf")
        factories.user(connection, "O", business, role="owner", **owner)
        factories.user(connection, "U1", business)

        def row(relation: str, **values: object) -> None:
            factories.row(connection, relation, {"business_id": business} | values)

        row("lead_settings")
        row("lead_cadences", stage="nouveau", number=1, delay_hours=24)
        row("suppressions", channel="email", contact="client@example.net", person="C1",
            reason="stop", at=NOW)  # fmt: skip
        for user in ("O", "U1"):
            email = f"{user.lower()}@{business.lower()}.example"
            row("user_preferences", user_id=user)
            row("user_tokens", id=f"T{user}", user_id=user)
            row("stored_files", id=f"S{user}", user_id=user, storage_key=f"{business}/{user}.png")
            row("notifications", id=f"N{user}", user_id=user, kind="agenda.task_overdue",
                subject="T", title=f"Pour {email}", created_at=NOW)  # fmt: skip
            row("tasks", id=f"K{user}", title="Rappeler", user_id=user)
            row("tasks", id=f"V{user}", title="Devis", user_id=user, customer_id="C1")
            row("appointments", id=f"A{user}", title="Dentiste", user_id=user)
            row("appointments", id=f"R{user}", title="Visite", user_id=user, customer_id="C1")
            row("leads", id=f"L{user}", name="Prospect", closer_id=user)
            row("lead_followups", lead_id=f"L{user}", cycle="1", number=1, mode="assisted",
                state="confirmed", closer_id=user, due_at=NOW, proposed_at=NOW, expires_at=NOW,
                settled_by=f"closer:{user}")  # fmt: skip
            row("agenda_told", kind="agenda.task_overdue", subject=f"K{user}", cycle="1",
                user_id=user, at=NOW, told_at=NOW)  # fmt: skip
            row("closer_link_revocations", user_id=user, revoked_at=NOW, revoked_by="anne")
            row("followup_decisions", document="invoice", document_id="F1", cycle=user, level=1,
                decision="skip", decided_at=NOW, decided_by=user)  # fmt: skip
            row("suppressions", channel="email", contact=email, person=f"user:{user}",
                reason="unsubscribe", at=NOW)  # fmt: skip
            row("consents", channel="email", contact=email, person=f"user:{user}",
                granted_at=NOW, source="compte")  # fmt: skip
            connection.execute(
                text(_MAIL),
                {"business": business, "address": email, "owner": email, "now": NOW,
                 "raw": f"{business}/mail/{user}.eml", "part": f"{business}/mail/shared"},
            )  # fmt: skip
            for person, kind in ((f"user:{user}", "agenda.digest"), ("C1", "billing.x")):
                recipient = email if person != "C1" else "client@example.net"
                connection.execute(
                    text(_MESSAGE),
                    {"business": business, "kind": kind, "subject": user, "person": person,
                     "recipient": recipient, "state": "accepted", "now": NOW},
                )  # fmt: skip
    for key in ("F1.pdf", "D1.pdf", "O.png", "U1.png", "mail/O.eml", "mail/U1.eml", "mail/shared"):
        path = deployment.documents / business / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def lock(deployment: Deployment, user: str = "U1", business: str = "B1") -> int:
    """As the job does after the date; without a last letter, which is then not waited for."""
    scope = "user" if user != "O" else "business"
    deployment.execute(_LOCK, business=business, user=user, scope=scope)
    number: int = deletion(deployment, user, business)["id"]
    return number


def night(deployment: Deployment) -> Any:
    deployment.advance_to_slot("account_deletions")
    return deployment.tick("account_deletions", hours=0)


def by_number(deployment: Deployment, number: int) -> Mapping[str, Any]:
    return deployment.rows("SELECT * FROM ponctuel.account_deletions WHERE id = :n", n=number)[0]


def receipts(deployment: Deployment, number: int) -> list[str]:
    rows = deployment.rows(
        "SELECT step FROM ponctuel.erasure_receipts WHERE deletion_id = :n ORDER BY done_at, step",
        n=number,
    )
    return [row["step"] for row in rows]


def rows_of(deployment: Deployment, business: str) -> dict[str, list[str]]:
    """Every row of a business, in every table that has some, as text."""
    found = {}
    for table in retention.TABLES:
        if table.of:
            rows = deployment.rows(
                f"SELECT t::text AS r FROM {table.source} WHERE {table.of} ORDER BY 1",
                business=business,
            )
            found[table.name] = [row["r"] for row in rows]
    return found


def documents(deployment: Deployment, business: str = "B1") -> list[str]:
    root = deployment.documents / business
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
