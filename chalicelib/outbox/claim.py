"""Taking messages out of the ledger, and putting their outcome back.

A message is *claimed* by one process for as long as that process can live; it is *submitting* from
the commit before the call until its answer is committed. Whatever a dead process left is swept:
claimed goes back to planned, submitting becomes uncertain.

`messages.claims` counts the processes that died while this message was being prepared. It goes up
before a letter is written and back when the process lives on; any outcome sets it to zero. Being
claimed counts for nothing: hundreds are, and it is the letter being written that can kill.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from chalicelib.outbox.kinds import Claimed
from chalicelib.outbox.plan import ALLOWED, allow_list

# Holds that lift by themselves: the message is looked at again once `not_before` has passed.
RETRIED_HOLDS = ("window", "attachment", "variable", "sender", "template", "guard", "unknown_kind")
# A message whose letter saw that many processes die is claimed alone, then set aside.
SUSPECT_CLAIMS = 2
QUARANTINE_CLAIMS = 4

_RETRIED = ", ".join(f"'{reason}'" for reason in RETRIED_HOLDS)
_DUE = f"""(m.state = 'planned' OR (m.state = 'held' AND m.hold_reason IN ({_RETRIED})))
   AND m.not_before <= ponctuel.clock() AND m.expires_at > ponctuel.clock()"""

_SWEEP = f"""
WITH late AS (
  UPDATE ponctuel.messages SET state = 'expired', key_free = true, settled_at = ponctuel.clock()
   WHERE state IN ('planned','held') AND expires_at <= ponctuel.clock() RETURNING id
), lost AS (
  UPDATE ponctuel.messages
     SET state = 'uncertain', settled_at = ponctuel.clock(), error_code = 'answer_lost',
         error = 'Le traitement s''est interrompu pendant l''envoi.'
   WHERE state = 'submitting' AND claimed_until <= ponctuel.clock() RETURNING id
), dropped AS (
  UPDATE ponctuel.messages
     SET state = CASE WHEN claims >= :quarantine THEN 'held' ELSE 'planned' END,
         hold_reason = CASE WHEN claims >= :quarantine THEN 'quarantine' END, claim_id = NULL
   WHERE state = 'claimed' AND claimed_until <= ponctuel.clock() RETURNING id
)
SELECT (SELECT count(*) FROM late) AS expired, (SELECT count(*) FROM lost) AS uncertain,
       EXISTS (SELECT 1 FROM dropped) OR EXISTS (SELECT 1 FROM ponctuel.messages m WHERE {_DUE})
         AS due
"""

# How many times `limit` are ranked: what somebody is claiming at this moment is skipped, and those
# behind it come in its place. Locking before ranking would write to every message that is due.
RANKED = 4

# Businesses take turns; a message waits for its run's whole plan (a surge is only known then), and
# for its job's pause to end. Suspects come last, and alone.
_CLAIM = f"""
WITH due AS (
  SELECT m.id, m.claims >= :suspect AS suspect,
         row_number() OVER (PARTITION BY m.business_id, m.claims >= :suspect
                            ORDER BY m.not_before, m.id) AS nth
    FROM ponctuel.messages m
   WHERE {_DUE}
     AND (CAST(:run_id AS uuid) IS NULL OR m.run_id = :run_id)
     AND NOT EXISTS (
       SELECT 1 FROM ponctuel.runs r JOIN ponctuel.job_state s ON s.job = r.job AND s.zone = r.zone
        WHERE r.id = m.run_id AND (s.paused_at IS NOT NULL OR (r.finished_at IS NULL
              AND r.status <> 'queued' AND r.step IS DISTINCT FROM 'delivery')))
     AND (EXISTS (SELECT 1 FROM ponctuel.go_lives g WHERE g.business_id = '*' AND g.kind = '*')
          OR m.business_id = '' OR {ALLOWED.format(recipient="m.recipient")})
), turn AS (
  SELECT id, nth, suspect FROM due ORDER BY suspect, nth, id LIMIT :limit * {RANKED}
), chosen AS (
  SELECT id, nth FROM turn
   WHERE NOT suspect OR (id = (SELECT id FROM turn ORDER BY suspect, nth, id LIMIT 1))
), locked AS (
  SELECT m.id, c.nth FROM ponctuel.messages m JOIN chosen c ON c.id = m.id
   WHERE {_DUE} ORDER BY c.nth, m.id LIMIT :limit FOR UPDATE OF m SKIP LOCKED
), taken AS (
  UPDATE ponctuel.messages m
     SET state = 'claimed', hold_reason = NULL, claim_id = :claim_id,
         claimed_until = ponctuel.clock() + :lifetime
    FROM locked WHERE m.id = locked.id
  RETURNING m.*, locked.nth
)
SELECT t.id, t.business_id, t.kind, t.subject, t.cycle, t.step, t.channel, t.person, t.recipient,
       t.content, t.message_id, t.attempts,
       COALESCE((SELECT jsonb_agg(jsonb_build_object('kind', l.kind, 'subject', l.subject,
                                                     'cycle', l.cycle, 'step', l.step))
                   FROM ponctuel.message_lines l WHERE l.message_id = t.id), '[]') AS lines
  FROM taken t ORDER BY t.nth, t.id
"""

_STILL_MINE = text("""
SELECT m.id, ponctuel.clock() AS clock,
       EXISTS (SELECT 1 FROM ponctuel.go_lives WHERE business_id = '*' AND kind = '*') AS live,
       (SELECT d.id FROM ponctuel.deployment d) AS deployment
  FROM ponctuel.messages m
 WHERE m.id IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:ids AS jsonb)))
   AND m.claim_id = :claim_id AND m.state = 'claimed' AND m.claimed_until > ponctuel.clock()
   FOR UPDATE OF m
""")

_SETTLE = text("""
WITH news AS (
  SELECT * FROM jsonb_to_recordset(CAST(:news AS jsonb)) AS n(
    id bigint, was text, state text, hold_reason text, key_free boolean, wait interval,
    until timestamptz, attempts integer, provider text, provider_id text, message_id text,
    error_code text, error text, recipient text, subject text, body text, html text,
    attachments jsonb)
), settled AS (
  UPDATE ponctuel.messages m
     SET state = n.state, hold_reason = n.hold_reason,
         key_free = COALESCE(n.key_free, m.key_free),
         not_before = COALESCE(n.until, ponctuel.clock() + n.wait, m.not_before),
         attempts = m.attempts + COALESCE(n.attempts, 0),
         claims = CASE n.state WHEN 'claimed' THEN m.claims + 1
                               WHEN 'submitting' THEN m.claims ELSE 0 END,
         claim_id = CASE WHEN n.state IN ('planned','held') THEN NULL ELSE m.claim_id END,
         provider = COALESCE(n.provider, m.provider),
         provider_id = COALESCE(n.provider_id, m.provider_id),
         message_id = COALESCE(n.message_id, m.message_id),
         recipient = COALESCE(n.recipient, m.recipient),
         error_code = n.error_code, error = n.error,
         submitting_at = CASE WHEN n.state = 'submitting' THEN ponctuel.clock()
                              ELSE m.submitting_at END,
         settled_at = CASE WHEN n.state IN ('accepted','refused','uncertain','cancelled')
                           THEN ponctuel.clock() ELSE m.settled_at END
    FROM news n WHERE m.id = n.id AND m.state = n.was AND m.claim_id = :claim_id
  RETURNING m.id
), bodies AS (
  INSERT INTO ponctuel.message_bodies (message_id, subject, text, html, attachments)
  SELECT n.id, n.subject, n.body, n.html, COALESCE(n.attachments, '[]')
    FROM news n JOIN settled s USING (id) WHERE n.subject IS NOT NULL
  ON CONFLICT (message_id) DO UPDATE
     SET subject = excluded.subject, text = excluded.text, html = excluded.html,
         attachments = excluded.attachments
  RETURNING 1
)
SELECT s.id FROM settled s LEFT JOIN (SELECT count(*) FROM bodies) b ON true
""")

# The commit that marked them went through although its answer was lost: nobody has called yet.
_RECLAIM = text("""
UPDATE ponctuel.messages SET state = 'claimed', submitting_at = NULL
 WHERE claim_id = :claim_id AND state = 'submitting'
   AND id IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:ids AS jsonb)))
""")

_UNCLAIM = text("""
UPDATE ponctuel.messages
   SET state = 'planned', claim_id = NULL,
       claims = CASE WHEN id IN (SELECT CAST(value AS bigint)
                                   FROM jsonb_array_elements_text(CAST(:begun AS jsonb)))
                     THEN greatest(claims - 1, 0) ELSE claims END
 WHERE claim_id = :claim_id AND state = 'claimed'
""")


@dataclass(frozen=True)
class News:
    """What becomes of one claimed message. `was`: the state it must still be in."""

    id: int
    was: str
    state: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Swept:
    """How many messages expired and became uncertain, and whether any is due now."""

    expired: int
    uncertain: int
    due: bool


def sweep(connection: Connection) -> Swept:
    """Expires what is too late and takes back what dead processes left."""
    return Swept(*connection.execute(text(_SWEEP), {"quarantine": QUARANTINE_CLAIMS}).one())


def claim(
    connection: Connection,
    claim_id: UUID,
    *,
    limit: int,
    lifetime: timedelta,
    run_id: UUID | None = None,
) -> list[Claimed]:
    """Claims at most `limit` due messages (of one run, or of all), in the order to send them.
    `lifetime`: how long the claiming process can still live, with a margin."""
    rows = connection.execute(
        text(_CLAIM),
        {
            "claim_id": claim_id,
            "limit": limit,
            "lifetime": lifetime,
            "run_id": run_id,
            "suspect": SUSPECT_CLAIMS,
            "allow_list": allow_list(),
        },
    ).mappings()
    return [Claimed(**row) for row in rows]


NOWHERE = UUID(int=0)


@dataclass(frozen=True)
class Standing:
    """Which messages are still claimed by us, locked, at the database's clock (aware UTC), whether
    the stage is live, and which deployment this is. No ids: no clock either."""

    ids: frozenset[int] = frozenset()
    clock: datetime | None = None
    live: bool = False
    deployment: UUID = NOWHERE


def still_mine(connection: Connection, claim_id: UUID, ids: Sequence[int]) -> Standing:
    """Locks those of these messages that are still ours to send."""
    rows = connection.execute(
        _STILL_MINE, {"claim_id": claim_id, "ids": json.dumps(list(ids))}
    ).all()
    if not rows:
        return Standing()
    return Standing(
        frozenset(row.id for row in rows), rows[0].clock, rows[0].live, rows[0].deployment
    )


def begins(message: Claimed) -> News:
    """The news that this message's letter is about to be written: a death from now on counts."""
    return News(message.id, "claimed", "claimed")


def settle(connection: Connection, claim_id: UUID, news: Sequence[News]) -> set[int]:
    """Writes what became of the messages; returns the ids that were still ours."""
    if not news:
        return set()
    rows = [{"id": n.id, "was": n.was, "state": n.state, **n.fields} for n in news]
    found = connection.execute(_SETTLE, {"claim_id": claim_id, "news": json.dumps(rows)})
    return {row[0] for row in found}


def reclaim(connection: Connection, claim_id: UUID, ids: Sequence[int]) -> None:
    """Takes back messages that were marked *submitting* in vain: this process has not called."""
    connection.execute(_RECLAIM, {"claim_id": claim_id, "ids": json.dumps(list(ids))})


def unclaim(connection: Connection, claim_id: UUID, begun: Collection[int] = ()) -> None:
    """Gives back what was claimed and has no outcome. `begun`: the messages that `begins` counted;
    this process lived on, so that they are not blamed."""
    connection.execute(_UNCLAIM, {"claim_id": claim_id, "begun": json.dumps(sorted(begun))})
