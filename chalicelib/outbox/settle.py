"""Writing what becomes of claimed messages: begun, submitting, answered.

A message is *submitting* from the commit before the call until its answer is committed. A webhook
may be faster than our own answer: it moves the message, and the answer only adds what it knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from chalicelib.outbox.kinds import Claimed

# When a proof is looked for first: a provider may need a moment to show what it took.
FIRST_PROOF = timedelta(minutes=1)

# LIMIT tells PostgreSQL how many there are: for the hundred that it expects otherwise, it reads the
# whole table.
_NEWS = """
  SELECT * FROM jsonb_to_recordset(CAST(:news AS jsonb)) AS n(
    id bigint, was text, state text, hold_reason text, key_free boolean, wait interval,
    until timestamptz, attempts integer, provider text, provider_id text, message_id text,
    error_code text, error text, recipient text, contact text, subject text, body text, html text,
    attachments jsonb, whatsapp jsonb) LIMIT :count
"""

_SETTLE = text(f"""
WITH news AS ({_NEWS}), settled AS (
  UPDATE ponctuel.messages m
     SET state = n.state, hold_reason = n.hold_reason,
         -- What was sent again by its kind's policy may have arrived the first time.
         key_free = COALESCE(n.key_free AND m.resends = 0, m.key_free),
         not_before = COALESCE(n.until, ponctuel.clock() + n.wait, m.not_before),
         attempts = m.attempts + COALESCE(n.attempts, 0),
         claims = CASE n.state WHEN 'claimed' THEN m.claims + 1
                               WHEN 'submitting' THEN m.claims ELSE 0 END,
         claim_id = CASE WHEN n.state IN ('planned','held') THEN NULL ELSE m.claim_id END,
         provider = COALESCE(n.provider, m.provider),
         provider_id = COALESCE(n.provider_id, m.provider_id),
         message_id = COALESCE(n.message_id, m.message_id),
         recipient = COALESCE(n.recipient, m.recipient),
         contact = COALESCE(n.contact, m.contact),
         error_code = n.error_code, error = n.error,
         submitting_at = CASE WHEN n.state = 'submitting' THEN ponctuel.clock()
                              ELSE m.submitting_at END,
         settled_at = CASE WHEN n.state IN ('accepted','refused','uncertain','cancelled')
                           THEN ponctuel.clock() ELSE m.settled_at END,
         counted_at = CASE WHEN n.state NOT IN ('planned','held','refused','cancelled')
                           THEN m.counted_at END,
         proof_at = CASE n.state WHEN 'uncertain' THEN ponctuel.clock() + :first_proof END,
         proofs = CASE n.state WHEN 'submitting' THEN 0 ELSE m.proofs END
    FROM news n
   WHERE m.id = n.id AND m.state = n.was AND m.claim_id = :claim_id
     AND (n.was <> 'claimed' OR m.claimed_until > ponctuel.clock())
  RETURNING m.id
), told AS (
  UPDATE ponctuel.messages m
     SET provider = n.provider, provider_id = COALESCE(m.provider_id, n.provider_id),
         attempts = m.attempts + COALESCE(n.attempts, 0), claims = 0
    FROM news n
   WHERE m.id = n.id AND m.claim_id = :claim_id AND n.was = 'submitting' AND n.state = 'accepted'
     AND m.state IN ('accepted','delivered','failed')
     AND (m.provider_id IS NULL OR m.provider_id = n.provider_id)
  RETURNING m.id
), bodies AS (
  INSERT INTO ponctuel.message_bodies (message_id, subject, text, html, attachments, whatsapp)
  SELECT n.id, n.subject, n.body, n.html, COALESCE(n.attachments, '[]'), n.whatsapp
    FROM news n JOIN settled s USING (id) WHERE n.subject IS NOT NULL
  ON CONFLICT (message_id) DO UPDATE
     SET subject = excluded.subject, text = excluded.text, html = excluded.html,
         attachments = excluded.attachments, whatsapp = excluded.whatsapp
  RETURNING 1
)
SELECT s.id FROM (SELECT id FROM settled UNION ALL SELECT id FROM told) s
  LEFT JOIN (SELECT count(*) FROM bodies) b ON true
""")

_STANDING = text("""
SELECT m.id, ponctuel.clock() AS clock,
       EXISTS (SELECT 1 FROM ponctuel.go_lives WHERE business_id = '*' AND kind = '*') AS live,
       (SELECT d.id FROM ponctuel.deployment d) AS deployment
  FROM ponctuel.messages m
 WHERE m.id = ANY(CAST(:ids AS bigint[]))
   AND m.claim_id = :claim_id AND m.state = 'claimed' AND m.claimed_until > ponctuel.clock()
""")

# The commit that marked them went through although its answer was lost: nobody has called yet.
_RECLAIM = text("""
UPDATE ponctuel.messages SET state = 'claimed', submitting_at = NULL
 WHERE claim_id = :claim_id AND state = 'submitting'
   AND id IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:ids AS jsonb)))
""")


@dataclass(frozen=True)
class News:
    """What becomes of one claimed message. `was`: the state it must still be in."""

    id: int
    was: str
    state: str
    fields: Mapping[str, Any] = field(default_factory=dict)


NOWHERE = UUID(int=0)


@dataclass(frozen=True)
class Standing:
    """Which messages are still claimed by us, at the database's clock (aware UTC), whether the
    stage is live, and which deployment this is. No ids: no clock either."""

    ids: frozenset[int] = frozenset()
    clock: datetime | None = None
    live: bool = False
    deployment: UUID = NOWHERE


def still_mine(connection: Connection, claim_id: UUID, ids: Sequence[int]) -> Standing:
    """Which of these messages are still ours to send. They are not locked: `settle` asks again."""
    rows = connection.execute(_STANDING, {"claim_id": claim_id, "ids": list(ids)}).all()
    if not rows:
        return Standing()
    first = rows[0]
    return Standing(frozenset(row.id for row in rows), first.clock, first.live, first.deployment)


def begins(message: Claimed) -> News:
    """The news that this message's letter is about to be written: a death from now on counts."""
    return News(message.id, "claimed", "claimed")


def settle(connection: Connection, claim_id: UUID, news: Sequence[News]) -> set[int]:
    """Writes what became of the messages; returns the ids that were still ours."""
    if not news:
        return set()
    rows = [{"id": n.id, "was": n.was, "state": n.state, **n.fields} for n in news]
    found = connection.execute(
        _SETTLE,
        {
            "claim_id": claim_id,
            "news": json.dumps(rows),
            "count": len(rows),
            "first_proof": FIRST_PROOF,
        },
    )
    return {row[0] for row in found}


def reclaim(connection: Connection, claim_id: UUID, ids: Sequence[int]) -> None:
    """Takes back messages that were marked *submitting* in vain: this process has not called."""
    if ids:
        connection.execute(_RECLAIM, {"claim_id": claim_id, "ids": json.dumps(list(ids))})
