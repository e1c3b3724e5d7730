"""Access that Google gave to a mailbox is given back before the mailbox goes: a token that is only
forgotten here stays good there.

Microsoft has no such call; there the person, or their administrator, withdraws the consent.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, text

from chalicelib.domain.accounts import erasure_steps, retention
from chalicelib.domain.accounts.erasure_lease import LET_GO, Taken
from chalicelib.errors import SettingsError
from chalicelib.mailboxes.credentials import Keyring, Tokens
from chalicelib.providers import oauth
from chalicelib.settings import Settings

_HIS = """(d.scope = 'business' OR EXISTS (
       SELECT 1 FROM ponctuel.users x WHERE x.business_id = d.business_id AND x.id = d.user_id
          AND lower(btrim(x.email)) = o.address))"""
# `others`: Google withdraws the whole consent of a person to an application, and another business's
# mailbox of the same address needs it.
_CREDENTIALS = text(f"""
WITH {retention.WHO}
SELECT w.number, m.credentials, EXISTS (
         SELECT 1 FROM ponctuel.mailboxes o
          WHERE o.address = m.address AND o.token_issuer = 'google'
            AND o.business_id <> m.business_id
            AND NOT {LET_GO.format(step="revoke", row="o", whose=_HIS)}) AS others
  FROM who w JOIN ponctuel.mailboxes m ON m.business_id = w.business
   AND m.token_issuer = 'google'
   AND (CAST(:scope AS text) = 'business' OR m.address = w.email)
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


def with_tokens(engine: Engine, taken: Sequence[Taken]) -> set[int]:
    """Of these, which are of one scope, the numbers of those whom Google has to be told about."""
    with engine.connect() as connection:
        values = erasure_steps.parameters(connection, taken)
        return {row.number for row in connection.execute(_CREDENTIALS, values)}


def _tokens(connection: Connection, taken: Taken, settings: Settings) -> tuple[list[str], int]:
    mailboxes = connection.execute(_CREDENTIALS, erasure_steps.parameters(connection, [taken]))
    rows = [row.credentials for row in mailboxes if not row.others]
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
