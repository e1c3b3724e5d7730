"""The SQL of invoices' status, of what is settled by itself, and of the daily digest."""

from __future__ import annotations

from datetime import timedelta

from chalicelib.domain.agenda.appointments import APPOINTMENT, NOT_BEGUN, STARTS
from chalicelib.domain.agenda.people import PEOPLE
from chalicelib.domain.agenda.subjects import (
    EARLIEST_DAY,
    ESCALATION,
    ESCALATIONS_DUE,
    INVOICE,
    INVOICE_CYCLE,
    INVOICE_IS_OVERDUE,
    INVOICES,
    LATEST_DAY,
    OWED,
    TASK,
    TASK_CYCLE,
    TASKS,
)

DIGEST = "agenda.digest"
# A digest of the morning is no use at night.
DIGEST_LATE_AFTER = timedelta(hours=12)

INVOICES_NEWLY_OVERDUE = f"""
WITH {PEOPLE}
SELECT i.business_id, i.id AS item
  FROM ponctuel.invoices i JOIN businesses_here b ON b.business_id = i.business_id
 WHERE i.status IN ('sent','partial') AND {OWED} AND i.due_on < b.today
   AND i.due_on < {LATEST_DAY}
"""
# Noted in the ledger, of nobody: who marks an invoice by hand has a reason.
_MARKED = "agenda.invoice_marked"
MARK_OVERDUE = f"""
, noted AS (
  INSERT INTO ponctuel.agenda_told (business_id, kind, subject, cycle, user_id, at, told_at)
  SELECT business_id, '{_MARKED}', item, '', '', ponctuel.clock(), ponctuel.clock() FROM batch
      ON CONFLICT DO NOTHING
)
UPDATE ponctuel.invoices SET status = 'overdue'
 WHERE (business_id, id) IN (SELECT business_id, item FROM batch)
   AND status IN ('sent','partial') AND balance > 0
"""
# From the few that have time again, and not from all that was ever marked.
INVOICES_GIVEN_TIME = f"""
WITH {PEOPLE}, given AS MATERIALIZED (
  SELECT i.business_id, i.id
    FROM ponctuel.invoices i JOIN businesses_here b ON b.business_id = i.business_id
   WHERE i.status = 'overdue' AND i.balance > 0 AND i.due_on >= b.today
     AND i.due_on >= {EARLIEST_DAY}
)
SELECT g.business_id, g.id AS item FROM given g
 WHERE EXISTS (SELECT 1 FROM ponctuel.agenda_told d
                WHERE d.business_id = g.business_id AND d.kind = '{_MARKED}' AND d.subject = g.id)
"""
UNMARK_OVERDUE = f"""
, forgotten AS (
  DELETE FROM ponctuel.agenda_told
   WHERE kind = '{_MARKED}' AND (business_id, subject) IN (SELECT business_id, item FROM batch)
)
UPDATE ponctuel.invoices
   SET status = CASE WHEN balance < total THEN 'partial' ELSE 'sent' END
 WHERE (business_id, id) IN (SELECT business_id, item FROM batch) AND status = 'overdue'
"""

# What was told and is no longer so: paid, done, cancelled, moved, begun, deleted, escalated anew.
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
   AND a.status = 'scheduled' AND {NOT_BEGUN}
   AND {STARTS} = regexp_replace(d.cycle, '/[0-9]+$', '')
 WHERE d.kind = '{APPOINTMENT}' AND a.id IS NULL
UNION
SELECT d.business_id, d.id::text
  FROM told d JOIN told later USING (business_id, kind, subject, user_id)
 WHERE d.kind = '{ESCALATION}' AND later.id > d.id
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
# As the guard asks: none is planned that would say nothing.
_PENDING = " UNION ALL ".join(each.still() for each in (INVOICES, TASKS, ESCALATIONS_DUE))
DIGESTS_DUE = f"""
WITH {PEOPLE}, digests AS MATERIALIZED ({_DIGESTS}), asked AS MATERIALIZED (
  SELECT t.business_id, t.kind, t.subject, t.cycle, t.user_id
    FROM digests d JOIN ponctuel.agenda_told t
      ON t.business_id = d.business_id AND t.user_id = d.user_id AND t.resolved_at IS NULL
   WHERE t.kind <> '{APPOINTMENT}')
SELECT DISTINCT business_id, user_id AS item FROM ({_PENDING}) pending
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
