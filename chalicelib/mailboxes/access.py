"""An access token for a mailbox without a password, renewed when it is about to end.

No transaction is open while the issuer is asked: the threads of a run share one connection. One
process at a time asks for a mailbox (`renewing_until`), because issuers may give another refresh
token with each answer and end the one before: what the second of two got would end the first's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Engine, text

from chalicelib.db.engine import transaction
from chalicelib.errors import NotFound, SettingsError
from chalicelib.mailboxes.credentials import Keyring, Tokens

# A first sync takes longer than what is left of many tokens; then the server ends the session.
LEAST_LEFT = timedelta(minutes=5)
# Between two looks at whether the process that renews has finished, in seconds.
LOOK_AGAIN = 0.2
# Besides the call itself: to write what came of it.
MARGIN = timedelta(seconds=10)

_READ = text("""
SELECT credentials, ponctuel.clock() AS clock FROM ponctuel.mailboxes WHERE id = :id
""")
_CLAIM = text("""
UPDATE ponctuel.mailboxes SET renewing_until = ponctuel.clock() + :lease
 WHERE id = :id AND credentials = :seen
   AND (renewing_until IS NULL OR renewing_until <= ponctuel.clock())
RETURNING ponctuel.clock() AS clock
""")
_SAVE = text("""
UPDATE ponctuel.mailboxes SET credentials = :credentials, renewing_until = NULL
 WHERE id = :id AND credentials = :seen
RETURNING 1
""")
_LET_GO = text("""
UPDATE ponctuel.mailboxes SET renewing_until = NULL WHERE id = :id AND credentials = :seen
""")


class Renewed(Protocol):
    """What an issuer gives; see `chalicelib.providers.oauth.Renewed`."""

    @property
    def access_token(self) -> str: ...
    @property
    def refresh_token(self) -> str | None: ...
    @property
    def seconds(self) -> int: ...


@dataclass(frozen=True)
class Renewal:
    """`ask` is given a refresh token; `longest`: how long it takes at most."""

    ask: Callable[[str], Renewed]
    longest: timedelta


def access_token(
    engine: Engine,
    mailbox_id: int,
    keyring: Keyring,
    renewal: Renewal,
    *,
    refused: str | None = None,
) -> str:
    """A token that is good for five more minutes, and is not `refused`, which the mail server did
    not take although its time was not over.

    Raises what `renewal.ask` raises (`ImapError`: `reauthorise`, `connection`, `unavailable`),
    `SettingsError`, `NotFound`.
    """
    while True:
        with transaction(engine) as connection:
            row = connection.execute(_READ, {"id": mailbox_id}).first()
        if row is None:
            raise NotFound("Cette boîte n'existe plus.")
        tokens = keyring.decrypt(row.credentials)
        if not isinstance(tokens, Tokens):
            raise SettingsError(
                "Cette boîte a un mot de passe là où il faut un jeton : enregistrez-le par "
                "`./ponctuel mailbox password`.",
                code="mailbox_credentials",
            )
        if _good(tokens, row.clock, refused):
            return tokens.access_token
        claim = {
            "id": mailbox_id,
            "seen": row.credentials,
            "lease": renewal.longest + MARGIN,
        }
        with transaction(engine) as connection:
            clock = connection.execute(_CLAIM, claim).scalar()
        if clock is not None:
            return _renew(engine, mailbox_id, keyring, renewal, tokens, row.credentials, clock)
        time.sleep(LOOK_AGAIN)


def _renew(
    engine: Engine,
    mailbox_id: int,
    keyring: Keyring,
    renewal: Renewal,
    tokens: Tokens,
    seen: str,
    clock: datetime,
) -> str:
    where = {"id": mailbox_id, "seen": seen}
    try:
        renewed = renewal.ask(tokens.refresh_token)
    except BaseException:
        with transaction(engine) as connection:
            connection.execute(_LET_GO, where)
        raise
    fresh = Tokens(
        refresh_token=renewed.refresh_token or tokens.refresh_token,
        access_token=renewed.access_token,
        expires_at=clock + timedelta(seconds=renewed.seconds),
    )
    with transaction(engine) as connection:
        connection.execute(_SAVE, where | {"credentials": keyring.encrypt(fresh)})
    # Where it was not saved, an operator has stored other credentials, or this process was frozen
    # for longer than its lease: what the row has then is newer, and this token works all the same.
    return renewed.access_token


def _good(tokens: Tokens, clock: datetime, refused: str | None) -> bool:
    return (
        tokens.access_token not in ("", refused)
        and tokens.expires_at is not None
        and tokens.expires_at - clock >= LEAST_LEFT
    )
