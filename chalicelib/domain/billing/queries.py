"""The SQL of relances: what is due, what is left out and why, what the guard reads again.

Invoices and quotes are read as one relation, `documents`. `facts` adds, for each, its business,
customer, history and next level. Planning, explaining and guarding select from the same `facts`.

Effective date of the next level = max(anchor + delay, day the last level went out + the distance
between the two levels, day the invoice was re-opened, issue + courtesy days): after an outage the
levels follow each other at their normal pace, without a burst.
"""

from __future__ import annotations

from datetime import timedelta

from chalicelib.domain.billing import conditions

INVOICE = "billing.invoice_followup"
LETTER = "billing.invoice_letter"
QUOTE = "billing.quote_followup"
KINDS = f"('{INVOICE}', '{LETTER}', '{QUOTE}')"

# A relance that could not leave within a week is no longer the one that is due.
LATE_AFTER = timedelta(days=7)
# How long an uncertain message waits for a proof before its level counts as gone out.
PROOF_WINDOW = "interval '24 hours'"

# A level that did not go out and waits for the owner. What expired without having been tried, or
# while it was not allowed to leave (review, pause, no mail server), is simply planned again.
# `{v}` is a message or a row of `coverage`.
WENT_WRONG = """({v}.state IN ('refused','failed')
  OR ({v}.state = 'cancelled' AND {v}.error_code = 'cancelled_by_operator')
  OR ({v}.state = 'expired' AND ({v}.attempts > 0 OR {v}.hold_reason IN
      ('attachment','variable','sender','template','guard','quarantine'))))"""

# Other people's tables hold anything: what no calendar or account holds is read as missing, so that
# one row cannot stop the statement for everybody.
_DAY = "CASE WHEN {0} BETWEEN '1900-01-01' AND '2999-12-31' THEN {0} END"
_AMOUNT = "CASE WHEN {0} BETWEEN -1e12 AND 1e12 THEN {0} END"
# Ten years in days; `least` alone would turn a missing value into the limit.
_DAYS = "CASE WHEN {0} < -3650 THEN -3650 WHEN {0} > 3650 THEN 3650 ELSE {0} END"

DOCUMENTS = f"""
SELECT 'invoice' AS document, '{INVOICE}' AS kind, i.business_id, i.id, i.number, i.customer_id,
       {_DAY.format("i.issued_on")} AS issued_on, {_DAY.format("i.due_on")} AS due_on, i.currency,
       {_AMOUNT.format("i.total")} AS total, {_AMOUNT.format("i.balance")} AS remaining,
       i.cycle::text AS cycle, {_DAY.format("i.reopened_on")} AS reopened_on, i.policy, i.pdf_key,
       i.auto_enabled, i.disputed, CASE WHEN i.promised_until < '2999-12-31' THEN i.promised_until
            WHEN i.promised_until IS NOT NULL THEN date '2999-12-31' END AS promised_until,
       i.status IN ('sent','partial','overdue') AS open
  FROM ponctuel.invoices i {{invoices}}
UNION ALL
SELECT 'quote', '{QUOTE}', q.business_id, q.id, q.number, q.customer_id,
       {_DAY.format("q.issued_on")}, {_DAY.format("q.valid_until")}, q.currency,
       {_AMOUNT.format("q.total")}, {_AMOUNT.format("q.total")}, q.version::text, NULL::date,
       q.policy, q.pdf_key, q.auto_enabled, false, NULL::date, q.status = 'sent'
  FROM ponctuel.quotes q {{quotes}}
"""

# Redundant with the conditions, and what lets PostgreSQL use the partial indexes.
CHASED_INVOICES = "i.status IN ('sent','partial','overdue') AND i.auto_enabled AND i.balance > 0"
CHASED_QUOTES = "q.status = 'sent' AND q.auto_enabled"

# What is known of a document's levels: its messages, and what the owner decided about them.
HISTORY = f"""
SELECT max(e.level) FILTER (WHERE e.passed) AS last_level,
       (array_agg(e.at ORDER BY e.level DESC) FILTER (WHERE e.passed))[1] AS last_at,
       max(e.level) FILTER (WHERE e.problem) AS problem_level,
       COALESCE(bool_or(e.in_flight), false) AS in_flight,
       COALESCE(bool_or(e.stop), false) AS stopped
  FROM (
    SELECT v.step::integer AS level,
           v.state IN ('accepted','delivered') OR (v.state = 'uncertain'
             AND v.submitting_at <= ponctuel.clock() - {PROOF_WINDOW}) AS passed,
           v.submitting_at AS at,
           v.state IN ('planned','held','claimed','submitting') OR (v.state = 'uncertain'
             AND v.submitting_at > ponctuel.clock() - {PROOF_WINDOW}) AS in_flight,
           {WENT_WRONG.format(v="v")} AND NOT EXISTS (
             SELECT 1 FROM ponctuel.followup_decisions x
              WHERE x.business_id = d.business_id AND x.document = d.document
                AND x.document_id = d.id AND x.cycle = d.cycle AND x.level = v.step::integer
                AND x.decided_at >= v.settled_at) AS problem,
           false AS stop
      FROM ponctuel.coverage v
     WHERE v.business_id = d.business_id AND v.kind = d.kind AND v.subject = d.id
       AND v.cycle = d.cycle
    UNION ALL
    SELECT x.level, x.decision = 'skip', x.decided_at, false, false, x.decision = 'stop'
      FROM ponctuel.followup_decisions x
     WHERE x.business_id = d.business_id AND x.document = d.document AND x.document_id = d.id
       AND x.cycle = d.cycle AND x.decision IN ('skip','stop')
  ) e
"""

_ANCHOR = "CASE l.anchor WHEN 'issue' THEN d.issued_on ELSE d.due_on END"

# A notice that is meant to come before the due date is of no use after it: the next level counts.
NEXT_LEVEL = f"""
SELECT l.level, l.tone, l.channel, l.attach_pdf, l.anchor, l.delay_days,
       {_ANCHOR} + {_DAYS.format("l.delay_days")} AS scheduled_on
  FROM ponctuel.followup_levels l
 WHERE l.business_id = d.business_id AND l.document = d.document
   AND l.policy = COALESCE(d.policy, c.policy, 'standard')
   AND l.level > COALESCE(h.last_level, 0)
   AND NOT (d.document = 'invoice' AND l.anchor = 'due' AND l.delay_days <= 0
            AND d.due_on < k.today)
 ORDER BY l.level LIMIT 1
"""

FACTS = f"""
SELECT d.*, COALESCE(d.policy, c.policy, 'standard') AS level_policy, b.active,
       b.name AS business_name, b.sender_name, b.sender_email, b.reply_to, b.phone, b.address,
       b.siret, b.iban, s.followups_enabled, s.group_by_customer,
       {_DAYS.format("s.min_interval_days")} AS min_interval_days,
       s.tolerance, s.payments_synced_at, s.late_penalty_rate,
       {_DAYS.format("s.max_payment_age_hours")} AS max_payment_age_hours,
       c.name AS customer_name, c.customer_type, c.emails, c.auto_enabled AS customer_auto,
       c.paused_until, c.insolvency, k.today, k.opens_at, h.last_level, h.problem_level,
       h.in_flight, h.stopped, n.level, n.tone, n.channel, n.attach_pdf, n.delay_days,
       n.scheduled_on, p.contacted_on,
       greatest(
         n.scheduled_on,
         (h.last_at AT TIME ZONE 'UTC' + k.utc_offset)::date
           + greatest(1, n.scheduled_on - ({_ANCHOR} + {_DAYS.format("l.delay_days")})),
         d.reopened_on,
         CASE WHEN n.delay_days > 0 THEN d.issued_on + {_DAYS.format("s.courtesy_days")} END
       ) AS effective_on
  FROM documents d
  LEFT JOIN ponctuel.businesses b ON b.id = d.business_id
  LEFT JOIN ponctuel.billing_settings s ON s.business_id = d.business_id
  LEFT JOIN ponctuel.customers c ON c.business_id = d.business_id AND c.id = d.customer_id
  LEFT JOIN calendar k ON k.business_id = d.business_id
  LEFT JOIN LATERAL ({HISTORY}) h ON true
  LEFT JOIN LATERAL ({NEXT_LEVEL}) n ON true
  LEFT JOIN ponctuel.followup_levels l ON l.business_id = d.business_id
        AND l.document = d.document AND l.policy = COALESCE(d.policy, c.policy, 'standard')
        AND l.level = h.last_level
  LEFT JOIN LATERAL (
    SELECT max((COALESCE(m.submitting_at, m.planned_at) AT TIME ZONE 'UTC' + k.utc_offset)::date)
           AS contacted_on
      FROM ponctuel.messages m
     WHERE m.business_id = d.business_id AND m.person = d.customer_id AND m.kind IN {KINDS}
       AND m.state NOT IN ('cancelled','expired','refused','failed')
  ) p ON true
"""

# Each business's day and next opening, computed in Python (`calendar.prepare`).
CALENDAR = """
SELECT * FROM jsonb_to_recordset(CAST(:calendar AS jsonb))
    AS k(business_id text, today date, utc_offset interval, opens_at timestamptz)
"""


def with_facts(*, invoices: str = "", quotes: str = "") -> str:
    """The CTEs `calendar`, `documents` and `facts`; the arguments narrow the documents."""
    documents = DOCUMENTS.format(invoices=invoices, quotes=quotes)
    return f"calendar AS ({CALENDAR}), documents AS ({documents}), facts AS ({FACTS})"


_CHASED = with_facts(invoices=f"WHERE {CHASED_INVOICES}", quotes=f"WHERE {CHASED_QUOTES}")
_OF_BATCH = "(SELECT business_id, item FROM batch)"
_CHASED_BATCH = with_facts(
    invoices=f"WHERE {CHASED_INVOICES} AND (i.business_id, i.customer_id) IN {_OF_BATCH}",
    quotes=f"WHERE {CHASED_QUOTES} AND (q.business_id, q.customer_id) IN {_OF_BATCH}",
)

# The customers who have something due: a customer is what is relanced, fails or waits alone.
CUSTOMERS_DUE = f"""
WITH {_CHASED}
SELECT DISTINCT business_id, customer_id AS item FROM facts WHERE {conditions.none_holds()}
"""

# In the order in which a customer's relances go first, when one a day is enough.
_RANKED = """
SELECT f.*, row_number() OVER (PARTITION BY business_id, customer_id
                               ORDER BY document, effective_on, due_on, id) AS nth,
       count(*) FILTER (WHERE document = 'invoice')
         OVER (PARTITION BY business_id, customer_id) AS invoices_due
  FROM facts f
"""
_GROUPED = "document = 'invoice' AND group_by_customer AND invoices_due > 1"

RELANCES = f"""
WITH {_CHASED_BATCH},
due AS ({_RANKED} WHERE {conditions.none_holds()})
SELECT business_id, kind, id AS subject, cycle, level::text AS step, 'email' AS channel,
       customer_id AS person, emails AS recipient,
       jsonb_build_object('document', document, 'number', number, 'level', level, 'tone', tone,
                          'remaining', remaining::text, 'currency', currency) AS content,
       opens_at AS not_before, opens_at + interval '{LATE_AFTER.days} days' AS expires_at,
       NULL::jsonb AS lines
  FROM due WHERE NOT ({_GROUPED}) AND (nth = 1 OR min_interval_days = 0)
UNION ALL
SELECT business_id, '{LETTER}', customer_id,
       md5(string_agg(id || ':' || cycle || ':' || level, ',' ORDER BY id)), max(level)::text,
       'email', customer_id, min(emails),
       jsonb_build_object('document', 'letter', 'number', string_agg(number, ', ' ORDER BY nth),
                          'level', max(level)),
       min(opens_at), min(opens_at) + interval '{LATE_AFTER.days} days',
       jsonb_agg(jsonb_build_object('kind', kind, 'subject', id, 'cycle', cycle,
                                    'step', level::text) ORDER BY nth)
  FROM due WHERE {_GROUPED}
 GROUP BY business_id, customer_id
"""

_OPEN_ONLY = with_facts(
    invoices="WHERE i.status IN ('sent','partial','overdue')", quotes="WHERE q.status = 'sent'"
)

_EXPLAINED = """
SELECT business_id, document, id AS subject, number, level, effective_on, {reason} AS reason
  FROM {source}
"""

# Every open document that gets no relance now, with the first reason.
LEFT_OUT = f"""
WITH {_OPEN_ONLY},
judged AS (SELECT f.*, {conditions.first_that_holds()} AS held_by FROM facts f),
ranked AS (
  SELECT j.*, row_number() OVER (PARTITION BY business_id, customer_id, held_by IS NULL
                                 ORDER BY document, effective_on, due_on, id) AS nth,
         count(*) FILTER (WHERE document = 'invoice')
           OVER (PARTITION BY business_id, customer_id, held_by IS NULL) AS invoices_due
    FROM judged j
), explained AS (
  SELECT r.*, CASE WHEN held_by IS NOT NULL THEN held_by
                   WHEN nth > 1 AND min_interval_days > 0 AND NOT ({_GROUPED})
                   THEN 'customer_waits' END AS why
    FROM ranked r
)
{_EXPLAINED.format(reason="why", source="explained")}
 WHERE why IS NOT NULL ORDER BY business_id, document, number
"""

# One document, whatever its state, by its number.
EXPLAIN = f"""
WITH {
    with_facts(
        invoices="WHERE i.number = :number AND :document = 'invoice'",
        quotes="WHERE q.number = :number AND :document = 'quote'",
    )
}
{_EXPLAINED.format(reason=conditions.first_that_holds(), source="facts")}
 WHERE CAST(:business_id AS text) IS NULL OR business_id = :business_id
 ORDER BY business_id
"""

# What the guard reads again for the claimed documents: everything that may have changed.
REREAD = f"""
WITH wanted AS (
  SELECT * FROM jsonb_to_recordset(CAST(:wanted AS jsonb))
      AS w(message_id bigint, business_id text, person text, kind text, subject text, cycle text,
           step text)
), {
    with_facts(
        invoices="WHERE (i.business_id, i.id) IN (SELECT business_id, subject FROM wanted "
        f"WHERE kind = '{INVOICE}')",
        quotes="WHERE (q.business_id, q.id) IN (SELECT business_id, subject FROM wanted "
        f"WHERE kind = '{QUOTE}')",
    )
},
judged AS (SELECT f.*, {conditions.first_that_holds(at_send=True)} AS held_by FROM facts f)
SELECT w.message_id, w.subject AS wanted_subject, w.kind AS wanted_kind, f.*,
       CASE WHEN f.id IS NULL THEN 'deleted' WHEN f.cycle <> w.cycle THEN 'reopened'
            WHEN f.customer_id <> w.person THEN 'customer_changed'
            ELSE f.held_by END AS reason,
       g.level AS wanted_level, g.tone AS wanted_tone, g.attach_pdf AS wanted_pdf
  FROM wanted w
  LEFT JOIN judged f ON f.business_id = w.business_id AND f.kind = w.kind AND f.id = w.subject
  LEFT JOIN ponctuel.followup_levels g ON g.business_id = f.business_id
        AND g.document = f.document AND g.policy = f.level_policy
        AND g.level = w.step::integer
 ORDER BY w.message_id, f.due_on, f.id
"""

# A quote is marked once: the status itself says that it has been done.
QUOTES_EXPIRED = """
WITH calendar AS ({calendar})
SELECT q.business_id, q.id AS item
  FROM ponctuel.quotes q JOIN calendar k ON k.business_id = q.business_id
 WHERE q.status = 'sent' AND q.valid_until < k.today
""".replace("{calendar}", CALENDAR)

EXPIRE_QUOTES = """
UPDATE ponctuel.quotes SET status = 'expired'
 WHERE status = 'sent' AND (business_id, id) IN (SELECT business_id, item FROM batch)
   AND valid_until < (SELECT k.today FROM ({calendar}) k WHERE k.business_id = quotes.business_id)
""".replace("{calendar}", CALENDAR)
