"""Where a lead is in its cadence, as SQL on a row `l` of `leads`: the cycle, and what ends it.

A cycle is one stay in a stage: a lead that comes back to a stage begins its cadence anew, and an
answer given in an earlier stage does not stop the next one.
"""

from __future__ import annotations

# Other people's tables hold anything: an instant of no calendar is read as missing.
INSTANT = "CASE WHEN {0} BETWEEN '1900-01-01' AND '2999-12-31' THEN {0} END"

BEGAN = INSTANT.format("COALESCE(l.stage_since, l.created_at)")
CYCLE = f"l.stage || '@' || to_char(({BEGAN}) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')"

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


def first_that_ends(**besides: str) -> str:
    """SQL that yields the code of the first that holds, or null; `besides`: code → SQL of what is
    asked after those of `ENDED`."""
    whens = "\n".join(f"WHEN {sql} THEN '{code}'" for code, sql in (ENDED | besides).items())
    return f"CASE {whens} END"
