"""Which mailboxes a run reads."""

from __future__ import annotations

# A mailbox that is well is read in every run, also in one by hand between two ticks; one that
# fails, once its wait is over, or when somebody insists.
MAILBOXES_DUE = """
SELECT m.business_id, CAST(m.id AS text) AS item FROM ponctuel.mailboxes m
  JOIN ponctuel.businesses b ON b.id = m.business_id AND b.active
 WHERE m.state = 'active'
   AND (m.failures = 0 OR m.next_sync_at <= CAST(:now AS timestamptz) OR CAST(:force AS boolean))
"""

# What is left out, and why.
LEFT_OUT = """
SELECT m.business_id, CAST(m.id AS text) AS subject,
       CASE WHEN b.id IS NULL THEN 'business_inactive'
            WHEN m.state <> 'active' THEN m.state
            ELSE 'waiting' END AS reason
  FROM ponctuel.mailboxes m
  LEFT JOIN ponctuel.businesses b ON b.id = m.business_id AND b.active
 WHERE b.id IS NULL OR m.state <> 'active'
    OR NOT (m.failures = 0 OR m.next_sync_at <= CAST(:now AS timestamptz)
            OR CAST(:force AS boolean))
 ORDER BY m.business_id, m.id
"""
