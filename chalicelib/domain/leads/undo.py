"""A confirmation that was a slip is taken back: one conditional UPDATE, as the other acts are."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, text

from chalicelib.domain.leads import proposals
from chalicelib.domain.leads.proposals import Proposal

# In which a confirmation can be taken back.
UNDONE_WITHIN = timedelta(minutes=10)

# What may be taken back: this user's own, while nothing has gone on from it.
_IS_UNDOABLE = f"""(f.state = 'confirmed' AND f.settled_by = 'closer:' || :closer_id
  AND f.settled_at > ponctuel.clock() - interval '{int(UNDONE_WITHIN.total_seconds())} seconds'
  AND NOT EXISTS (
    SELECT 1 FROM ponctuel.lead_followups o
     WHERE o.business_id = f.business_id AND o.lead_id = f.lead_id AND o.id <> f.id
       AND (o.state IN ('planned','proposed','opened')
            OR (o.cycle = f.cycle AND o.number >= f.number AND o.state <> 'cancelled'))))"""
_UNDO = text(f"""
UPDATE ponctuel.lead_followups t
   SET state = CASE WHEN t.opened_at IS NULL THEN 'proposed' ELSE 'opened' END,
       settled_at = NULL, settled_by = NULL
  FROM ({proposals.JUDGED} AND f.id = :id AND {_IS_UNDOABLE}) j
 WHERE t.id = j.id AND t.state = 'confirmed' AND t.settled_at = j.settled_at
RETURNING j.settled_at
""")
# `leads` may be somebody's view: a plain UPDATE. Its date is taken back where it is the one that
# the confirmation set, to that of the one before.
_UNCOUNT = text(f"""
UPDATE ponctuel.leads
   SET followups = greatest(followups - 1, 0),
       last_followup_at = CASE
         WHEN last_followup_at BETWEEN CAST(:counted_at AS timestamptz) - interval '1 second'
                               AND CAST(:counted_at AS timestamptz) + interval '1 second'
         THEN (SELECT max(f.settled_at) FROM ponctuel.lead_followups f
                WHERE f.business_id = leads.business_id AND f.lead_id = leads.id
                  AND f.state = 'confirmed')
         ELSE last_followup_at END {proposals.OF_LEAD}
""")


def undo(
    connection: Connection, business_id: str, closer_id: str, proposal_id: int
) -> Proposal | None:
    """Takes back this user's own confirmation, within `UNDONE_WITHIN` and as long as nothing has
    followed from it: it is to be sent again, and counts no more. None: no proposal of theirs."""
    where = {"business_id": business_id, "closer_id": closer_id, "id": proposal_id}
    counted_at = connection.execute(_UNDO, where).scalar()
    row = connection.execute(proposals.ONE, where).mappings().first()
    if row is None:
        return None
    if counted_at is not None:
        lead = {"business_id": business_id, "lead_id": row["lead_id"], "counted_at": counted_at}
        connection.execute(_UNCOUNT, lead)
    return proposals.proposal_of(row, changed=counted_at is not None)
