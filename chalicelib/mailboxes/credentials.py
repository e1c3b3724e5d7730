"""What opens a mailbox, encrypted at rest.

A row holds one Fernet token of a small JSON object. The keys are the setting MAILBOX_KEYS: the
first encrypts, the others still decrypt, so that a key can be changed without a moment in which
mailboxes cannot be opened (`rotate`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

from chalicelib.errors import SettingsError
from chalicelib.settings import Settings

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

# Of one statement: a row's credentials have up to 6 kB (Microsoft's tokens).
AT_ONCE = 500

_SOME = text("""
SELECT id, credentials FROM ponctuel.mailboxes WHERE id > :after ORDER BY id LIMIT :limit
""")
# Where another process renews a token or has just done so, its credentials stay: it could not save
# a token that was given only once over what it has not read.
_REPLACE = text("""
UPDATE ponctuel.mailboxes m SET credentials = n.after
  FROM jsonb_to_recordset(CAST(:changed AS jsonb)) AS n(id bigint, before text, after text)
 WHERE m.id = n.id AND m.credentials = n.before
   AND (m.renewing_until IS NULL OR m.renewing_until <= ponctuel.clock())
RETURNING m.id
""")


@dataclass(frozen=True)
class Password:
    password: str = field(repr=False)


@dataclass(frozen=True)
class Tokens:
    """OAuth 2.0 tokens. `expires_at`: of the access token, aware, on the database's clock; None
    when there is none yet."""

    refresh_token: str = field(repr=False)
    access_token: str = field(default="", repr=False)
    expires_at: datetime | None = None


Credentials = Password | Tokens


@dataclass(frozen=True)
class Rotated:
    """Numbers of mailboxes: encrypted anew, already under the first key, left because a process was
    renewing their token; and the ids of those that no key opens."""

    changed: int
    current: int
    busy: int
    unreadable: tuple[int, ...]


class Keyring:
    """Encrypts and decrypts. Raises `SettingsError`, which never quotes a key or a secret."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys`: as `cryptography.fernet` takes them, one at least."""
        from cryptography.fernet import Fernet, MultiFernet

        self._first = Fernet(keys[0])
        self._all: MultiFernet = MultiFernet([Fernet(key) for key in keys])

    @classmethod
    def of(cls, settings: Settings) -> Keyring:
        """Raises `SettingsError` when no key is configured."""
        keys = settings.mailbox_keys
        if not keys:
            raise SettingsError(
                "MAILBOX_KEYS n'est pas renseigné : sans clé, aucun mot de passe de boîte ne peut "
                "être chiffré ni lu. `./ponctuel secrets generate` en fabrique une. "
                + settings.how_to_set("MAILBOX_KEYS")
            )
        return cls(keys)

    def encrypt(self, credentials: Credentials) -> str:
        return self._first.encrypt(_written(credentials)).decode("ascii")

    def decrypt(self, token: str) -> Credentials:
        from cryptography.fernet import InvalidToken

        try:
            return _read(self._all.decrypt(token))
        except (InvalidToken, ValueError, KeyError, TypeError):
            raise SettingsError(
                "Le mot de passe de cette boîte ne peut pas être déchiffré : la clé qui l'a "
                "chiffré n'est plus dans MAILBOX_KEYS. Remettez-la, ou enregistrez de nouveau le "
                "mot de passe (`./ponctuel mailbox password`).",
                code="mailbox_key",
            ) from None

    def rotated(self, token: str) -> str | None:
        """The same content under the first key; None when it is already. Raises as `decrypt`."""
        from cryptography.fernet import InvalidToken

        content = self.decrypt(token)
        try:
            self._first.decrypt(token)
        except InvalidToken:
            return self.encrypt(content)
        return None


def rotate(connection: Connection, keyring: Keyring) -> Rotated:
    """Encrypts every mailbox's credentials with the first key. Processes whose settings are up to
    five minutes old still write with another: run it again after that, until nothing changes."""
    changed = current = busy = after = 0
    unreadable: list[int] = []
    while True:
        rows = connection.execute(_SOME, {"after": after, "limit": AT_ONCE}).all()
        if not rows:
            return Rotated(changed, current, busy, tuple(unreadable))
        after = rows[-1].id
        news = []
        for row in rows:
            try:
                renewed = keyring.rotated(row.credentials)
            except SettingsError:
                unreadable.append(row.id)
                continue
            if renewed is None:
                current += 1
            else:
                news.append({"id": row.id, "before": row.credentials, "after": renewed})
        if news:
            done = len(connection.execute(_REPLACE, {"changed": json.dumps(news)}).all())
            changed, busy = changed + done, busy + len(news) - done


def _written(credentials: Credentials) -> bytes:
    content: dict[str, Any]
    if isinstance(credentials, Password):
        content = {"password": credentials.password}
    else:
        expires = credentials.expires_at
        content = {
            "refresh_token": credentials.refresh_token,
            "access_token": credentials.access_token,
            "expires_at": expires.isoformat() if expires else None,
        }
    return json.dumps(content).encode()


def _read(content: bytes) -> Credentials:
    found = json.loads(content)
    if "password" in found:
        return Password(str(found["password"]))
    expires = found.get("expires_at")
    return Tokens(
        refresh_token=str(found["refresh_token"]),
        access_token=str(found.get("access_token") or ""),
        expires_at=datetime.fromisoformat(expires) if expires else None,
    )
