"""What delivering would do now, for its dry run: who would be written to, and who still waits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.outbox.claim import EARLIER, RETRIED_HOLDS
from chalicelib.outbox.operator import HOLDS
from chalicelib.outbox.plan import ALLOWED, allow_list
from chalicelib.runner.job import Preview, Run
from chalicelib.settings import settings

# Of the messages that are due and of those that wait; what is beyond is like the first of them.
MOST = 1000

# Why a message does not leave, besides its hold. `submitting` is settled by whoever called.
WAITS: Mapping[str, str] = {
    **HOLDS,
    "claimed": "pris en charge par un envoi en cours",
    "submitting": "en cours d'envoi",
    "job_paused": "le job qui l'a prévu est en pause",
    "planning": "l'exécution qui l'a prévu n'a pas fini de prévoir",
    "retry": "attend un nouvel essai",
    "order": "attend un message plus ancien de la même suite",
    "no_channel": "ce canal n'est pas configuré : WHATSAPP_URL ou MAIL_URL manque",
}

_RETRIED = ", ".join(f"'{reason}'" for reason in RETRIED_HOLDS)

# The order of the whens is that in which `claim` would find a reason to leave the message alone.
_JUDGED = f"""
WITH judged AS (
  SELECT m.*, CASE
    WHEN m.state = 'submitting' THEN
      CASE WHEN m.claimed_until <= :now THEN 'lost' ELSE 'submitting' END
    WHEN m.state = 'claimed' AND m.claimed_until > :now THEN 'claimed'
    WHEN m.expires_at <= :now THEN 'expired'
    WHEN m.state = 'held' AND m.hold_reason NOT IN ({_RETRIED}) THEN m.hold_reason
    WHEN m.not_before > :now THEN
      CASE m.state WHEN 'held' THEN m.hold_reason ELSE 'retry' END
    WHEN s.paused_at IS NOT NULL THEN 'job_paused'
    WHEN r.finished_at IS NULL AND r.status <> 'queued' AND r.step IS DISTINCT FROM 'delivery'
    THEN 'planning'
    WHEN NOT (m.business_id = '' OR EXISTS (SELECT 1 FROM ponctuel.go_lives g
                                             WHERE g.business_id = '*' AND g.kind = '*')
              OR {ALLOWED.format(recipient="m.recipient")}) THEN 'stage'
    WHEN m.channel NOT IN (SELECT value FROM jsonb_array_elements_text(CAST(:channels AS jsonb)))
    THEN 'no_channel'
    WHEN {EARLIER} THEN 'order'
  END AS waits
    FROM ponctuel.messages m
    LEFT JOIN ponctuel.runs r ON r.id = m.run_id
    LEFT JOIN ponctuel.job_state s ON s.job = r.job AND s.zone = r.zone
   WHERE m.state IN ('planned','held','claimed','submitting')
), ranked AS (
  SELECT j.*, row_number() OVER (PARTITION BY waits IS NULL, business_id
                                 ORDER BY not_before, id) AS nth
    FROM judged j
)
SELECT id, business_id, kind, subject, cycle, step, channel, person, recipient, content,
       not_before, expires_at, state, attempts, message_id, waits,
       content->>'number' AS number,
       (SELECT jsonb_agg(jsonb_build_object('kind', l.kind, 'subject', l.subject,
                                            'cycle', l.cycle, 'step', l.step))
          FROM ponctuel.message_lines l WHERE l.message_id = ranked.id) AS lines
  FROM ranked WHERE (waits IS NULL) = :due ORDER BY nth, id LIMIT :limit
"""
_KEPT = (
    "id",
    "business_id",
    "kind",
    "subject",
    "cycle",
    "step",
    "channel",
    "person",
    "recipient",
    "content",
    "state",
    "attempts",
    "message_id",
    "lines",
)
# What the sweep before a delivery does to a message that waits.
_SWEPT = {"expired": "expired", "lost": "uncertain"}


def preview(connection: Connection, run: Run) -> Preview:
    """The messages that would leave at `run.now`, in their order; those that wait, with the reason;
    and those that would be closed as too late or uncertain. Reads only."""
    changes: list[Mapping[str, Any]] = []
    left_out: list[Mapping[str, Any]] = []
    for row in _rows(connection, run.now, due=False):
        if row["waits"] in _SWEPT:
            changed = {"change": _SWEPT[row["waits"]], "business_id": row["business_id"]}
            changes.append(changed | {"subject": row["number"] or row["subject"], "id": row["id"]})
        else:
            left_out.append(_waiting(row, run.now))
    messages = [
        {name: row[name] for name in _KEPT}
        | {"not_before": row["not_before"].isoformat(), "expires_at": row["expires_at"].isoformat()}
        | {"hold_reason": None}
        for row in _rows(connection, run.now, due=True)
    ]
    return Preview(changes=changes, messages=messages, left_out=left_out)


def _rows(connection: Connection, now: datetime, *, due: bool) -> list[Mapping[Any, Any]]:
    current = settings()
    addresses = {"email": current.mail_url, "whatsapp": current.whatsapp_url}
    values = {
        "now": now,
        "due": due,
        "limit": MOST,
        "allow_list": allow_list(),
        "channels": json.dumps([name for name, address in addresses.items() if address]),
    }
    return list(connection.execute(text(_JUDGED), values).mappings())


def _waiting(row: Mapping[Any, Any], now: datetime) -> dict[str, Any]:
    until = row["not_before"] if row["not_before"] > now + timedelta(seconds=1) else None
    return {
        "id": row["id"],
        "business_id": row["business_id"],
        "subject": row["subject"],
        "number": row["number"],
        "level": row["step"],
        "state": row["state"],
        "reason": row["waits"],
        "why": WAITS.get(row["waits"], row["waits"]),
        "until": until.isoformat() if until else None,
    }
