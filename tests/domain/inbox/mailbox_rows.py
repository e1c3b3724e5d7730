"""One mailbox, with defaults that a test overrides where it cares."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, text

from chalicelib.mailboxes.credentials import Credentials, Keyring, Password

KEY = "A2eU6yJ4r0N8tqk3vP5xw7Zs9bD1fH-cLmQgR_iTjo0="
START = datetime(2026, 3, 1, tzinfo=UTC)


def add(
    connection: Connection,
    address: str = "compta@perrin.example",
    *,
    credentials: Credentials | None = None,
    keys: tuple[str, ...] = (KEY,),
    **overrides: object,
) -> int:
    """The id of a mailbox of B1 that has been well so far."""
    row = {
        "business_id": "B1",
        "address": address,
        "host": "imap.perrin.example",
        "port": 993,
        "security": "tls",
        "auth": "password",
        "username": address,
        "credentials": Keyring(keys).encrypt(credentials or Password("s3cret, é")),
        "created_at": START,
        "next_sync_at": START,
        **overrides,
    }
    columns = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    found: int = connection.execute(
        text(f"INSERT INTO ponctuel.mailboxes ({columns}) VALUES ({values}) RETURNING id"), row
    ).scalar_one()
    return found
