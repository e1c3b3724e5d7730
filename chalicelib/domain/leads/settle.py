"""The effect that ends what is over: proposals nobody took up or that are no longer wanted, and
messages of which it is known what became of them.

A message counts on its lead once a provider has accepted it. One that was refused, or never left,
counts for nothing, and the next number comes at its time: nobody is hammered.

One that waits for its hours while its lead goes on to another stage is over at once: a lead has one
follow-up under way, and that of its new stage must not wait for a message that will not leave.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection, text

from chalicelib.domain.billing.facts import PROOF_WINDOW
from chalicelib.domain.leads.facts import FOLLOWUP
from chalicelib.domain.leads.standing import CLOSER, CYCLE, OVER
from chalicelib.runner.job import Batch, Outcome, Preview, Run

_SENT = f"""(m.state IN ('accepted','delivered') OR (m.state = 'uncertain'
  AND m.submitting_at <= ponctuel.clock() - {PROOF_WINDOW}))"""
# The message of a follow-up `f`, as `m`.
MESSAGE = f"""
          LEFT JOIN LATERAL (
            SELECT * FROM ponctuel.messages o
             WHERE f.mode = 'api' AND o.business_id = f.business_id AND o.kind = '{FOLLOWUP}'
               AND o.subject = f.lead_id AND o.cycle = f.cycle AND o.step = f.number::text
               AND NOT o.key_free LIMIT 1) m ON true"""
# Of a follow-up under way: since when a provider has its message, before a run counts it.
ACCEPTED_AT = f"CASE WHEN f.state = 'planned' AND {_SENT} THEN m.submitting_at END"
# The new state of an active follow-up `f`, its lead `l` and its message `m`; null: it goes on.
# The guard cancels a message of another cycle when its time comes (`queries.REREAD`).
_JUDGED = f"""
SELECT j.*, CASE
         WHEN j.mode = 'api' THEN
           CASE WHEN j.message IS NULL THEN 'cancelled' WHEN j.sent THEN 'confirmed'
                WHEN j.message IN ('refused','failed','cancelled','expired') THEN 'skipped'
                WHEN j.moved AND j.message IN ('planned','held') THEN 'cancelled' END
         WHEN j.over IS NOT NULL THEN 'cancelled'
         WHEN j.expires_at <= CAST(:now AS timestamptz) THEN 'expired'
         WHEN j.state = 'proposed' AND j.closer_id IS DISTINCT FROM j.closer_now THEN 'cancelled'
       END AS becomes
  FROM (SELECT f.id, f.business_id, f.lead_id, f.number, f.mode, f.state, f.closer_id,
               f.expires_at, {CLOSER} AS closer_now, {OVER} AS over,
               ({CYCLE}) IS DISTINCT FROM f.cycle AS moved, m.state AS message,
               {_SENT} AS sent, m.submitting_at, m.error_code
          FROM ponctuel.lead_followups f
          LEFT JOIN ponctuel.leads l ON l.business_id = f.business_id AND l.id = f.lead_id{MESSAGE}
         WHERE f.state IN ('planned','proposed','opened') {{where}}) j
"""
ITEMS = f"""
SELECT business_id, id::text AS item FROM ({_JUDGED.format(where="")}) d WHERE becomes IS NOT NULL
"""
_OF_BATCH = _JUDGED.format(
    where="AND (f.business_id, f.id::text) IN (SELECT business_id, item FROM batch)"
)
_SETTLE = f"""
WITH batch AS ({{batch}}), judged AS ({_OF_BATCH})
UPDATE ponctuel.lead_followups t
   SET state = d.becomes, settled_by = 'run',
       settled_at = CASE WHEN d.becomes = 'confirmed' THEN d.submitting_at
                         ELSE ponctuel.clock() END,
       reason = CASE WHEN d.becomes IN ('confirmed','expired') THEN NULL
                     WHEN d.mode = 'api' THEN COALESCE(d.over, d.error_code, d.message, 'withdrawn')
                     ELSE COALESCE(d.over, 'handed_over') END
  FROM judged d
 WHERE t.id = d.id AND t.state = d.state AND d.becomes IS NOT NULL
RETURNING t.business_id, t.lead_id, t.mode, t.state, t.settled_at
"""
# `leads` may be somebody's view.
_COUNT = text("""
UPDATE ponctuel.leads
   SET followups = followups + 1,
       last_followup_at = greatest(last_followup_at, (
         SELECT max(s.at) FROM jsonb_to_recordset(CAST(:sent AS jsonb))
                AS s(business_id text, id text, at timestamptz)
          WHERE s.business_id = leads.business_id AND s.id = leads.id))
 WHERE (business_id, id) IN (SELECT s.business_id, s.id
          FROM jsonb_to_recordset(CAST(:sent AS jsonb)) AS s(business_id text, id text))
""")
_PREVIEW = f"""
WITH batch AS ({{batch}}), judged AS ({_OF_BATCH})
SELECT business_id, lead_id, number, becomes FROM judged WHERE becomes IS NOT NULL ORDER BY id
"""
COUNTED_AS = {
    "confirmed": "followups_sent",
    "skipped": "followups_unsent",
    "expired": "proposals_expired",
    "cancelled": "proposals_cancelled",
}


@dataclass(frozen=True)
class Settle:
    def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome:
        statement = text(_SETTLE.replace("{batch}", batch.cte))
        settled = connection.execute(statement, batch.parameters).mappings().all()
        sent = [
            {
                "business_id": row["business_id"],
                "id": row["lead_id"],
                "at": row["settled_at"].isoformat(),
            }
            for row in settled
            if row["state"] == "confirmed"
        ]
        if sent:
            connection.execute(_COUNT, {"sent": json.dumps(sent)})
        return Outcome(Counter(COUNTED_AS[row["state"]] for row in settled))

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        statement = text(_PREVIEW.replace("{batch}", batch.cte))
        rows = connection.execute(statement, batch.parameters).mappings()
        return Preview(
            changes=[
                {
                    "change": COUNTED_AS[row["becomes"]],
                    "business_id": row["business_id"],
                    "subject": row["lead_id"],
                    "number": row["number"],
                }
                for row in rows
            ]
        )
