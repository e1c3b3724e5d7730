"""The SQL of invoices' status, of what is settled by itself, and of the daily digest."""

from __future__ import annotations

from datetime import timedelta

from chalicelib.domain.agenda.people import PEOPLE
from chalicelib.domain.agenda.subjects import (
    APPOINTMENT,
    ESCALATION,
    INVOICE,
    INVOICE_CYCLE,
    INVOICE_IS_OVERDUE,
    STARTS,
    TASK,
    TASK_CYCLE,
)

DIGEST = "agenda.digest"
# A digest of the morning is no use at night.
DIGEST_LATE_AFTER = timedelta(hours=12)

INVOICES_NEWLY_OVERDUE = f"""
WITH {PEOPLE}
SELECT i.business_id, i.id AS item
  FROM ponctuel.invoices i JOIN businesses_here b ON b.business_id = i.business_id
 WHERE i.status IN ('sent','partial') AND i.balance > 0 AND i.due_on < b.today
"""
MARK_OVERDUE = """
UPDATE ponctuel.invoices SET status = 'overdue'
 WHERE (business_id, id) IN (SELECT business_id, item FROM batch)
   AND status IN ('sent','partial') AND balance > 0
"""
# Of those that were told of as overdue: who marks an invoice by hand has a reason.
INVOICES_GIVEN_TIME = f"""
WITH {PEOPLE}
SELECT i.business_id, i.id AS item
  FROM ponctuel.invoices i JOIN businesses_here b ON b.business_id = i.business_id
 WHERE i.status = 'overdue' AND i.balance > 0 AND i.due_on >= b.today
   AND EXISTS (SELECT 1 FROM ponctuel.agenda_told d
                WHERE d.business_id = i.business_id AND d.kind = '{INVOICE}' AND d.subject = i.id)
"""
UNMARK_OVERDUE = """
UPDATE ponctuel.invoices
   SET status = CASE WHEN balance < total THEN 'partial' ELSE 'sent' END
 WHERE (business_id, id) IN (SELECT business_id, item FROM batch) AND status = 'overdue'
"""

# What was told and is no longer so: paid, done, cancelled, moved, begun, deleted.
SETTLED = f"""
WITH {PEOPLE}, told AS (
  SELECT d.* FROM ponctuel.agenda_told d JOIN businesses_here b ON b.business_id = d.business_id
   WHERE d.resolved_at IS NULL)
SELECT d.business_id, d.id::text AS item FROM told d
  LEFT JOIN ponctuel.invoices i ON i.business_id = d.business_id AND i.id = d.subject
   AND {INVOICE_IS_OVERDUE} AND {INVOICE_CYCLE} = d.cycle
 WHERE d.kind = '{INVOICE}' AND i.id IS NULL
UNION ALL
SELECT d.business_id, d.id::text FROM told d
  LEFT JOIN ponctuel.tasks t ON t.business_id = d.business_id AND t.id = d.subject
   AND t.status = 'open' AND {TASK_CYCLE} = regexp_replace(d.cycle, '/[0-9]+$', '')
   AND (t.critical OR d.kind <> '{ESCALATION}')
 WHERE d.kind IN ('{TASK}', '{ESCALATION}') AND t.id IS NULL
UNION ALL
SELECT d.business_id, d.id::text FROM told d
  LEFT JOIN ponctuel.appointments a ON a.business_id = d.business_id AND a.id = d.subject
   AND a.status = 'scheduled' AND a.starts_at > CAST(:now AS timestamptz)
   AND {STARTS} = regexp_replace(d.cycle, '/[0-9]+$', '')
 WHERE d.kind = '{APPOINTMENT}' AND a.id IS NULL
"""

# The day of the digest: today from its hour on, else the one before.
_DAY = "(CASE WHEN p.clock >= p.digest_at THEN p.today ELSE p.today - 1 END)"
_LATE = """(p.clock - p.digest_at
            + CASE WHEN p.clock >= p.digest_at THEN interval '0' ELSE interval '24 hours' END)"""
_DIGESTS = f"""
SELECT p.business_id, p.user_id, p.email, {_DAY} AS day FROM people p
 WHERE p.digest AND p.by_email AND p.email IS NOT NULL
   AND {_LATE} <= interval '{DIGEST_LATE_AFTER.seconds // 3600} hours'
   AND NOT EXISTS (SELECT 1 FROM ponctuel.messages m
                    WHERE m.business_id = p.business_id AND m.kind = '{DIGEST}'
                      AND m.subject = p.user_id AND m.cycle = {_DAY}::text AND m.step = ''
                      AND NOT m.key_free)
"""
DIGESTS_DUE = f"""
WITH {PEOPLE}
SELECT d.business_id, d.user_id AS item FROM ({_DIGESTS}) d
 WHERE EXISTS (SELECT 1 FROM ponctuel.agenda_told t
                WHERE t.business_id = d.business_id AND t.user_id = d.user_id
                  AND t.resolved_at IS NULL)
"""
PLAN_DIGESTS = f"""
WITH {PEOPLE}
SELECT d.business_id, '{DIGEST}' AS kind, d.user_id AS subject, d.day::text AS cycle, '' AS step,
       'email' AS channel, 'user:' || d.user_id AS person, d.email AS recipient,
       CAST('{{}}' AS jsonb) AS content, CAST(:now AS timestamptz) AS not_before,
       CAST(:now AS timestamptz) + interval '{DIGEST_LATE_AFTER.seconds // 3600} hours'
         AS expires_at,
       CAST(NULL AS jsonb) AS lines, CAST(NULL AS text) AS order_key
  FROM ({_DIGESTS}) d WHERE (d.business_id, d.user_id) IN (SELECT business_id, item FROM batch)
"""
