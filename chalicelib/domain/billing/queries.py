"""The SQL of relances: what is due, what is left out and why, what the guard reads again."""

from __future__ import annotations

from datetime import timedelta

from chalicelib.domain.billing import conditions
from chalicelib.domain.billing.facts import (
    CALENDAR,
    INVOICE,
    KINDS,
    LETTER,
    PHONES,
    QUOTE,
    REACHED,
    WENT_WRONG,
    with_facts,
)

__all__ = ["INVOICE", "KINDS", "LETTER", "QUOTE", "WENT_WRONG", "with_facts"]

# A relance that could not leave within a week is no longer the one that is due.
LATE_AFTER = timedelta(days=7)

# Redundant with the conditions, and what lets PostgreSQL use the partial indexes.
CHASED_INVOICES = "i.status IN ('sent','partial','overdue') AND i.auto_enabled AND i.balance > 0"
CHASED_QUOTES = "q.status = 'sent' AND q.auto_enabled"
# What can be told without the history, and most often speaks against a relance, is told first.
_PROMISING = f"WHERE {conditions.none_holds('document')} AND {REACHED}"

CHASED = with_facts(
    invoices=f"WHERE {CHASED_INVOICES}", quotes=f"WHERE {CHASED_QUOTES}", where=_PROMISING
)
_OF_BATCH = "(SELECT business_id, item FROM batch)"
_CHASED_BATCH = with_facts(
    invoices=f"WHERE {CHASED_INVOICES} AND (i.business_id, i.customer_id) IN {_OF_BATCH}",
    quotes=f"WHERE {CHASED_QUOTES} AND (q.business_id, q.customer_id) IN {_OF_BATCH}",
    where=_PROMISING,
)
_DUE = conditions.none_holds("history", "due")

# The customers who have something due: a customer is what is relanced, fails or waits alone.
CUSTOMERS_DUE = f"""
WITH {CHASED}
SELECT DISTINCT business_id, customer_id AS item FROM facts WHERE {_DUE}
"""

# In the order in which a customer's relances go first, when one a day is enough. Of a customer who
# gets letters the e-mails go first: a letter leaves whatever its rank.
_RANKED = """
SELECT {columns},
       row_number() OVER (PARTITION BY business_id, customer_id
                          ORDER BY document, CASE WHEN group_by_customer THEN channel END,
                                   effective_on, due_on, id) AS nth,
       count(*) FILTER (WHERE document = 'invoice' AND channel = 'email')
         OVER (PARTITION BY business_id, customer_id) AS letter_lines
  FROM {source}
"""
# All that a message takes, and no more: whatever is named here is sorted and stored for each.
_MESSAGE = """business_id, kind, document, id, number, cycle, level, tone, channel, customer_id,
       emails, remaining, currency, opens_at, group_by_customer, min_interval_days"""
_GROUPED = "document = 'invoice' AND channel = 'email' AND group_by_customer AND letter_lines > 1"
_ALONE = f"NOT ({_GROUPED}) AND (nth = 1 OR min_interval_days = 0)"
_ONE_DOCUMENT = f"""
SELECT business_id, kind, id AS subject, cycle, level::text AS step, channel,
       customer_id AS person, {{recipient}} AS recipient,
       jsonb_build_object('document', document, 'number', number, 'level', level, 'tone', tone,
                          'remaining', remaining::text, 'currency', currency) AS content,
       opens_at AS not_before, opens_at + interval '{LATE_AFTER.days} days' AS expires_at,
       NULL::jsonb AS lines, NULL::text AS order_key
"""
_ON_WHATSAPP = "SELECT business_id, customer_id FROM due WHERE channel = 'whatsapp'"

# Those on WhatsApp apart, so that e-mails alone cost nothing more.
_RELANCES = f"""
due AS ({_RANKED.format(columns=_MESSAGE, source="facts")} WHERE {_DUE})
{_ONE_DOCUMENT.format(recipient="emails")}
  FROM due WHERE channel = 'email' AND {_ALONE}
UNION ALL
{_ONE_DOCUMENT.format(recipient="COALESCE(phone, user_id)")}
  FROM due LEFT JOIN ({PHONES.format(customers=_ON_WHATSAPP)}) p USING (business_id, customer_id)
 WHERE channel = 'whatsapp' AND {_ALONE}
UNION ALL
SELECT business_id, '{LETTER}', customer_id,
       md5(string_agg(id || ':' || cycle || ':' || level, ',' ORDER BY id)), max(level)::text,
       'email', customer_id, min(emails),
       jsonb_build_object('document', 'letter', 'number', string_agg(number, ', ' ORDER BY nth),
                          'level', max(level)),
       min(opens_at), min(opens_at) + interval '{LATE_AFTER.days} days',
       jsonb_agg(jsonb_build_object('kind', kind, 'subject', id, 'cycle', cycle,
                                    'step', level::text) ORDER BY nth), NULL
  FROM due WHERE {_GROUPED}
 GROUP BY business_id, customer_id
"""


def relances(facts: str) -> str:
    """The messages that these CTEs (`with_facts`) call for, as `Plan` wants them."""
    return f"WITH {facts}, {_RELANCES}"


RELANCES = relances(_CHASED_BATCH)

_OPEN_ONLY = with_facts(
    invoices="WHERE i.status IN ('sent','partial','overdue')", quotes="WHERE q.status = 'sent'"
)

_EXPLAINED = """
SELECT business_id, document, id AS subject, number, level, channel, effective_on,
       {reason} AS reason
  FROM {source}
"""

# The open documents that get no relance now, each with the first reason: `LISTED` of them, some of
# each reason, and with each row how many its reason has (`total`).
LISTED = 1000
_JUDGED = """business_id, customer_id, document, id, number, level, channel, effective_on, due_on,
       group_by_customer, min_interval_days"""
LEFT_OUT = f"""
WITH {_OPEN_ONLY},
judged AS MATERIALIZED (SELECT {_JUDGED}, {conditions.first_that_holds()} AS held_by FROM facts),
ranked AS ({_RANKED.format(columns=_JUDGED, source="judged WHERE held_by IS NULL")}),
explained AS NOT MATERIALIZED (
  {_EXPLAINED.format(reason="held_by", source="judged WHERE held_by IS NOT NULL")}
  UNION ALL
  {_EXPLAINED.format(reason="'customer_waits'", source="ranked")}
   WHERE nth > 1 AND min_interval_days > 0 AND NOT ({_GROUPED})
), totals AS (SELECT reason, count(*) AS total FROM explained GROUP BY reason),
listed AS (
  SELECT e.*, t.total, row_number() OVER (PARTITION BY t.reason ORDER BY {{order}}) AS nth
    FROM totals t CROSS JOIN LATERAL (
      SELECT * FROM explained x WHERE x.reason = t.reason ORDER BY {{order}} LIMIT {LISTED}) e
   ORDER BY nth, t.reason LIMIT {LISTED}
)
SELECT business_id, document, subject, number, level, effective_on, reason, total
  FROM listed ORDER BY {{order}}
""".replace("{order}", "business_id, document, number")

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

_CALLED = "SELECT business_id, person FROM wanted WHERE channel = 'whatsapp'"
# What the guard reads again for the claimed documents: everything that may have changed. A level
# that has moved to the other channel is planned anew.
REREAD = f"""
WITH wanted AS (
  SELECT * FROM jsonb_to_recordset(CAST(:wanted AS jsonb))
      AS w(message_id bigint, business_id text, person text, channel text, kind text, subject text,
           cycle text, step text)
), {
    with_facts(
        invoices="WHERE (i.business_id, i.id) IN (SELECT business_id, subject FROM wanted "
        f"WHERE kind = '{INVOICE}')",
        quotes="WHERE (q.business_id, q.id) IN (SELECT business_id, subject FROM wanted "
        f"WHERE kind = '{QUOTE}')",
    )
},
judged AS (
  SELECT facts.*, {conditions.first_that_holds(at_send=True)} AS held_by,
         {conditions.NO_EMAIL} AS no_email FROM facts
), phones AS ({PHONES.format(customers=_CALLED)})
SELECT w.message_id, w.subject AS wanted_subject, f.business_id, f.document, f.number, f.issued_on,
       f.due_on, f.currency, f.total, f.remaining, f.pdf_key, f.last_level, f.customer_name,
       f.customer_type, f.emails, f.today, f.opens_at,
       b.name AS business_name, b.sender_name, b.sender_email, b.reply_to, b.phone, b.address,
       b.siret, b.iban, b.zone, s.late_penalty_rate,
       t.phone AS customer_phone, t.user_id AS customer_user_id,
       CASE WHEN f.id IS NULL THEN 'deleted' WHEN f.cycle <> w.cycle THEN 'reopened'
            WHEN f.customer_id <> w.person THEN 'customer_changed'
            WHEN f.held_by IS NOT NULL THEN f.held_by
            WHEN g.channel <> w.channel THEN 'channel_changed'
            WHEN w.channel = 'email' AND f.no_email THEN 'no_email'
            WHEN w.channel = 'whatsapp' AND COALESCE(t.phone, t.user_id) IS NULL THEN 'no_phone'
       END AS reason,
       g.tone AS wanted_tone, g.attach_pdf AS wanted_pdf
  FROM wanted w
  LEFT JOIN judged f ON f.business_id = w.business_id AND f.kind = w.kind AND f.id = w.subject
  LEFT JOIN ponctuel.businesses b ON b.id = f.business_id
  LEFT JOIN ponctuel.billing_settings s ON s.business_id = f.business_id
  LEFT JOIN phones t ON t.business_id = f.business_id AND t.customer_id = f.customer_id
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
