"""Uncertain messages: the provider was called, and its answer was lost.

Proof that they were accepted is looked for on a schedule, because nothing found soon after the call
proves nothing. When the kind's proof window is over its policy decides: sent again, once, or left
to an operator. No row is locked while a provider is asked; what was found is written only if the
message is still uncertain about the same call, since webhooks and operators settle it too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.errors import NotFound
from chalicelib.outbox import kinds
from chalicelib.outbox.proofs import APART, Doubt, Found, ProofSource, Search, judge
from chalicelib.runner.deadline import Deadline

BATCH = 200
# After so many searches, the next one. The first is the minute after the call was lost.
WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 4, 8, 15, 30, 60, 120))
# A process that died while it searched: others go on after that long.
LEASE = timedelta(minutes=5)
# `claimed_until` has a margin of its own; a policy's second copy can wait for another one.
SURELY_DEAD = timedelta(minutes=2)

_APART, _LEASE, _SURELY_DEAD = (
    f"interval '{duration.total_seconds()} seconds'" for duration in (APART, LEASE, SURELY_DEAD)
)

# Whether there is anything to do, for a statement that is made anyway.
PENDING = """EXISTS (SELECT 1 FROM ponctuel.messages
                      WHERE state = 'uncertain' AND proof_at <= ponctuel.clock())"""

# With those that are due come others to the same person at the same time, to see whether what is
# found could be theirs.
_TAKE = text(f"""
WITH due AS (
  SELECT id FROM ponctuel.messages
   WHERE state = 'uncertain' AND proof_at <= ponctuel.clock()
   ORDER BY proof_at, id LIMIT :limit FOR UPDATE SKIP LOCKED
), taken AS (
  UPDATE ponctuel.messages m SET proof_at = ponctuel.clock() + {_LEASE}
    FROM due WHERE m.id = due.id
  RETURNING m.id, m.kind, m.channel, m.provider, m.contact, m.message_id, m.submitting_at, m.proofs,
            m.proof_at
), looked_at AS (
  SELECT t.*, true AS due FROM taken t
  UNION ALL
  SELECT m.id, m.kind, m.channel, m.provider, m.contact, m.message_id, m.submitting_at, m.proofs,
         m.proof_at, false
    FROM ponctuel.messages m
   WHERE m.state = 'uncertain' AND m.channel = 'whatsapp' AND m.id NOT IN (SELECT id FROM due)
     AND EXISTS (SELECT 1 FROM taken t WHERE t.channel = m.channel AND t.contact = m.contact
                    AND m.submitting_at BETWEEN t.submitting_at - {_APART}
                                            AND t.submitting_at + {_APART})
)
SELECT l.id, l.kind, l.channel, l.provider, l.contact, l.message_id, l.submitting_at AS called_at,
       l.proofs, l.due, l.proof_at AS leased_until, b.text, b.whatsapp
  FROM looked_at l LEFT JOIN ponctuel.message_bodies b ON b.message_id = l.id
 ORDER BY l.due DESC, l.submitting_at, l.id
""")

_OWNERS = text("""
SELECT provider_id, array_agg(id) AS ids FROM ponctuel.messages
 WHERE provider_id IN (SELECT jsonb_array_elements_text(CAST(:provider_ids AS jsonb)))
 GROUP BY provider_id
""")

# Asked again here: whoever may own it may have come since, and a call that is under way has not
# said yet what is its own. Of what was sent again nobody knows all the copies.
_PROVE = text(f"""
WITH news AS (
  SELECT * FROM jsonb_to_recordset(CAST(:news AS jsonb)) AS n(
    id bigint, called_at timestamptz, state text, provider text, provider_id text, error_code text,
    error text, reason text)
), proved AS (
  UPDATE ponctuel.messages m
     SET state = n.state, provider = n.provider, settled_at = ponctuel.clock(), proof_at = NULL,
         provider_id = COALESCE(n.provider_id, m.provider_id), proofs = m.proofs + 1,
         error_code = n.error_code, error = n.error
    FROM news n
   WHERE m.id = n.id AND m.state = 'uncertain' AND m.submitting_at = n.called_at
     AND (n.provider_id IS NULL OR NOT EXISTS (
       SELECT 1 FROM ponctuel.messages o WHERE o.provider_id = n.provider_id AND o.id <> m.id))
     AND (n.provider_id IS NULL OR NOT EXISTS (
       SELECT 1 FROM ponctuel.messages o
       CROSS JOIN LATERAL (
         SELECT o.submitting_at BETWEEN m.submitting_at - {_APART} AND m.submitting_at + {_APART}
                  AS then) called
        WHERE o.contact = m.contact AND o.channel = m.channel AND o.id <> m.id
          AND ((called.then AND o.state IN ('submitting','uncertain') AND o.provider_id IS NULL
                AND o.id NOT IN (SELECT CAST(value AS bigint)
                                   FROM jsonb_array_elements_text(CAST(:searched AS jsonb))))
            OR EXISTS (
              SELECT 1 FROM ponctuel.message_events e
               WHERE e.message_id = o.id AND e.event IN ('resent','resent_by_policy')
                 AND (called.then OR e.at >= m.submitting_at - {_APART})))))
  RETURNING m.id, m.state, n.reason
), recorded AS (
  INSERT INTO ponctuel.message_events (message_id, at, event, actor, reason)
  SELECT id, ponctuel.clock(), 'proved', 'reconcile', reason FROM proved RETURNING 1
)
SELECT id, state, (SELECT count(*) FROM recorded) AS recorded FROM proved
""")

# What is too late is not sent again: it would be closed with its key free, as if it had never left.
_LOOK_AGAIN = text(f"""
WITH news AS (
  SELECT n.*, m.submitting_at + n.window <= ponctuel.clock() AS over,
         n.resend AND m.resends = 0 AND m.expires_at > ponctuel.clock() AS resendable,
         COALESCE(m.claimed_until + {_SURELY_DEAD} <= ponctuel.clock(), true) AS dead
    FROM jsonb_to_recordset(CAST(:news AS jsonb)) AS n(
           id bigint, called_at timestamptz, leased_until timestamptz, asked boolean, wait interval,
           "window" interval, resend boolean)
    JOIN ponctuel.messages m ON m.id = n.id
), decided AS (
  SELECT n.*, CASE WHEN NOT n.asked THEN 'not_asked' WHEN NOT n.over THEN 'later'
                   WHEN NOT n.resendable THEN 'unproved' WHEN NOT n.dead THEN 'waiting'
                   ELSE 'resent' END AS outcome
    FROM news n
), written AS (
  UPDATE ponctuel.messages m
     SET proofs = m.proofs + CASE WHEN d.asked THEN 1 ELSE 0 END,
         proof_at = CASE d.outcome
           WHEN 'not_asked' THEN ponctuel.clock()
           WHEN 'later' THEN least(ponctuel.clock() + d.wait, m.submitting_at + d.window)
           WHEN 'waiting' THEN m.claimed_until + {_SURELY_DEAD} END,
         state = CASE d.outcome WHEN 'resent' THEN 'planned' ELSE m.state END,
         resends = m.resends + CASE d.outcome WHEN 'resent' THEN 1 ELSE 0 END,
         not_before = CASE d.outcome WHEN 'resent' THEN ponctuel.clock() ELSE m.not_before END,
         attempts = CASE d.outcome WHEN 'resent' THEN 0 ELSE m.attempts END,
         claims = CASE d.outcome WHEN 'resent' THEN 0 ELSE m.claims END,
         claim_id = CASE d.outcome WHEN 'resent' THEN NULL ELSE m.claim_id END,
         settled_at = CASE d.outcome WHEN 'resent' THEN NULL ELSE m.settled_at END,
         error_code = CASE d.outcome WHEN 'resent' THEN NULL ELSE m.error_code END,
         error = CASE d.outcome WHEN 'resent' THEN NULL ELSE m.error END
    FROM decided d
   WHERE m.id = d.id AND m.state = 'uncertain' AND m.submitting_at = d.called_at
     AND m.proof_at = d.leased_until
  RETURNING m.id, d.outcome
), recorded AS (
  INSERT INTO ponctuel.message_events (message_id, at, event, actor, reason)
  SELECT id, ponctuel.clock(), CASE outcome WHEN 'resent' THEN 'resent_by_policy'
                                            ELSE 'unproved' END, 'reconcile', ''
    FROM written WHERE outcome IN ('resent','unproved') RETURNING 1
)
SELECT id, outcome, (SELECT count(*) FROM recorded) AS recorded FROM written
""")


@dataclass(frozen=True)
class _Policy:
    window: timedelta
    resend: bool


def reconcile(
    engine: Engine, sources: Sequence[ProofSource], deadline: Deadline, *, limit: int = BATCH
) -> Counter[str]:
    """Looks for proof of at most `limit` uncertain messages that are due for it. Returns how many
    were `proved` (accepted), `failed` (accepted, then came to nothing), `resent` by their kind's
    policy, `unproved` (left to an operator), and are looked at again: `later`, `waiting` (for their
    claimer to be surely dead) or `not_asked` (the deadline was near). Raises
    `DatabaseUnavailable`."""
    with transaction(engine) as connection:
        doubts = _take(connection, limit)
    if not doubts:
        return Counter()
    found = _search(sources, doubts, deadline)
    counts: Counter[str] = Counter()
    with transaction(engine) as connection:
        proofs = judge(found, _owners(connection, found))
        searched = [message for message, several in found.items() if several is not None]
        proved = _prove(connection, doubts, proofs, searched)
        counts.update("failed" if state == "failed" else "proved" for state in proved.values())
        rest = [doubt for doubt in doubts if doubt.due and doubt.id not in proved]
        again = _look_again(connection, rest, found)
        counts.update(again.values())
    for message, outcome in again.items():
        if outcome in ("resent", "unproved"):
            logs.warning("message_not_proved", message=message, outcome=outcome)
    logs.info("uncertain_reconciled", **counts)
    return counts


def next_search(proofs: int) -> timedelta:
    """How long to wait after that many searches."""
    return WAITS[min(proofs, len(WAITS) - 1)]


def _take(connection: Connection, limit: int) -> list[Doubt]:
    return [Doubt(**row) for row in connection.execute(_TAKE, {"limit": limit}).mappings()]


def _search(sources: Sequence[ProofSource], doubts: Sequence[Doubt], deadline: Deadline) -> Search:
    """What was found of each; nobody can be asked about a channel that has no source."""
    channels = {source.channel for source in sources}
    found: dict[int, Sequence[Found] | None] = {
        doubt.id: None for doubt in doubts if doubt.channel not in channels
    }
    for source in sources:
        asked = [doubt for doubt in doubts if doubt.channel == source.channel]
        if not asked:
            continue
        try:
            found.update(source.search(asked, deadline))
        except Exception as error:  # noqa: BLE001 - per-item isolation: one channel, not the others
            logs.error("proof_search_failed", channel=source.channel, error=error)
            found.update(dict.fromkeys((doubt.id for doubt in asked), None))
    return found


def _owners(connection: Connection, found: Search) -> dict[str, Sequence[int]]:
    traces = [one for several in found.values() for one in several or ()]
    ids = {trace.provider_id for trace in traces if trace.provider_id}
    if not ids:
        return {}
    rows = connection.execute(_OWNERS, {"provider_ids": json.dumps(sorted(ids))})
    return {row.provider_id: row.ids for row in rows}


def _prove(
    connection: Connection,
    doubts: Sequence[Doubt],
    proofs: Mapping[int, Found],
    searched: Sequence[int],
) -> dict[int, str]:
    """Writes what was proved; returns the states by message. `searched`: whose own traces are
    known, so that what is left to another is not theirs."""
    news = [
        {
            "id": doubt.id,
            "called_at": doubt.called_at.isoformat(),
            "state": "accepted" if proof.error_code is None else "failed",
            "provider": proof.provider,
            "provider_id": proof.provider_id,
            "error_code": proof.error_code,
            "error": proof.error,
            "reason": proof.where,
        }
        for doubt in doubts
        if doubt.due and (proof := proofs.get(doubt.id)) is not None
    ]
    if not news:
        return {}
    values = {"news": json.dumps(news), "searched": json.dumps(searched)}
    return {row.id: row.state for row in connection.execute(_PROVE, values)}


def _look_again(connection: Connection, doubts: Sequence[Doubt], found: Search) -> dict[int, str]:
    """Writes when the others are looked at again, or what their kind's policy makes of them;
    returns the outcomes by message."""
    if not doubts:
        return {}
    news: list[dict[str, Any]] = []
    for doubt in doubts:
        assert doubt.leased_until is not None, "it was taken"
        policy = _policy(doubt.kind)
        news.append(
            {
                "id": doubt.id,
                "called_at": doubt.called_at.isoformat(),
                "leased_until": doubt.leased_until.isoformat(),
                "asked": doubt.id in found,
                "wait": _interval(next_search(doubt.proofs + 1)),
                "window": _interval(policy.window),
                "resend": policy.resend,
            }
        )
    written = connection.execute(_LOOK_AGAIN, {"news": json.dumps(news)})
    return {row.id: row.outcome for row in written}


def _policy(kind: str) -> _Policy:
    """A kind that this code does not know (any more) is left to an operator."""
    try:
        known = kinds.load(kind)
    except NotFound:
        return _Policy(timedelta(hours=24), resend=False)
    return _Policy(known.proof_window, known.when_unknown == "resend")


def _interval(duration: timedelta) -> str:
    return f"{duration.total_seconds()} seconds"
