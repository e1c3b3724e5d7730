"""Where a lead is in its cadence, as SQL on a row `l` of `leads`: the cycle, and what ends it.

A cycle is one stay in a stage: a lead that comes back to a stage begins its cadence anew, and an
answer given in an earlier stage does not stop the next one.
"""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.domain.people.responsible import RESPONSIBLE

# Other people's tables hold anything: an instant of no calendar is read as missing.
INSTANT = "CASE WHEN {0} BETWEEN '1900-01-01' AND '2999-12-31' THEN {0} END"

BEGAN = INSTANT.format("COALESCE(l.stage_since, l.created_at)")
STAGE = "COALESCE(l.stage, '')"
CYCLE = f"{STAGE} || '@' || to_char(({BEGAN}) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')"

# The one in whose hands the lead is: its closer, while active; null: those who are
# responsible for the business.
CLOSER = """(SELECT min(c.id) FROM ponctuel.users c
  WHERE c.business_id = l.business_id AND c.id = l.closer_id AND c.active)"""

# What the last nine digits tell is enough to leave somebody alone: a number may be written in any
# way.
_SAME_NUMBER = r"right(regexp_replace({0}.phone, '\D', '', 'g'), 9)"
# The same person under another name, who does not want it.
OPTED_OUT_ELSEWHERE = f"""(l.business_id, {_SAME_NUMBER.format("l")}) IN (
  SELECT o.business_id, {_SAME_NUMBER.format("o")} FROM ponctuel.leads o
   WHERE o.opted_out AND length(regexp_replace(o.phone, '\\D', '', 'g')) >= 9)"""

# Code → what ends a cadence until the lead comes to another stage, in the order in which a person
# is told of it. A lead that is no longer there has no status.
ENDED = {
    "deleted": "l.status IS NULL",
    "won": "l.status = 'won'",
    "lost": "l.status <> 'open'",
    "auto_disabled": "l.auto_enabled IS NOT TRUE",
    "opted_out": "l.opted_out IS NOT FALSE",
    "replied": f"l.replied_at >= {BEGAN}",
}
# Somebody at these contacts does not want to be written to, or cannot be, by WhatsApp.
SUPPRESSED = """(SELECT s.reason FROM ponctuel.suppressions s
  WHERE s.lifted_at IS NULL AND s.channel = 'whatsapp' AND s.business_id IN ({business}, '*')
    AND s.category IN ('*', 'marketing', 'leads.followup') AND s.contact IN ({contacts})
  ORDER BY s.at LIMIT 1)"""

# A person has paused it (`pauses`).
PAUSED = """EXISTS (SELECT 1 FROM ponctuel.lead_followups p
  WHERE p.business_id = {business} AND p.lead_id = {lead} AND p.cycle = 'pause' AND p.number = 0
    AND p.state = 'skipped' AND p.expires_at > {now})"""


def first_that_holds(conditions: Mapping[str, str]) -> str:
    """SQL that yields the code of the first of the conditions (code → SQL) that holds, or null."""
    whens = "\n".join(f"WHEN {sql} THEN '{code}'" for code, sql in conditions.items())
    return f"CASE {whens} END"


# Of a row `f` of `lead_followups` and its lead `l`: why it may not be sent any more, or null.
_PAUSED = PAUSED.format(business="f.business_id", lead="f.lead_id", now="ponctuel.clock()")
_NOT_WANTED = SUPPRESSED.format(business="f.business_id", contacts="f.phone")
OVER = first_that_holds(
    ENDED
    | {
        "stage_changed": f"({CYCLE}) IS DISTINCT FROM f.cycle",
        "suppressed": f"{_NOT_WANTED} IS NOT NULL",
        "paused": _PAUSED,
    }
)
# Whether that follow-up is for the user `u` now.
IS_FOR = f"""(u.business_id = f.business_id AND u.active
  AND CASE WHEN {CLOSER} IS NULL THEN {RESPONSIBLE} ELSE u.id = l.closer_id END)"""
