"""Tombstones: that an account was erased, told to a database that was saved before.

One is written to the store before the account's own row goes, so that there is none without its
tombstone; the table has the same. It tells who only to somebody who has the account in front of
them: its ids under an HMAC, and dates. `replaying` compares a restored database with them.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, Engine, text

from chalicelib.domain.accounts import erasure_lease
from chalicelib.domain.accounts.archiving import delete_document
from chalicelib.domain.accounts.erasure_lease import Taken
from chalicelib.errors import AttachmentUnavailable, ItemFailed, ProviderError
from chalicelib.providers.storage.keys import business_folder
from chalicelib.providers.storage.port import Storage
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.job import Batch, ItemError, Outcome, Preview, Run

# No business's folder has a dot.
FOLDER: Final = "erasures.ponctuel"
# No backup may be restored that is older: then nobody knows any more what to erase again.
KEPT: Final = timedelta(days=3 * 366)
_LARGEST: Final = 10_000  # bytes
_CREATED = "CAST(u.created_at AS timestamptz)"
# Dates that no calendar of Python's holds are no dates.
CREATED: Final = f"""
CASE WHEN {_CREATED} > '1900-01-01Z' AND {_CREATED} < '9000-01-01Z' THEN {_CREATED} END"""

_ERASED = text(f"""
SELECT d.id, d.locked_at, {CREATED} AS created_at
  FROM ponctuel.account_deletions d
  LEFT JOIN ponctuel.users u ON u.business_id = d.business_id AND u.id = d.user_id
 WHERE d.id = ANY(CAST(:ids AS bigint[]))
""")
_KEEP = text("""
INSERT INTO ponctuel.erasure_tombstones
       (key, business_id, deletion_id, scope, account, secret, account_created_at, locked_at,
        kept_at)
SELECT n.key, n.business_id, n.deletion_id, n.scope, n.account, n.secret, n.account_created_at,
       n.locked_at, CASE WHEN :kept THEN ponctuel.clock() END
  FROM jsonb_to_recordset(CAST(:rows AS jsonb))
    AS n(key text, business_id text, deletion_id bigint, scope text, account text, secret text,
         account_created_at timestamptz, locked_at timestamptz)
    ON CONFLICT (key) DO UPDATE SET kept_at = COALESCE(excluded.kept_at, erasure_tombstones.kept_at)
""")
_KNOWN = text("""
SELECT key, business_id, deletion_id, scope, account, secret, account_created_at, locked_at
  FROM ponctuel.erasure_tombstones ORDER BY locked_at, key
""")
OLD: Final = f"""
SELECT t.business_id, t.key AS item FROM ponctuel.erasure_tombstones t
 WHERE t.locked_at < CAST(:now AS timestamptz) - interval '{KEPT.days} days'
"""
_GO = text(f"""
DELETE FROM ponctuel.erasure_tombstones WHERE key = :key
   AND locked_at < ponctuel.clock() - interval '{KEPT.days} days'
""")
_KEPT_OUTSIDE = text("SELECT kept_at IS NOT NULL FROM ponctuel.erasure_tombstones WHERE key = :key")


class Unreadable(ItemFailed):
    """No tombstone of ours, or one that somebody has changed."""

    code = "tombstone_unreadable"


@dataclass(frozen=True)
class Tombstone:
    """`account`: the HMAC; `secret`: the fingerprint of what it was made with, empty for none.
    `account_created_at`: None where the account's row had gone. Instants are aware."""

    key: str
    business_id: str
    deletion_id: int
    scope: str
    account: str
    secret: str
    account_created_at: datetime | None
    locked_at: datetime


def account_of(business_id: str, user_id: str, secret: str | None) -> str:
    """Who it is, to a tombstone made with that secret."""
    account = f"tombstone\0{business_id}\0{user_id}"
    return _mac(account, secret)


def fingerprint(secret: str | None) -> str:
    """Tells secrets apart, and nothing else; empty for none."""
    return sha256(f"tombstone\0{secret}".encode()).hexdigest()[:8] if secret else ""


def bury(
    engine: Engine, group: Sequence[Taken], storage: Storage | None, secret: str | None
) -> None:
    """The step: the store first, then the table. Without a store there is only the table, which a
    restore takes away. Raises `ProviderError`."""
    with engine.connect() as connection:
        rows = connection.execute(_ERASED, {"ids": [one.id for one in group]})
        known_of = {row.id: row for row in rows}
    stones = [
        _tombstone(one, known_of[one.id].locked_at, known_of[one.id].created_at, secret)
        for one in group
    ]
    if storage is not None:
        for stone in stones:
            storage.write(stone.key, document(stone, secret))
    with erasure_lease.writing(engine, group, "tombstone") as connection:
        keep(connection, stones, kept=storage is not None)
        counts = {"outside": int(storage is not None)}
        erasure_lease.receipts(connection, "tombstone", {one.id: counts for one in group})


def _tombstone(
    taken: Taken, locked_at: datetime, created_at: datetime | None, secret: str | None
) -> Tombstone:
    account = account_of(taken.business_id, taken.user_id, secret)
    place = business_folder(taken.business_id)
    return Tombstone(
        key=f"{FOLDER}/{place}/{account}-{int(locked_at.timestamp())}.json",
        business_id=taken.business_id,
        deletion_id=taken.id,
        scope=taken.scope,
        account=account,
        secret=fingerprint(secret),
        account_created_at=created_at,
        locked_at=locked_at,
    )


def keep(connection: Connection, found: Iterable[Tombstone], *, kept: bool) -> None:
    """Writes them to the table; `kept`: the store has them."""
    rows = json.dumps([_plain(one) | {"key": one.key} for one in found])
    connection.execute(_KEEP, {"rows": rows, "kept": kept})


def known(connection: Connection) -> list[Tombstone]:
    """Those of the table."""
    return [Tombstone(**row) for row in connection.execute(_KNOWN).mappings()]


def document(one: Tombstone, secret: str | None) -> bytes:
    """As the store has it: JSON, with a MAC over the rest."""
    said = {"version": 1} | _plain(one)
    return json.dumps(said | {"mac": _mac(_canonical(said), secret)}, indent=1).encode()


def read(storage: Storage, key: str, secrets: Sequence[str | None]) -> Tombstone:
    """One of the store. One whose secret is none of these cannot be verified, and names nobody.
    Raises `Unreadable`, `ProviderError`."""
    try:
        said: dict[str, Any] = json.loads(storage.read(key, max_bytes=_LARGEST))
        mac = str(said.pop("mac"))
        if said.pop("version") != 1:
            raise Unreadable(f"{key} : une version que ce code ne connaît pas.")
        one = Tombstone(
            key=key,
            business_id=str(said["business_id"]),
            deletion_id=int(said["deletion_id"]),
            scope={"user": "user", "business": "business"}[said["scope"]],
            account=str(said["account"]),
            secret=str(said["secret"]),
            account_created_at=_instant(said["account_created_at"]),
            locked_at=datetime.fromisoformat(said["locked_at"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, AttachmentUnavailable):
        raise Unreadable(f"{key} : ce n'est pas la trace d'un effacement.") from None
    known_by = [secret for secret in secrets if fingerprint(secret) == one.secret]
    wanted = {"version": 1} | _plain(one)
    if known_by and not hmac.compare_digest(mac, _mac(_canonical(wanted), known_by[0])):
        raise Unreadable(f"{key} : quelqu'un a changé cette trace.")
    return one


def _plain(one: Tombstone) -> dict[str, Any]:
    created = one.account_created_at
    return {name: value for name, value in asdict(one).items() if name != "key"} | {
        "account_created_at": created and created.isoformat(),
        "locked_at": one.locked_at.isoformat(),
    }


def _canonical(said: dict[str, Any]) -> str:
    return json.dumps(said, sort_keys=True)


def _mac(content: str, secret: str | None) -> str:
    return hmac.new((secret or "").encode(), content.encode(), sha256).hexdigest()[:32]


def _instant(given: str | None) -> datetime | None:
    return None if given is None else datetime.fromisoformat(given)


@dataclass(frozen=True)
class Forget:
    """Items are keys of tombstones that no backup needs any more."""

    def run_errand(
        self, run: Run, engine: Engine, deadline: Deadline, items: Sequence[tuple[str, str]]
    ) -> Outcome:
        from chalicelib.runner.invocation import open_store
        from chalicelib.settings import settings

        storage = open_store(settings())
        gone, errors = 0, []
        for business, key in items:
            if deadline.near():
                break
            try:
                with engine.connect() as connection:
                    outside = connection.execute(_KEPT_OUTSIDE, {"key": key}).scalar()
                if outside:
                    delete_document(storage, key)
                with engine.begin() as connection:
                    gone += connection.execute(_GO, {"key": key}).rowcount
            except ProviderError as error:
                errors.append(ItemError(business, key, error.code, str(error)))
        return Outcome({"tombstones_purged": gone} if gone else {}, errors)

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        rows = connection.execute(text(batch.cte), batch.parameters)
        return Preview(
            [
                {"change": "tombstones_purged", "business_id": row[0], "subject": row[1]}
                for row in rows
            ]
        )
