"""Mailboxes as an operator has them: added, listed, paused, given another password, removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, Literal

from sqlalchemy import Connection, text

from chalicelib.errors import BadRequest, NotFound
from chalicelib.mailboxes.credentials import Credentials, Keyring

Row = dict[str, Any]

_ADD = text("""
INSERT INTO ponctuel.mailboxes (business_id, address, owner_email, host, port, security, auth,
  token_issuer, username, credentials, folders, since, created_at, next_sync_at)
VALUES (:business_id, :address, :owner_email, :host, :port, :security, :auth, :token_issuer,
  :username, :credentials, CAST(:folders AS text[]), :since, ponctuel.clock(), ponctuel.clock())
ON CONFLICT DO NOTHING
RETURNING id
""")

# Everything but the credentials: they are read where a mailbox is opened, and nowhere else.
_COLUMNS = """
  m.id, m.business_id, m.address, m.owner_email, m.host, m.port, m.security, m.auth,
  m.token_issuer, m.username, m.folders, m.since, m.created_at, m.state, m.next_sync_at,
  m.synced_at, m.failures, m.failing_since, m.refusals, m.refused_since, m.error_code, m.error,
  m.told_code, m.held_until, m.deaths
"""
_LIST = text(f"""
SELECT {_COLUMNS},
       (SELECT count(*) FROM ponctuel.emails e WHERE e.mailbox_id = m.id) AS emails
  FROM ponctuel.mailboxes m
 WHERE (CAST(:business_id AS text) IS NULL OR m.business_id = :business_id)
   AND (CAST(:id AS bigint) IS NULL OR m.id = :id)
 ORDER BY m.business_id, m.address, m.id
""")
_WHOLE = text("SELECT * FROM ponctuel.mailboxes WHERE id = :id")
_FOLDERS = text("""
SELECT f.path, f.special, f.state, f.last_uid, f.checked_at, f.parked_until, f.error_code, f.error,
       (SELECT count(*) FROM ponctuel.email_places p
         WHERE p.folder_id = f.id AND p.uidvalidity = f.uidvalidity AND p.gone_at IS NULL) AS emails
  FROM ponctuel.mailbox_folders f WHERE f.mailbox_id = :id ORDER BY f.path
""")
_TROUBLES = text("""
SELECT f.path AS folder, t.uid, t.attempts, t.next_at, t.error_code, t.at
  FROM ponctuel.email_troubles t JOIN ponctuel.mailbox_folders f ON f.id = t.folder_id
 WHERE f.mailbox_id = :id ORDER BY t.at DESC, f.path, t.uid LIMIT :limit
""")
_UNREADABLE = text("""
SELECT e.id, e.state, e.attempts, e.size, e.internal_date, e.raw_key, e.faults
  FROM ponctuel.emails e
 WHERE e.mailbox_id = :id AND (e.state IN ('unreadable', 'stub')
                               OR (e.state = 'pending' AND e.attempts > 0))
 ORDER BY e.id DESC LIMIT :limit
""")
# Whoever holds the mailbox now reads it as it was: what comes of that is no more of interest.
_WELL = """
  failures = 0, failing_since = NULL, refusals = 0, refused_since = NULL, error_code = NULL,
  error = NULL, told_code = NULL, next_sync_at = ponctuel.clock(), fence = fence + 1,
  held_until = NULL, deaths = 0
"""
_PAUSE = text("""
UPDATE ponctuel.mailboxes SET state = 'paused' WHERE id = :id RETURNING id
""")
_RESUME = text(f"""
UPDATE ponctuel.mailboxes SET state = 'active', {_WELL} WHERE id = :id RETURNING id
""")
_CREDENTIALS = text(f"""
UPDATE ponctuel.mailboxes
   SET credentials = :credentials, renewing_until = NULL,
       state = CASE state WHEN 'paused' THEN state ELSE 'active' END, {_WELL}
 WHERE id = :id AND auth = :auth RETURNING id
""")
_REMOVE = text("DELETE FROM ponctuel.mailboxes WHERE id = :id RETURNING id")
_RETRY_TROUBLES = text("""
UPDATE ponctuel.email_troubles t SET next_at = ponctuel.clock()
  FROM ponctuel.mailbox_folders f
 WHERE f.id = t.folder_id AND f.mailbox_id = :id
RETURNING 1
""")
_RETRY_UNREADABLE = text("""
UPDATE ponctuel.emails SET state = 'pending', attempts = 0
 WHERE mailbox_id = :id AND state = 'unreadable'
RETURNING 1
""")


@dataclass(frozen=True)
class NewMailbox:
    """`folders`: patterns with * and ?; none: all but trash and junk. `since`: what the server
    received before is left alone."""

    business_id: str
    address: str
    host: str
    port: int
    security: Literal["tls", "starttls", "none"]
    auth: Literal["password", "xoauth2"]
    username: str
    credentials: Credentials = field(repr=False)
    token_issuer: Literal["google", "microsoft"] | None = None
    owner_email: str | None = None
    folders: Sequence[str] = ()
    since: date | None = None


def add(connection: Connection, mailbox: NewMailbox, keyring: Keyring) -> int:
    """Its number. Raises `BadRequest` when the business has it already."""
    values = asdict(mailbox) | {
        "credentials": keyring.encrypt(mailbox.credentials),
        "folders": list(mailbox.folders),
    }
    added: int | None = connection.execute(_ADD, values).scalar()
    if added is None:
        raise BadRequest(
            "Cette entreprise a déjà cette boîte. Pour changer son mot de passe : "
            "`./ponctuel mailbox password`."
        )
    return added


def listed(connection: Connection, business_id: str | None = None) -> list[Row]:
    """Every mailbox, or a business's, without credentials, with its number of `emails`."""
    rows = connection.execute(_LIST, {"business_id": business_id, "id": None}).mappings()
    return [dict(row) for row in rows]


def one(connection: Connection, mailbox_id: int) -> Row:
    """The same of one mailbox. Raises `NotFound`."""
    row = connection.execute(_LIST, {"business_id": None, "id": mailbox_id}).mappings().first()
    return dict(row) if row is not None else _missing(mailbox_id)


def to_open(connection: Connection, mailbox_id: int) -> Row:
    """The whole row, credentials included, as `Opener` takes it. Raises `NotFound`."""
    row = connection.execute(_WHOLE, {"id": mailbox_id}).mappings().first()
    return dict(row) if row is not None else _missing(mailbox_id)


def shown(connection: Connection, mailbox_id: int, *, limit: int) -> Row:
    """`one`, with its `folders`, the `troubles` (UIDs that could not be read) and the `unreadable`
    e-mails, the newest `limit` of each. Raises `NotFound`."""
    where = {"id": mailbox_id, "limit": limit}
    return one(connection, mailbox_id) | {
        name: [dict(row) for row in connection.execute(statement, where).mappings()]
        for name, statement in (
            ("folders_read", _FOLDERS),
            ("troubles", _TROUBLES),
            ("unreadable", _UNREADABLE),
        )
    }


def pause(connection: Connection, mailbox_id: int) -> None:
    """Raises `NotFound`."""
    _changed(connection, _PAUSE, {"id": mailbox_id})


def resume(connection: Connection, mailbox_id: int) -> None:
    """Active again, due now, with nothing held against it. Raises `NotFound`."""
    _changed(connection, _RESUME, {"id": mailbox_id})


def store(
    connection: Connection, mailbox_id: int, credentials: Credentials, auth: str, keyring: Keyring
) -> None:
    """Other credentials, of the mailbox's own kind: it is due now, unless it is paused. What a
    process that reads it now comes to is not written. Raises `NotFound`."""
    values = {"id": mailbox_id, "auth": auth, "credentials": keyring.encrypt(credentials)}
    _changed(connection, _CREDENTIALS, values)


def remove(connection: Connection, mailbox_id: int) -> None:
    """With every e-mail that was read from it; the raw copies stay in the store. Raises
    `NotFound`."""
    _changed(connection, _REMOVE, {"id": mailbox_id})


def retry(connection: Connection, mailbox_id: int) -> dict[str, int]:
    """What could not be read is tried once more, what could not be parsed as if for the first time.
    Raises `NotFound`."""
    one(connection, mailbox_id)
    return {
        name: len(connection.execute(statement, {"id": mailbox_id}).all())
        for name, statement in (("troubles", _RETRY_TROUBLES), ("unreadable", _RETRY_UNREADABLE))
    }


def _changed(connection: Connection, statement: Any, values: Mapping[str, Any]) -> None:
    if connection.execute(statement, values).first() is None:
        _missing(values["id"])


def _missing(mailbox_id: int) -> Row:
    raise NotFound(
        f"Il n'y a pas de boîte n° {mailbox_id}. `./ponctuel mailbox list` les donne toutes."
    )
