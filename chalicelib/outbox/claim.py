"""Taking messages out of the ledger to send them, and giving back those that were not.

A message is *claimed* by one process for as long as that process can live. Whatever a dead process
left is swept: claimed goes back to planned, submitting becomes uncertain. What becomes of claimed
messages is written by `settle`.

`messages.claims` counts the processes that died while this message was being prepared. It goes up
before a letter is written and back when the process lives on; any outcome sets it to zero. Being
claimed counts for nothing: hundreds are, and it is the letter being written that can kill.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from chalicelib.outbox import attention
from chalicelib.outbox.kinds import Claimed
from chalicelib.outbox.plan import ALLOWED, allow_list
from chalicelib.outbox.settle import FIRST_PROOF

# Holds that lift by themselves: the message is looked at again once `not_before` has passed.
RETRIED_HOLDS = (
    *("window", "attachment", "variable", "sender", "template", "guard", "unknown_kind"),
    *("number", "quiet", "cap", "quota", "unsubscribe"),
)
# A message whose letter saw that many processes die is claimed alone, then set aside.
SUSPECT_CLAIMS = 2
QUARANTINE_CLAIMS = 4

_RETRIED = ", ".join(f"'{reason}'" for reason in RETRIED_HOLDS)
_DUE = f"""(m.state = 'planned' OR (m.state = 'held' AND m.hold_reason IN ({_RETRIED})))
   AND m.not_before <= ponctuel.clock() AND m.expires_at > ponctuel.clock()"""

_SWEEP = f"""
WITH late AS (
  UPDATE ponctuel.messages
     SET state = 'expired', key_free = (resends = 0), settled_at = ponctuel.clock()
   WHERE state IN ('planned','held') AND expires_at <= ponctuel.clock() RETURNING id
), lost AS (
  UPDATE ponctuel.messages
     SET state = 'uncertain', settled_at = ponctuel.clock(), error_code = 'answer_lost',
         error = 'Le traitement s''est interrompu pendant l''envoi.',
         proof_at = ponctuel.clock() + :first_proof
   WHERE state = 'submitting' AND claimed_until <= ponctuel.clock() RETURNING id
), dropped AS (
  UPDATE ponctuel.messages
     SET state = CASE WHEN claims >= :quarantine THEN 'held' ELSE 'planned' END,
         hold_reason = CASE WHEN claims >= :quarantine THEN 'quarantine' END, claim_id = NULL,
         counted_at = NULL
   WHERE state = 'claimed' AND claimed_until <= ponctuel.clock() RETURNING id
)
SELECT (SELECT count(*) FROM late) AS expired, (SELECT count(*) FROM lost) AS uncertain,
       EXISTS (SELECT 1 FROM dropped) OR EXISTS (SELECT 1 FROM ponctuel.messages m WHERE {_DUE})
         AS due,
       EXISTS (SELECT 1 FROM ponctuel.messages
                WHERE state = 'uncertain' AND proof_at <= ponctuel.clock()) AS provable,
       EXISTS (SELECT 1 FROM ponctuel.webhook_events e JOIN ponctuel.messages m
                   ON m.provider_id = e.provider_id WHERE e.outcome = 'pending')
         OR EXISTS (SELECT 1 FROM ponctuel.inbound_offers WHERE outcome = 'failed') AS untold,
       {attention.PENDING} AS troubled
"""

# A message `m` waits for an earlier one of its order.
EARLIER = """m.order_key IS NOT NULL AND EXISTS (
       SELECT 1 FROM ponctuel.messages o
        WHERE o.business_id = m.business_id AND o.order_key = m.order_key AND o.id < m.id
          AND (o.state IN ('planned','held','claimed','submitting')
               OR (o.state = 'uncertain' AND o.proof_at IS NOT NULL)))"""

# How many times `limit` are ranked: what somebody is claiming at this moment is skipped, and those
# behind it come in its place. Locking before ranking would write to every message that is due.
RANKED = 4

# Businesses take turns; a message waits for its run's whole plan (a surge is only known then), for
# its job's pause to end, and for the earlier ones of its order. Suspects come last, and alone.
_CLAIM = f"""
WITH due AS (
  SELECT m.id, m.claims >= :suspect AS suspect,
         row_number() OVER (PARTITION BY m.business_id, m.claims >= :suspect
                            ORDER BY m.not_before, m.id) AS nth
    FROM ponctuel.messages m
   WHERE {_DUE} AND m.channel = :channel
     AND (CAST(:run_id AS uuid) IS NULL OR m.run_id = :run_id)
     AND m.business_id NOT IN (SELECT value FROM jsonb_array_elements_text(CAST(:shut AS jsonb)))
     AND NOT ({EARLIER})
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
         claimed_until = ponctuel.clock() + :lifetime, counted_at = ponctuel.clock()
    FROM locked WHERE m.id = locked.id
  RETURNING m.*, locked.nth
)
SELECT t.id, t.business_id, t.kind, t.subject, t.cycle, t.step, t.channel, t.person, t.recipient,
       t.content, t.message_id, t.attempts, t.claims, t.error_code,
       COALESCE((SELECT jsonb_agg(jsonb_build_object('kind', l.kind, 'subject', l.subject,
                                                     'cycle', l.cycle, 'step', l.step))
                   FROM ponctuel.message_lines l WHERE l.message_id = t.id), '[]') AS lines
  FROM taken t ORDER BY t.nth, t.id
"""

_UNCLAIM = text("""
UPDATE ponctuel.messages
   SET state = 'planned', claim_id = NULL, counted_at = NULL,
       claims = CASE WHEN id IN (SELECT CAST(value AS bigint)
                                   FROM jsonb_array_elements_text(CAST(:begun AS jsonb)))
                     THEN greatest(claims - 1, 0) ELSE claims END
 WHERE claim_id = :claim_id AND state = 'claimed'
""")


@dataclass(frozen=True)
class Swept:
    """How many messages expired and became uncertain; whether any is due now, whether a proof is to
    be looked for, and whether something that we were told has not found its place yet."""

    expired: int
    uncertain: int
    due: bool
    provable: bool
    untold: bool
    troubled: bool


def sweep(connection: Connection) -> Swept:
    """Expires what is too late and takes back what dead processes left."""
    values = {"quarantine": QUARANTINE_CLAIMS, "first_proof": FIRST_PROOF}
    return Swept(*connection.execute(text(_SWEEP), values).one())


def claim(
    connection: Connection,
    claim_id: UUID,
    *,
    limit: int,
    lifetime: timedelta,
    channel: str = "email",
    run_id: UUID | None = None,
    shut: Collection[str] = (),
) -> list[Claimed]:
    """Claims at most `limit` due messages of a channel (of one run, or of all), in the order to
    send them. `lifetime`: how long the claiming process can still live, with a margin. `shut`:
    businesses whose sender is left alone for now."""
    rows = connection.execute(
        text(_CLAIM),
        {
            "claim_id": claim_id,
            "limit": limit,
            "lifetime": lifetime,
            "channel": channel,
            "run_id": run_id,
            "shut": json.dumps(sorted(shut)),
            "suspect": SUSPECT_CLAIMS,
            "allow_list": allow_list(),
        },
    ).mappings()
    return [Claimed(**row) for row in rows]


def unclaim(connection: Connection, claim_id: UUID, begun: Collection[int] = ()) -> None:
    """Gives back what was claimed and has no outcome. `begun`: the messages that `begins` counted;
    this process lived on, so that they are not blamed."""
    connection.execute(_UNCLAIM, {"claim_id": claim_id, "begun": json.dumps(sorted(begun))})
