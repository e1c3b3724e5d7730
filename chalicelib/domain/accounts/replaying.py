"""Accounts that a restore brought back are erased again.

A restored database is compared with the tombstones, its own and the store's. Who is there again is
locked anew, and goes through the normal steps, each with its receipt.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, Engine, text

from chalicelib import logs
from chalicelib.db.engine import snapshot, transaction
from chalicelib.domain.accounts import tombstones
from chalicelib.domain.accounts.standing import OPEN_STATES
from chalicelib.domain.accounts.tombstones import CREATED, Tombstone, account_of, fingerprint
from chalicelib.providers.storage.port import Storage

Verdict = Literal["returned", "under_way", "new", "doubtful"]
WORDS: Final[Mapping[Verdict, str]] = {
    "returned": "revenu par la restauration",
    "under_way": "revenu, déjà verrouillé : le job continue",
    "new": "un autre compte, créé après l'effacement : gardé",
    "doubtful": "à décider",
}
WHY: Final = {
    "created": "sa date de création n'est pas celle du compte effacé",
    "others": "l'entreprise entière avait été effacée, et d'autres l'utilisent",
}

# Users, and accounts of which only a deletion is left.
_THERE = text(f"""
WITH asked AS (SELECT jsonb_array_elements_text(CAST(:businesses AS jsonb)) AS business_id),
open AS (
  SELECT d.* FROM ponctuel.account_deletions d JOIN asked USING (business_id)
   WHERE d.state IN ({OPEN_STATES})
)
SELECT u.business_id, u.id AS user_id, {CREATED} AS created_at, u.active, o.id AS deletion,
       o.state, true AS known
  FROM ponctuel.users u JOIN asked USING (business_id)
  LEFT JOIN open o ON o.business_id = u.business_id AND o.user_id = u.id
UNION ALL
SELECT o.business_id, o.user_id, o.requested_at, false, o.id, o.state, false FROM open o
 WHERE NOT EXISTS (SELECT 1 FROM ponctuel.users u
                    WHERE u.business_id = o.business_id AND u.id = o.user_id)
""")
_ROWS = """jsonb_to_recordset(CAST(:rows AS jsonb))
    AS n(business_id text, user_id text, scope text, scheduled_at timestamptz)"""
# An operator has decided: they count for no surge, and were told when they were erased before.
_RELOCK = text(f"""
UPDATE ponctuel.account_deletions d
   SET state = 'locked', scope = n.scope, locked_at = ponctuel.clock(), lease = d.lease + 1,
       approved_at = ponctuel.clock(), approved_by = :by, blocked_at = NULL, blocked_reason = NULL
  FROM {_ROWS}
 WHERE d.business_id = n.business_id AND d.user_id = n.user_id
   AND d.state IN ('scheduled', 'blocked')
""")
_LOCK = text(f"""
INSERT INTO ponctuel.account_deletions (business_id, user_id, scope, state, requested_at,
                                        requested_by, scheduled_at, zone, approved_at, approved_by,
                                        locked_at)
SELECT n.business_id, n.user_id, n.scope, 'locked', ponctuel.clock(), 'replay', n.scheduled_at,
       'Europe/Paris', ponctuel.clock(), :by, ponctuel.clock()
  FROM {_ROWS}
    ON CONFLICT (business_id, user_id) WHERE state IN ('scheduled','blocked','locked','erasing')
    DO NOTHING
""")


@dataclass(frozen=True)
class There:
    """An account of this database. `state`: of its open deletion, if it has one. Not `known`: the
    application has removed its row, and `created_at` is when the deletion was requested."""

    business_id: str
    user_id: str
    created_at: datetime | None
    active: bool
    deletion: int | None
    state: str | None
    known: bool = True


@dataclass(frozen=True)
class Found:
    """An account that a tombstone names, what it is taken for, and why where that is doubtful."""

    there: There
    tombstone: Tombstone
    verdict: Verdict
    why: str | None = None


@dataclass(frozen=True)
class Comparison:
    """`tombstones`: how many were read. `unreadable`: what is wrong with those that were not.
    `foreign`: how many name nobody, because their secret is not known any more."""

    found: Sequence[Found]
    tombstones: int
    unreadable: Sequence[str]
    foreign: int
    missing: Sequence[Tombstone]

    def of(self, verdict: Verdict) -> list[Found]:
        return [one for one in self.found if one.verdict == verdict]


def compare(engine: Engine, storage: Storage | None, secrets: Sequence[str | None]) -> Comparison:
    """Writes nothing. `secrets`: LINK_SECRET, the one before it. Raises `ProviderError` when the
    store cannot be read: what is there would be missing."""
    keys = [None, *(secret for secret in secrets if secret)]
    with snapshot(engine) as connection:
        ours = tombstones.known(connection)
    outside, unreadable = _outside(storage, {one.key for one in ours}, keys)
    everything = [*ours, *outside]
    with snapshot(engine) as connection:
        there = _there(connection, {one.business_id for one in everything})
    of_secret = {fingerprint(secret): secret for secret in keys}
    return Comparison(
        found=judge(_named(everything, there, of_secret), there),
        tombstones=len(everything),
        unreadable=unreadable,
        foreign=sum(one.secret not in of_secret for one in everything),
        missing=outside,
    )


def erase_again(engine: Engine, compared: Comparison, *, by: str) -> int:
    """Locks those that came back, whom the next run of the job erases; the same again changes
    nothing. What only the store knew is in the table again. Returns how many are locked."""
    returned = compared.of("returned")
    rows = json.dumps(
        [
            {
                "business_id": one.there.business_id,
                "user_id": one.there.user_id,
                "scope": one.tombstone.scope,
                "scheduled_at": one.tombstone.locked_at.isoformat(),
            }
            # The business last: it takes what is left of the others along.
            for one in sorted(returned, key=lambda one: one.tombstone.scope == "business")
        ]
    )
    with transaction(engine) as connection:
        if compared.missing:
            tombstones.keep(connection, compared.missing, kept=True)
        locked = connection.execute(_RELOCK, {"rows": rows, "by": by}).rowcount
        locked += connection.execute(_LOCK, {"rows": rows, "by": by}).rowcount
    logs.info("erasures_replayed", locked=locked)
    return locked


def judge(named: Iterable[tuple[Tombstone, There]], there: Sequence[There]) -> list[Found]:
    """One verdict per account, without any I/O. Of several tombstones of one account, the one by
    which it is to be erased counts."""
    best: dict[tuple[str, str], Found] = {}
    ranks = {"returned": 0, "under_way": 0, "doubtful": 1, "new": 2}
    for tombstone, account in named:
        one = _judged(tombstone, account)
        key = (account.business_id, account.user_id)
        if key not in best or ranks[one.verdict] < ranks[best[key].verdict]:
            best[key] = one
    going = {key for key, one in best.items() if one.verdict in ("returned", "under_way")}
    used = {
        account.business_id
        for account in there
        if account.active and (account.business_id, account.user_id) not in going
    }
    return [
        Found(one.there, one.tombstone, "doubtful", "others")
        if one.verdict == "returned"
        and one.tombstone.scope == "business"
        and one.there.business_id in used
        else one
        for _, one in sorted(best.items())
    ]


def _judged(tombstone: Tombstone, account: There) -> Found:
    was, now, gone = tombstone.account_created_at, account.created_at, tombstone.locked_at
    if now is not None and now <= gone and (was in (None, now) or not account.known):
        again = account.state in ("locked", "erasing")
        return Found(account, tombstone, "under_way" if again else "returned")
    # A view may tell the present moment as the date of creation: then nothing can be told by it.
    if now is not None and now > gone and (was is None or was <= gone):
        return Found(account, tombstone, "new")
    return Found(account, tombstone, "doubtful", "created")


def _outside(
    storage: Storage | None, ours: set[str], secrets: Sequence[str | None]
) -> tuple[list[Tombstone], list[str]]:
    found, unreadable = [], []
    for key in storage.keys(tombstones.FOLDER) if storage is not None else ():
        if key in ours:
            continue
        try:
            found.append(tombstones.read(storage, key, secrets))  # type: ignore[arg-type]  # as above
        except tombstones.Unreadable as error:
            unreadable.append(str(error))
    return found, unreadable


def _there(connection: Connection, businesses: set[str]) -> list[There]:
    wanted = {"businesses": json.dumps(sorted(businesses))}
    return [There(**row) for row in connection.execute(_THERE, wanted).mappings()]


def _named(
    everything: Iterable[Tombstone], there: Iterable[There], secrets: Mapping[str, str | None]
) -> list[tuple[Tombstone, There]]:
    graves: dict[tuple[str, str, str], list[Tombstone]] = {}
    for one in everything:
        graves.setdefault((one.business_id, one.secret, one.account), []).append(one)
    return [
        (one, account)
        for account in there
        for print_, secret in secrets.items()
        for one in graves.get(
            (
                account.business_id,
                print_,
                account_of(account.business_id, account.user_id, secret),
            ),
            (),
        )
    ]


def as_data(compared: Comparison) -> dict[str, Any]:
    """As the command line shows it: ids, dates, verdicts."""
    return {
        "tombstones": compared.tombstones,
        "foreign": compared.foreign,
        "unreadable": list(compared.unreadable),
        "accounts": [
            {
                "business_id": one.there.business_id,
                "user_id": one.there.user_id,
                "scope": one.tombstone.scope,
                "erased_at": one.tombstone.locked_at,
                "created_at": one.there.created_at,
                "verdict": one.verdict,
                "why": WHY.get(one.why or ""),
            }
            for one in compared.found
        ],
    }
