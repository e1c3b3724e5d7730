"""Who is reminded that their account will be erased: a week before, and the day before.

Days are midnights in the user's zone. One reminder for each of the two: who learns of the date in
the last week gets the first one late, with the days that really remain; who asked for it in the
last week has had a confirmation instead.
"""

from __future__ import annotations

from typing import Final

from chalicelib.domain.accounts.deletions import REMINDED
from chalicelib.domain.accounts.letters import CYCLE, PERSON, REMINDER
from chalicelib.domain.accounts.standing import HAS_ADDRESS

_FIRST, _LAST = REMINDED

# Midnights between then and the date of a deletion `d`.
_DAYS = """((d.scheduled_at AT TIME ZONE d.zone)::date
            - ({instant} AT TIME ZONE d.zone)::date)"""
_LEFT = _DAYS.format(instant="CAST(:now AS timestamptz)")
_GIVEN = _DAYS.format(instant="d.requested_at")
_STEP = f"CASE WHEN {_LEFT} <= {_LAST} THEN '{_LAST}' ELSE '{_FIRST}' END"
# A message of that key exists: it has gone, waits, or was closed for good.
_PLANNED = f"""EXISTS (
  SELECT 1 FROM ponctuel.messages m
   WHERE m.business_id = d.business_id AND m.kind = '{REMINDER}' AND m.subject = d.id::text
     AND m.cycle = {CYCLE} AND m.step = {_STEP} AND NOT m.key_free)"""
_DUE = f"""d.state = 'scheduled' AND d.scheduled_at > CAST(:now AS timestamptz)
       AND {_LEFT} <= {_FIRST}
       AND (d.requested_by = 'application' OR {_LEFT} <= {_LAST} OR {_GIVEN} > {_FIRST})
       AND (d.requested_by = 'application' OR {_GIVEN} > {_LAST})"""

TO_REMIND: Final = f"""
SELECT d.business_id, d.user_id AS item
  FROM ponctuel.account_deletions d
  JOIN ponctuel.users u ON u.business_id = d.business_id AND u.id = d.user_id
 WHERE {_DUE} AND {HAS_ADDRESS} AND NOT {_PLANNED}
"""

# The first reminder is of no use once the second one is due, and none once the date has passed.
_EXPIRES = f"""CASE WHEN {_LEFT} <= {_LAST} THEN d.scheduled_at
     ELSE ((d.scheduled_at AT TIME ZONE d.zone)::date - {_LAST})::timestamp
          AT TIME ZONE d.zone END"""
REMINDERS: Final = f"""
SELECT d.business_id, '{REMINDER}' AS kind, d.id::text AS subject, {CYCLE} AS cycle,
       {_STEP} AS step, 'email' AS channel, {PERSON} AS person, u.email AS recipient,
       '{{}}'::jsonb AS content, ponctuel.clock() AS not_before, {_EXPIRES} AS expires_at,
       NULL::jsonb AS lines, NULL::text AS order_key
  FROM batch
  JOIN ponctuel.account_deletions d
    ON d.business_id = batch.business_id AND d.user_id = batch.item
  JOIN ponctuel.users u ON u.business_id = d.business_id AND u.id = d.user_id
 WHERE {_DUE} AND {HAS_ADDRESS}
"""
