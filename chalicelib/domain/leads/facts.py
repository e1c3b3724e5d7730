"""What is known of each lead: its business, its closer, its history in this cycle, its next number.

A follow-up is due its delay after the lead came to the stage, or after the one before: when that
was sent, skipped or given up. So an outage of any length makes one follow-up of each lead, not as
many as it lasted. One that somebody made by hand (`last_followup_at`) counts as the one before.
"""

from __future__ import annotations

from chalicelib.domain.leads.standing import (
    BEGAN,
    CLOSER,
    CYCLE,
    ENDED,
    INSTANT,
    OPTED_OUT_ELSEWHERE,
    PAUSED,
    STAGE,
    first_that_holds,
)

FOLLOWUP = "leads.followup"

# Of a business that has said nothing about its cadences: the day after the lead came, two days
# later and four days later (J+1, J+3, J+7), in every stage. With one cadence of its own, only its
# own stages are followed up.
DEFAULT_CADENCE = ((1, 24, "relance"), (2, 48, "rappel"), (3, 96, "derniere"))
_DEFAULTS = ", ".join(f"({n}, {hours}, '{variant}')" for n, hours, variant in DEFAULT_CADENCE)

# Ten years in hours; `least` alone would turn a missing value into the limit.
_HOURS = "CASE WHEN {0} < 0 THEN 0 WHEN {0} > 87600 THEN 87600 ELSE {0} END"

# Each business's day, computed in Python (`calendar.prepare`), and what it has proposed or sent in
# it, of its daily cap.
_CALENDAR = """
SELECT k.business_id, k.day_start,
       (SELECT count(*) FROM ponctuel.lead_followups u
         WHERE u.business_id = k.business_id AND u.proposed_at >= k.day_start AND u.number > 0
           AND u.state <> 'cancelled') AS used
  FROM jsonb_to_recordset(CAST(:calendar AS jsonb))
    AS k(business_id text, day_start timestamptz)
"""
# `candidate` stands for the lead's key in what follows.
_LEADS = f"""
SELECT row_number() OVER () AS candidate, l.business_id, l.id, l.name, l.phone,
       l.whatsapp_user_id, {STAGE} AS stage, l.zone, l.created_at,
       l.followups,
       {INSTANT.format("l.last_followup_at")} AS last_followup_at, {BEGAN} AS began,
       {CYCLE} AS cycle, {CLOSER} AS closer_id,
       b.name AS business_name, b.active, b.zone AS business_zone, b.subdivision,
       b.sender_email, b.sender_name, b.reply_to,
       s.followups_enabled, CASE WHEN s.mode = 'api' THEN 'api' ELSE 'assisted' END AS mode,
       COALESCE(s.daily_cap, 50) AS daily_cap, s.window_start::text AS window_start,
       s.window_end::text AS window_end, s.business_days_only,
       COALESCE(s.expire_hours, 72) AS expire_hours, k.day_start, k.used,
       {first_that_holds(ENDED)} AS ended, {OPTED_OUT_ELSEWHERE} AS opted_out_elsewhere
  FROM ponctuel.leads l
  LEFT JOIN ponctuel.businesses b ON b.id = l.business_id
  LEFT JOIN ponctuel.lead_settings s ON s.business_id = l.business_id
  LEFT JOIN calendar k ON k.business_id = l.business_id
 {{where}}
"""
# A cancelled follow-up is as if it had never been, and is not in the index.
_HISTORY = """
SELECT c.candidate,
       max(f.number) FILTER (WHERE f.state IN ('confirmed','skipped','expired')) AS last_number,
       max(f.settled_at) FILTER (WHERE f.state IN ('confirmed','skipped','expired')) AS last_at,
       bool_or(f.state IN ('planned','proposed','opened')
               AND NOT (f.state = 'proposed' AND f.closer_id IS DISTINCT FROM c.closer_id))
         AS in_flight
  FROM candidates c JOIN ponctuel.lead_followups f
    ON f.business_id = c.business_id AND f.lead_id = c.id AND f.cycle = c.cycle
   AND f.state <> 'cancelled'
 GROUP BY c.candidate
"""
_LADDER = f"""
SELECT t.*, COALESCE(lag(t.number) OVER (PARTITION BY t.business_id, t.stage ORDER BY t.number), 0)
       AS follows
  FROM (SELECT n.business_id, n.stage, n.number, n.delay_hours, n.variant
          FROM ponctuel.lead_cadences n WHERE n.number > 0
        UNION ALL
        SELECT s.business_id, s.stage, d.number, d.delay_hours, d.variant
          FROM (SELECT DISTINCT c.business_id, c.stage FROM candidates c
                 WHERE NOT EXISTS (SELECT 1 FROM ponctuel.lead_cadences o
                                    WHERE o.business_id = c.business_id)) s
         CROSS JOIN (VALUES {_DEFAULTS}) AS d(number, delay_hours, variant)) t
"""
# FULL, although each row of `history` has its lead: see `billing.facts`.
_FACTS = f"""
SELECT c.*, h.last_number, h.last_at, h.in_flight IS TRUE AS in_flight, n.number,
       COALESCE(n.variant, 'relance') AS variant,
       (c.business_id, c.stage) IN (SELECT a.business_id, a.stage FROM ladder a) AS has_cadence,
       COALESCE(greatest(h.last_at, CASE WHEN c.last_followup_at >= c.began
                                         THEN c.last_followup_at END), c.began)
         + interval '1 hour' * ({_HOURS.format("n.delay_hours")}) AS due_at
  FROM candidates c
  FULL JOIN history h ON h.candidate = c.candidate
  LEFT JOIN ladder n ON n.business_id = c.business_id AND n.stage = c.stage
        AND COALESCE(h.last_number, 0) >= n.follows AND COALESCE(h.last_number, 0) < n.number
"""

# A number that could not be used is not tried again before it is corrected.
_REFUSED = """EXISTS (
  SELECT 1 FROM ponctuel.lead_followups r
   WHERE r.business_id = f.business_id AND r.lead_id = f.id AND r.state = 'cancelled'
     AND r.reason LIKE 'phone_%' AND r.phone IS NOT DISTINCT FROM f.phone)"""

# Why a lead (a row `f` of facts) gets no follow-up now, in the order in which a person is told.
CONDITIONS = {
    "business_inactive": "f.active IS NOT TRUE",
    "followups_disabled": "f.followups_enabled IS NOT TRUE",
    "bad_zone": "f.day_start IS NULL",
    **{code: f"f.ended = '{code}'" for code in ENDED},
    "opted_out_elsewhere": "f.opted_out_elsewhere",
    "paused": PAUSED.format(business="f.business_id", lead="f.id", now="CAST(:now AS timestamptz)"),
    "bad_dates": "f.began IS NULL",
    "no_cadence": "NOT f.has_cadence",
    "in_flight": "f.in_flight",
    "all_done": "f.number IS NULL",
    "no_number": "COALESCE(f.phone, '') !~ '[0-9]' AND (f.mode = 'assisted'"
    " OR COALESCE(btrim(f.whatsapp_user_id), '') = '')",
    "number_refused": _REFUSED,
    "not_due": "NOT CAST(:force AS boolean)"
    " AND (f.due_at > CAST(:now AS timestamptz)) IS NOT FALSE",
}
FIRST = first_that_holds(CONDITIONS)


def with_facts(where: str) -> str:
    """The CTEs that end in `facts`; `where` narrows the leads `l`."""
    leads = _LEADS.format(where=where)
    return (
        f"calendar AS MATERIALIZED ({_CALENDAR}), candidates AS MATERIALIZED ({leads}), "
        f"history AS ({_HISTORY}), ladder AS ({_LADDER}), facts AS ({_FACTS})"
    )
