"""What is known of each open document: its business, customer, history and next level.

Invoices and quotes are read as one relation, `documents`; `candidates` are those of them that are
looked at, with their business and customer; `facts` adds history and next level. Planning,
explaining and guarding select from the same `facts`.

Effective date of the next level = max(anchor + delay, day the last relance went out + the distance
between the two levels, day the invoice was re-opened, issue + courtesy days): after an outage the
levels follow each other at their normal pace, without a burst.

Everything is joined in sets: one statement has the same shape for one document and for a million,
and PostgreSQL chooses between index and hash (docs/benchmarks.md).
"""

from __future__ import annotations

INVOICE = "billing.invoice_followup"
LETTER = "billing.invoice_letter"
QUOTE = "billing.quote_followup"
KINDS = f"('{INVOICE}', '{LETTER}', '{QUOTE}')"

# How long an uncertain message waits for a proof before its level counts as gone out.
PROOF_WINDOW = "interval '24 hours'"

# A level that did not go out and waits for the owner. What expired without having been tried, or
# while it was not allowed to leave (review, pause, no mail server, night, quota), is simply planned
# again. What a guard of billing's cancelled has given its key back. `{v}` is a message or a row of
# `coverage`.
WENT_WRONG = """({v}.state IN ('refused','failed')
  OR ({v}.state = 'cancelled' AND NOT {v}.key_free AND {v}.error_code IN
      ('cancelled_by_operator','opted_out','unsubscribed','complained','address_dead',
       'unreachable','no_consent'))
  OR ({v}.state = 'expired' AND ({v}.attempts > 0 OR {v}.hold_reason IN
      ('attachment','variable','sender','number','template','guard','quarantine'))))"""

# A row `p` of customer_phones has something like a number.
DIALLED = "length(regexp_replace(p.phone, '[^0-9]', '', 'g')) >= 6"

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

# The day for which a level `{0}` of a document `d` is scheduled.
_SCHEDULED = "CASE {0}.anchor WHEN 'issue' THEN d.issued_on ELSE d.due_on END + " + _DAYS.format(
    "{0}.delay_days"
)

_WITH_CUSTOMER = f"""
SELECT d.*, COALESCE(d.policy, c.policy, 'standard') AS level_policy, b.active,
       s.followups_enabled, s.group_by_customer, s.tolerance, s.payments_synced_at,
       {_DAYS.format("s.min_interval_days")} AS min_interval_days,
       {_DAYS.format("s.max_payment_age_hours")} AS max_payment_age_hours,
       {_DAYS.format("s.courtesy_days")} AS courtesy_days,
       c.name AS customer_name, c.emails, c.auto_enabled AS customer_auto, c.paused_until,
       c.insolvency, c.customer_type, k.today, k.utc_offset, k.opens_at,
       (d.due_on < k.today) IS NOT FALSE AS past_due
  FROM documents d
  LEFT JOIN ponctuel.businesses b ON b.id = d.business_id
  LEFT JOIN ponctuel.billing_settings s ON s.business_id = d.business_id
  LEFT JOIN ponctuel.customers c ON c.business_id = d.business_id AND c.id = d.customer_id
  LEFT JOIN calendar k ON k.business_id = d.business_id
"""

# `candidate` stands for the document's four-column key in what follows, at a quarter of the price.
_CANDIDATES = f"""
SELECT row_number() OVER () AS candidate, d.* FROM ({_WITH_CUSTOMER}) d {{where}}
"""

# Some level of the document has come by its date: much the cheapest of all questions, and the one
# that most open documents fail.
REACHED = f"""EXISTS (
  SELECT 1 FROM ponctuel.followup_levels l
   WHERE l.business_id = d.business_id AND l.document = d.document AND l.policy = d.level_policy
     AND (CAST(:force AS boolean) OR {_SCHEDULED.format("l")} <= d.today))"""

# The view `coverage`, from the documents on, so that an index on the messages can be used: the
# messages about a document, and the letters of which it is a line. (A letter's own kind is no
# document's.)
_COVERING = """
SELECT d.candidate, d.document, v.business_id, v.subject, v.cycle, v.step, {message}
  FROM candidates d JOIN {covering}
    ON v.business_id = d.business_id AND v.kind = d.kind AND v.subject = d.id AND v.cycle = d.cycle
"""
_MESSAGE = ", ".join(
    f"{{m}}.{column}"
    for column in (
        "state", "hold_reason", "key_free", "attempts", "error_code", "submitting_at", "settled_at",
    )
)  # fmt: skip
_COVERED = (
    _COVERING.format(message=_MESSAGE.format(m="v"), covering="ponctuel.messages v")
    + "UNION ALL"
    + _COVERING.format(
        message=_MESSAGE.format(m="m"),
        covering="(ponctuel.message_lines v JOIN ponctuel.messages m ON m.id = v.message_id)",
    )
)

# What is known of a document's levels: its messages, and what the owner decided about them.
HISTORY = f"""
SELECT e.candidate, max(e.level) FILTER (WHERE e.passed) AS last_level,
       max(e.at) FILTER (WHERE e.passed) AS last_at,
       max(e.level) FILTER (WHERE e.problem) AS problem_level,
       bool_or(e.in_flight) AS in_flight, bool_or(e.stop) AS stopped
  FROM (
    SELECT v.candidate, v.step::integer AS level,
           v.state IN ('accepted','delivered') OR (v.state = 'uncertain'
             AND v.submitting_at <= ponctuel.clock() - {PROOF_WINDOW}) AS passed,
           v.submitting_at AS at,
           v.state IN ('planned','held','claimed','submitting') OR (v.state = 'uncertain'
             AND v.submitting_at > ponctuel.clock() - {PROOF_WINDOW}) AS in_flight,
           {WENT_WRONG.format(v="v")} AND NOT EXISTS (
             SELECT 1 FROM ponctuel.followup_decisions x
              WHERE x.business_id = v.business_id AND x.document = v.document
                AND x.document_id = v.subject AND x.cycle = v.cycle
                AND x.level = v.step::integer AND x.decided_at >= v.settled_at) AS problem,
           false AS stop
      FROM ({_COVERED}) v
    UNION ALL
    SELECT d.candidate, x.level, x.decision = 'skip', x.decided_at, false, false,
           x.decision = 'stop'
      FROM candidates d JOIN ponctuel.followup_decisions x
        ON x.business_id = d.business_id AND x.document = d.document AND x.document_id = d.id
       AND x.cycle = d.cycle AND x.decision IN ('skip','stop')
  ) e
 GROUP BY e.candidate
"""

# The next level, by the last one: a level follows each one from `follows` on. A notice that is
# meant to come before the due date is of no use after it: the next level counts.
LADDER = """
SELECT l.*, p.past_due,
       COALESCE(lag(l.level) OVER (PARTITION BY l.business_id, l.document, l.policy, p.past_due
                                   ORDER BY l.level), 0) AS follows
  FROM ponctuel.followup_levels l CROSS JOIN (VALUES (true), (false)) AS p(past_due)
 WHERE l.level > 0 AND (NOT p.past_due OR (l.document = 'invoice' AND l.anchor = 'due'
                                           AND l.delay_days <= 0) IS FALSE)
"""

# FULL, although each row of `history` has its document: PostgreSQL never does a full join by nested
# loop, however wrong its estimate of other people's tables. `contacted_on` is a subquery so that it
# is only asked for those whom nothing else keeps from being relanced.
FACTS = f"""
SELECT d.*, h.last_level, h.problem_level, h.in_flight IS TRUE AS in_flight,
       h.stopped IS TRUE AS stopped, n.level, n.tone, n.channel, n.attach_pdf, n.delay_days,
       {_SCHEDULED.format("n")} AS scheduled_on,
       greatest(
         {_SCHEDULED.format("n")},
         (h.last_at AT TIME ZONE 'UTC' + d.utc_offset)::date
           + greatest(1, ({_SCHEDULED.format("n")}) - ({_SCHEDULED.format("l")})),
         d.reopened_on,
         CASE WHEN n.delay_days > 0 THEN d.issued_on + d.courtesy_days END
       ) AS effective_on,
       (SELECT (max(COALESCE(m.submitting_at, m.planned_at)) AT TIME ZONE 'UTC'
                + d.utc_offset)::date
          FROM ponctuel.messages m
         WHERE m.business_id = d.business_id AND m.person = d.customer_id AND m.kind IN {KINDS}
           AND m.state NOT IN ('cancelled','expired','refused','failed')) AS contacted_on
  FROM candidates d
  FULL JOIN history h ON h.candidate = d.candidate
  LEFT JOIN ladder n ON n.business_id = d.business_id AND n.document = d.document
        AND n.policy = d.level_policy AND n.past_due = d.past_due
        AND greatest(h.last_level, 0) >= n.follows AND greatest(h.last_level, 0) < n.level
  LEFT JOIN ponctuel.followup_levels l ON l.business_id = d.business_id
        AND l.document = d.document AND l.policy = d.level_policy AND l.level = h.last_level
"""

# The phone and Meta's id of the customers that `{customers}` yields (business_id, customer_id): one
# row each, although the relation may be a view in which somebody is there twice.
PHONES = f"""
SELECT p.business_id, p.customer_id, min(p.phone) FILTER (WHERE {DIALLED}) AS phone,
       min(NULLIF(btrim(p.whatsapp_user_id), '')) AS user_id
  FROM ponctuel.customer_phones p
 WHERE (p.business_id, p.customer_id) IN ({{customers}})
 GROUP BY p.business_id, p.customer_id
"""

# Each business's day and next opening, computed in Python (`calendar.prepare`).
CALENDAR = """
SELECT * FROM jsonb_to_recordset(CAST(:calendar AS jsonb))
    AS k(business_id text, today date, utc_offset interval, opens_at timestamptz)
"""


def with_facts(*, invoices: str = "", quotes: str = "", where: str = "") -> str:
    """The CTEs that end in `facts`. `invoices` and `quotes` narrow the documents (WHERE on `i` and
    `q`), `where` the candidates `d`, before their history is read."""
    documents = DOCUMENTS.format(invoices=invoices, quotes=quotes)
    candidates = _CANDIDATES.format(where=where)
    return (
        f"calendar AS ({CALENDAR}), documents AS ({documents}), "
        f"candidates AS MATERIALIZED ({candidates}), history AS ({HISTORY}), "
        f"ladder AS ({LADDER}), facts AS ({FACTS})"
    )
