"""Access that Google gave to a mailbox is given back before the mailbox goes: a token that is only
forgotten here stays good there.

Microsoft has no such call; there the person, or their administrator, withdraws the consent.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, text

from chalicelib.domain.accounts.erasure_lease import Taken
from chalicelib.errors import SettingsError
from chalicelib.mailboxes.credentials import Keyring, Tokens
from chalicelib.providers import oauth
from chalicelib.settings import Settings

# Google withdraws the whole consent of a person to an application: one that another business's
# mailbox of the same address needs stays.
_CREDENTIALS = text("""
SELECT m.credentials FROM ponctuel.mailboxes m
 WHERE m.business_id = :business AND m.token_issuer = 'google'
   AND (CAST(:scope AS text) = 'business' OR m.address =
        (SELECT lower(btrim(u.email)) FROM ponctuel.users u
          WHERE u.business_id = :business AND u.id = :user))
   AND NOT EXISTS (SELECT 1 FROM ponctuel.mailboxes o
                    WHERE o.address = m.address AND o.token_issuer = 'google'
                      AND o.business_id <> m.business_id)
 ORDER BY m.id
""")


def revoke(engine: Engine, taken: Taken, settings: Settings) -> None:
    """The step. Credentials that no key opens any more open nothing here either: they are counted.
    Raises `ProviderError`."""
    with engine.connect() as connection:
        tokens, unreadable = _tokens(connection, taken, settings)
    current = settings.google_oauth_url
    base = oauth.google_base(current.url if current else None)
    revoked = sum(oauth.revoke(token, base_url=base) for token in tokens)
    with taken.writing(engine, "revoke") as working:
        counts = {"revoked": revoked, "unreadable": unreadable}
        taken.receipt(working, "revoke", {name: n for name, n in counts.items() if n})


def _tokens(connection: Connection, taken: Taken, settings: Settings) -> tuple[list[str], int]:
    asked = {"business": taken.business_id, "user": taken.user_id, "scope": taken.scope}
    rows = list(connection.execute(_CREDENTIALS, asked).scalars())
    if not rows:
        return [], 0
    found: list[str] = []
    try:
        keyring = Keyring.of(settings)
    except SettingsError:
        return [], len(rows)
    for row in rows:
        try:
            opened = keyring.decrypt(row)
        except SettingsError:
            continue
        if isinstance(opened, Tokens):
            found.append(opened.refresh_token)
    return found, len(rows) - len(found)
