"""The SQL of lead follow-ups: which leads are due, and what else has to be known of them."""

from __future__ import annotations

from chalicelib.domain.leads.facts import CONDITIONS, FIRST, with_facts
from chalicelib.domain.leads.standing import SUPPRESSED, first_that_holds
from chalicelib.domain.people.responsible import RESPONSIBLE

# Redundant with the conditions, and what lets PostgreSQL use the partial index.
_OPEN = "l.status = 'open' AND l.auto_enabled AND NOT l.opted_out"

# More leads are looked at than there is room for: some of them cannot be written to, and the run
# may make room itself, by ending what is over, once it has its list.
SPARE = 100

_FACTS_DUE = f"""WITH {with_facts(f"WHERE {_OPEN}")}
SELECT f.business_id, f.id, f.due_at, f.daily_cap, f.used FROM facts f WHERE {FIRST} IS NULL"""

# The leads that are due, those of each business that have waited longest.
LEADS_DUE = f"""
SELECT business_id, id AS item FROM (
  SELECT f.business_id, f.id, f.daily_cap, f.used,
         row_number() OVER (PARTITION BY f.business_id ORDER BY f.due_at, f.id) AS nth
    FROM ({_FACTS_DUE}) f) d
 WHERE nth <= greatest(0, daily_cap - used) + CASE WHEN daily_cap > 0 THEN {SPARE} ELSE 0 END
"""

# Somebody is there to send what is proposed.
_HAS_READER = f"""(f.closer_id IS NOT NULL OR EXISTS (
  SELECT 1 FROM ponctuel.users u
   WHERE u.business_id = f.business_id AND u.active AND {RESPONSIBLE}))"""

# The same leads, with all that a decision takes.
OF_BATCH = f"""
WITH batch AS ({{batch}}), {
    with_facts(f"WHERE {_OPEN} AND (l.business_id, l.id) IN (SELECT business_id, item FROM batch)")
}
SELECT f.*,
       (SELECT min(u.name) FROM ponctuel.users u
         WHERE u.business_id = f.business_id AND u.id = f.closer_id) AS closer_name,
       {_HAS_READER} AS has_reader
  FROM facts f WHERE {FIRST} IS NULL
 ORDER BY f.due_at, f.business_id, f.id
"""

# What is known of the contacts of leads (E.164, or Meta's id of a user). A number is followed up
# for one lead at a time, the one that was first, as long as that one is open.
CONTACTS = f"""
SELECT q.business_id, q.lead_id,
       {SUPPRESSED.format(business="q.business_id", contacts="q.contact, q.user_id")} IS NOT NULL
         AS suppressed,
       EXISTS (SELECT 1 FROM ponctuel.consents n
                WHERE n.business_id = q.business_id AND n.channel = 'whatsapp'
                  AND n.contact = q.contact AND n.withdrawn_at IS NULL) AS consented,
       EXISTS (SELECT 1 FROM ponctuel.lead_followups f JOIN ponctuel.leads o
                   ON o.business_id = f.business_id AND o.id = f.lead_id AND o.status = 'open'
                WHERE f.business_id = q.business_id AND f.phone = q.contact
                  AND f.lead_id <> q.lead_id
                  AND f.state IN ('planned','proposed','opened','confirmed')) AS taken
  FROM jsonb_to_recordset(CAST(:asked AS jsonb))
    AS q(business_id text, lead_id text, contact text, user_id text)
"""

LISTED = 1000
# The open leads that get no follow-up now, each with the first reason; of each reason some.
LEFT_OUT = f"""
WITH {with_facts("WHERE l.status = 'open'")},
explained AS (
  SELECT f.business_id, f.id AS subject, f.number, f.due_at, {FIRST} AS reason FROM facts f
), counted AS (
  SELECT e.*, count(*) OVER (PARTITION BY e.reason) AS total,
         row_number() OVER (PARTITION BY e.reason ORDER BY e.business_id, e.subject) AS nth
    FROM explained e WHERE e.reason IS NOT NULL
)
SELECT business_id, 'lead' AS document, subject, subject AS number, number AS level,
       due_at AS effective_on, reason, total
  FROM counted ORDER BY nth, reason LIMIT {LISTED}
"""

_ONE = """WHERE l.id = :id
   AND (CAST(:business_id AS text) IS NULL OR l.business_id = :business_id)"""
EXPLAIN = f"""
WITH {with_facts(_ONE)}
SELECT f.*, {FIRST} AS reason, {_HAS_READER} AS has_reader
  FROM facts f ORDER BY f.business_id
"""

# What does not change by the message itself being under way, or its time having come.
_AT_SEND = {
    code: sql
    for code, sql in CONDITIONS.items()
    if code not in ("in_flight", "all_done", "number_refused", "not_due", "no_cadence")
}
# What the guard reads again for the claimed messages.
REREAD = f"""
WITH wanted AS (
  SELECT * FROM jsonb_to_recordset(CAST(:wanted AS jsonb))
      AS w(message_id bigint, business_id text, subject text, cycle text, step text)
), {with_facts("WHERE (l.business_id, l.id) IN (SELECT business_id, subject FROM wanted)")},
judged AS (SELECT f.*, {first_that_holds(_AT_SEND)} AS held_by FROM facts f)
SELECT w.message_id, f.*,
       (SELECT min(u.name) FROM ponctuel.users u
         WHERE u.business_id = f.business_id AND u.id = f.closer_id) AS closer_name,
       k.variant AS wanted_variant,
       CASE WHEN f.id IS NULL THEN 'deleted' WHEN f.held_by IS NOT NULL THEN f.held_by
            WHEN f.cycle <> w.cycle THEN 'stage_changed'
            WHEN f.mode <> 'api' THEN 'mode_changed' END AS reason
  FROM wanted w
  LEFT JOIN judged f ON f.business_id = w.business_id AND f.id = w.subject
  LEFT JOIN ladder k ON k.business_id = f.business_id AND k.stage = f.stage
        AND k.number = w.step::integer
"""
