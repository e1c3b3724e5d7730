"""A restored or copied database must not send again what was sent after it was saved.

The database counts its claims; the highest count is also kept outside of it (`ledger_mark`), before
any provider is called. A copy lags behind that mark, or bears another deployment's id: nothing
leaves it until an operator has accepted it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import Engine, text

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.errors import BadRequest, DatabaseRestored, SettingsError
from chalicelib.outbox.operator import needed
from chalicelib.providers.ledger_mark import UNREADABLE, Mark, MarkStore

# Ids that messages got after the backup may be known to providers: none is given out again.
SKIPPED_IDS = 1_000_000
# Of a mark that nobody can read: no database's.
NOBODY = UUID(int=0)

Standing = Literal["same", "new", "behind", "other", "unmarked"]
"""How the database stands to the mark: `same`; `new`, it has sent nothing and there is no mark yet;
`behind`, it lags; `other`, the mark is that of another deployment; `unmarked`, it has sent, and not
for this stage."""

WORDS: Mapping[Standing, str] = {
    "same": "La base et la marque concordent.",
    "new": "La base n'a encore rien envoyé : la marque sera écrite au premier envoi.",
    "behind": "Cette base est une copie ancienne : {where} se souvient d'envois qu'elle ne connaît "
    "pas.",
    "other": "Cette base n'est pas celle qui envoie ici : {where} en connaît une autre.",
    "unmarked": "Cette base a déjà envoyé, mais pas ici : {where} n'existe pas. C'est la copie "
    "d'une autre étape, ou la marque a été supprimée.",
}
REMEDY = (
    "Rien n'est envoyé, pour ne rien envoyer deux fois. Suivez docs/backups.md, puis "
    '`./ponctuel ledger reconcile --reason "…"`.'
)

_READ = text("SELECT id, claims FROM ponctuel.deployment")
_LOCK = text("SELECT id, claims FROM ponctuel.deployment FOR UPDATE")
_ACCEPT = text("UPDATE ponctuel.deployment SET id = :id, claims = :claims")

# Whatever it was held for: what was sent since may be among it, and going live or a surge's
# approval must not let it go.
_HOLD = text("""
WITH held AS (
  UPDATE ponctuel.messages SET state = 'held', hold_reason = 'restored', claim_id = NULL,
         counted_at = NULL
   WHERE state IN ('planned','held','claimed') RETURNING id
), recorded AS (
  INSERT INTO ponctuel.message_events (message_id, at, event, actor, reason)
  SELECT id, ponctuel.clock(), 'restored', :by, :reason FROM held RETURNING 1
)
SELECT count(*) FROM recorded
""")
# A policy may have resent them after the backup: none does so again.
_DOUBT = text("""
WITH called AS (
  UPDATE ponctuel.messages
     SET state = 'uncertain', proof_at = ponctuel.clock(), resends = resends + 1,
         settled_at = ponctuel.clock(), error_code = 'restored',
         error = 'La base a été restaurée : la réponse du fournisseur est perdue.'
   WHERE state = 'submitting' RETURNING id
), uncertain AS (
  UPDATE ponctuel.messages SET resends = resends + 1 WHERE state = 'uncertain' RETURNING 1
), recorded AS (
  INSERT INTO ponctuel.message_events (message_id, at, event, actor, reason)
  SELECT id, ponctuel.clock(), 'restored', :by, :reason FROM called RETURNING 1
)
SELECT count(*) FROM recorded
""")
# What the backup does not know of is planned again: in review, where somebody reads it.
_CLOSE = text("""
WITH closed AS (DELETE FROM ponctuel.go_lives WHERE business_id <> '*' RETURNING business_id)
SELECT COALESCE(jsonb_agg(DISTINCT business_id), '[]') FROM closed
""")
_SKIP = text("""
SELECT setval(sequence, nextval(sequence) + :skipped)
  FROM (SELECT CAST(pg_get_serial_sequence('ponctuel.messages', 'id') AS regclass) AS sequence) s
""")


@dataclass(frozen=True)
class Ledger:
    """What the database says, what is remembered outside of it, and how they stand."""

    database: Mark
    mark: Mark | None
    standing: Standing


@dataclass(frozen=True)
class Accepted:
    """What accepting the database did: messages held and made uncertain, businesses whose go-live
    is closed. `ledger` is as it was before."""

    ledger: Ledger
    now: Mark
    held: int
    uncertain: int
    closed: tuple[str, ...]


def look(engine: Engine, marks: MarkStore) -> Ledger:
    """How the database stands. Raises `DatabaseUnavailable`, and `SettingsError` when the mark
    cannot be read."""
    # The mark first: it may be written while we look, and never before the database has counted.
    mark = marks.read()
    with transaction(engine) as connection:
        database = Mark(*connection.execute(_READ).one())
    return Ledger(database, mark, _standing(database, mark))


def in_words(ledger: Ledger, marks: MarkStore) -> str:
    """The standing as a French sentence."""
    return WORDS[ledger.standing].format(where=marks.where)


def verify(engine: Engine, marks: MarkStore) -> None:
    """Before anything is claimed. Raises `DatabaseRestored` when nothing may leave, `SettingsError`
    when that cannot be known: sending twice would be worse."""
    ledger = look(engine, marks)
    if ledger.standing == "new":
        ledger = Ledger(ledger.database, marks.raise_to(ledger.database), "same")
    _allow(ledger, marks)


def remember(engine: Engine, marks: MarkStore, mark: Mark) -> None:
    """After a claim's commit, before any provider is called; `mark` is the database's as of that
    claim. Raises like `verify`: the claim is then given back."""
    kept = marks.raise_to(mark)
    if kept != mark:
        # Another process has claimed since, or the database was replaced while we were at work.
        with transaction(engine) as connection:
            database = Mark(*connection.execute(_READ).one())
        _allow(Ledger(database, kept, _standing(database, kept)), marks)


def accept(engine: Engine, marks: MarkStore, *, by: str, reason: str) -> Accepted:
    """An operator accepts this database as the one that sends: everything unsent is held, every
    business is back in review, and no message gets an id that another may have had. Raises
    `BadRequest` when there is nothing to accept, and for a blank reason."""
    reason = needed(reason)
    mark = _read_if_readable(marks)
    who = {"by": by, "reason": reason}
    with transaction(engine) as connection:
        database = Mark(*connection.execute(_LOCK).one())
        ledger = Ledger(database, mark, _standing(database, mark))
        if ledger.standing in ("same", "new"):
            raise BadRequest(f"{in_words(ledger, marks)} Il n'y a rien à réconcilier.")
        claims = max(database.claims, mark.claims if mark else 0) + 1
        # The copy of another stage must not answer to the original's references.
        now = Mark(database.deployment if ledger.standing == "behind" else uuid4(), claims)
        held = connection.execute(_HOLD, who).scalar_one()
        uncertain = connection.execute(_DOUBT, who).scalar_one()
        closed = connection.execute(_CLOSE).scalar_one()
        connection.execute(_SKIP, {"skipped": SKIPPED_IDS})
        connection.execute(_ACCEPT, {"id": now.deployment, "claims": now.claims})
    marks.replace(now)
    accepted = Accepted(ledger, now, held, uncertain, tuple(closed))
    logs.warning("database_accepted", **_facts(ledger), held=held, uncertain=uncertain)
    return accepted


def _standing(database: Mark, mark: Mark | None) -> Standing:
    if mark is None:
        return "unmarked" if database.claims else "new"
    if mark.deployment != database.deployment:
        return "other"
    return "behind" if database.claims < mark.claims else "same"


def _allow(ledger: Ledger, marks: MarkStore) -> None:
    if ledger.standing not in ("same", "new"):
        logs.error("database_restored", **_facts(ledger))
        raise DatabaseRestored(f"{in_words(ledger, marks)} {REMEDY}")


def _read_if_readable(marks: MarkStore) -> Mark | None:
    try:
        return marks.read()
    except SettingsError as error:
        if error.code != UNREADABLE:
            raise
        return Mark(NOBODY, 0)


def _facts(ledger: Ledger) -> dict[str, Any]:
    return {
        "standing": ledger.standing,
        "claims": ledger.database.claims,
        "claims_remembered": ledger.mark.claims if ledger.mark else None,
    }
