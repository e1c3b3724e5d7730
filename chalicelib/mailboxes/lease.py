"""Who may read a mailbox now: one process at a time, told apart by the mailbox's fence.

Mailboxes are taken in groups, one statement each, and given back in groups. Whoever writes for a
mailbox proves in the same transaction that the fence is still its own: a process that was believed
dead can write nothing more.

`mailboxes.deaths` goes up when a mailbox is taken and back to 0 when it is given back. After
`SUSPECT` deaths in a row it is taken alone, after all others; after `CONDEMNED` only once a day.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from chalicelib.db.engine import transaction
from chalicelib.errors import LeaseLost
from chalicelib.mailboxes.folders import KnownFolder

SUSPECT = 2
CONDEMNED = 4
# A holder is surely dead that long after its deadline.
GRACE = timedelta(minutes=2)

_SURVEY = text(f"""
SELECT m.id, m.business_id, m.host, m.deaths >= {SUSPECT} AS suspect,
       m.deaths >= {CONDEMNED} AND m.held_until > ponctuel.clock() - interval '1 day' AS condemned,
       ponctuel.clock() AS clock
  FROM jsonb_array_elements(CAST(:ids AS jsonb)) WITH ORDINALITY AS asked(id, nth)
  JOIN ponctuel.mailboxes m ON m.id = CAST(asked.id AS bigint)
 WHERE m.state = 'active' AND (m.held_until IS NULL OR m.held_until <= ponctuel.clock())
 ORDER BY asked.nth
""")

_TAKE = text("""
WITH free AS (
  SELECT id FROM ponctuel.mailboxes
   WHERE id IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:ids AS jsonb)))
     AND state = 'active' AND (held_until IS NULL OR held_until <= ponctuel.clock())
     AND (CAST(:dead_at AS timestamptz) IS NULL OR ponctuel.clock() < :dead_at)
   ORDER BY id FOR UPDATE SKIP LOCKED
), taken AS (
  UPDATE ponctuel.mailboxes m
     SET fence = m.fence + 1, deaths = m.deaths + 1, held_until = ponctuel.clock() + :lifetime
    FROM free WHERE m.id = free.id RETURNING m.*
)
SELECT t.*, ponctuel.clock() AS now,
       EXISTS (SELECT 1 FROM ponctuel.emails e WHERE e.mailbox_id = t.id) AS has_mail,
       EXISTS (SELECT 1 FROM ponctuel.emails e
                WHERE e.mailbox_id = t.id AND e.state = 'pending') AS has_pending,
       EXISTS (SELECT 1 FROM ponctuel.emails e
                WHERE e.mailbox_id = t.id AND e.settled_at IS NULL) AS has_unsettled,
       (SELECT jsonb_agg(to_jsonb(f) || COALESCE(
                 (SELECT jsonb_build_object(
                           'troubles', jsonb_agg(u.uid ORDER BY u.uid)
                             FILTER (WHERE (u.uid <= f.last_uid OR u.attempts >= 2)
                                       AND u.next_at <= ponctuel.clock()),
                           'cut', jsonb_agg(u.uid)
                             FILTER (WHERE u.uid > f.last_uid AND u.attempts >= 2))
                    FROM ponctuel.email_troubles u
                   WHERE u.folder_id = f.id AND u.uidvalidity = f.uidvalidity), '{}'))
          FROM ponctuel.mailbox_folders f WHERE f.mailbox_id = t.id) AS known_folders
  FROM taken t
""")

_HOLDS = text("""
SELECT 1 FROM ponctuel.mailboxes WHERE id = :mailbox_id AND fence = :fence FOR NO KEY UPDATE
""")

_GIVE_BACK = text("""
UPDATE ponctuel.mailboxes m SET held_until = NULL, deaths = 0
  FROM jsonb_to_recordset(CAST(:given AS jsonb)) AS g(id bigint, fence bigint)
 WHERE m.id = g.id AND m.fence = g.fence
""")


@dataclass(frozen=True)
class Candidate:
    """A mailbox that may be taken. `suspect`: processes died while they had it; `condemned`: so
    many that it is left alone until tomorrow."""

    id: int
    business_id: str
    host: str
    suspect: bool
    condemned: bool


@dataclass
class Held:
    """A mailbox that this process holds. `row` is its row in `mailboxes`; `now` the database's
    clock when it was taken (aware). `has_mail`, `has_pending`, `has_unsettled`: it has e-mails, and
    some of them are still to be parsed, or settled."""

    id: int
    business_id: str
    fence: int
    now: datetime
    has_mail: bool
    has_pending: bool
    has_unsettled: bool
    row: Mapping[str, Any] = field(repr=False)
    folders: list[KnownFolder] = field(default_factory=list)


class Desk:
    """The threads' one way to the database: an engine has one connection, so they take turns."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with self._turn, transaction(self._engine) as connection:
            yield connection

    @contextmanager
    def writing(self, held: Held) -> Iterator[Connection]:
        """A transaction in which nobody else may write for this mailbox. Raises `LeaseLost` when
        it is held by somebody else."""
        with self.transaction() as connection:
            values = {"mailbox_id": held.id, "fence": held.fence}
            if connection.execute(_HOLDS, values).one_or_none() is None:
                raise LeaseLost("Une autre exécution a repris cette boîte aux lettres.")
            yield connection


def survey(
    connection: Connection, mailbox_ids: Sequence[int]
) -> tuple[list[Candidate], datetime | None]:
    """Those of them that can be taken now, in the order given; and the database's clock (aware),
    None when there are none."""
    found = connection.execute(_SURVEY, {"ids": json.dumps(list(mailbox_ids))}).all()
    return [Candidate(*row[:-1]) for row in found], found[0].clock if found else None


def take(
    connection: Connection,
    mailbox_ids: Collection[int],
    lifetime: timedelta,
    dead_at: datetime | None = None,
) -> list[Held]:
    """Takes those that nobody holds, with all that is known of their folders: one statement.
    `lifetime`: how long this process can still live, with a margin. `dead_at`: from then on, by the
    database's clock, others take it for dead, and it takes nothing."""
    values = {"ids": json.dumps(list(mailbox_ids)), "lifetime": lifetime, "dead_at": dead_at}
    found = connection.execute(_TAKE, values).mappings()
    held = []
    for row in found:
        folders = [KnownFolder.of(one) for one in row["known_folders"] or ()]
        held.append(
            Held(
                id=row["id"],
                business_id=row["business_id"],
                fence=row["fence"],
                now=row["now"],
                has_mail=row["has_mail"],
                has_pending=row["has_pending"],
                has_unsettled=row["has_unsettled"],
                row=dict(row),
                folders=folders,
            )
        )
    return held


def give_back(connection: Connection, held: Collection[Held]) -> None:
    """These are done with, and nobody died of them."""
    given = [{"id": one.id, "fence": one.fence} for one in held]
    connection.execute(_GIVE_BACK, {"given": json.dumps(given)})
