"""Whether a message that is still wanted may leave now: suppressions, consent, the recipient's
hours, the cap of a contact. What a kind's own guard cannot know, asked in one place for all kinds.

The facts of a whole window are one query; the decision is a pure function. Limits of the account
and of a person's file are counted before, in the claiming transaction (`allowance`): here a contact
is counted again, because two customers may have one number.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from chalicelib.outbox import windows
from chalicelib.outbox.allowance import PERSON_PER_DAY
from chalicelib.outbox.formats import NO_BREAK
from chalicelib.outbox.kinds import Claimed, Kind, Send

# WhatsApp takes free text for that long after the person wrote, less a margin for the way.
CONVERSATION = timedelta(hours=24) - timedelta(minutes=5)
LOOK_AGAIN = timedelta(hours=1)

# COALESCE keeps PostgreSQL from the index of `counted_at`: while its statistics do not know of
# today's messages yet, it would read all of them for each contact.
_FACTS = text("""
SELECT q.id, q.contact, q.nth,
       (SELECT s.reason FROM ponctuel.suppressions s
         WHERE s.lifted_at IS NULL AND s.channel = q.channel
           AND s.business_id IN (q.business_id, '*')
           AND (s.category IN ('*', q.kind) OR (s.category = 'marketing' AND q.marketing))
           AND (s.contact = q.contact OR (q.user_id <> '' AND s.contact = q.user_id)
                OR (s.reason = 'unsubscribe' AND s.person <> '' AND s.person = q.person
                    AND s.business_id = q.business_id))
         ORDER BY s.at LIMIT 1) AS suppressed,
       q.marketing AND NOT EXISTS (
         SELECT 1 FROM ponctuel.consents n
          WHERE n.contact = q.contact AND n.business_id = q.business_id AND n.channel = q.channel
            AND n.withdrawn_at IS NULL) AS unconsented,
       u.day, u.since, l.person_per_day AS per_day,
       CASE WHEN q.channel = 'whatsapp' THEN
         (SELECT max(k.last_inbound_at) FROM ponctuel.contacts k
           WHERE k.business_id = q.business_id AND k.channel = q.channel
             AND k.contact IN (q.contact, q.user_id)) END AS last_inbound_at,
       CASE WHEN q.channel = 'whatsapp' THEN
         (SELECT to_jsonb(t) FROM ponctuel.whatsapp_templates t
           WHERE t.provider = :provider AND t.business_id IN (q.business_id, '*')
             AND t.kind = q.kind AND t.variant = q.variant
           ORDER BY t.business_id = '*' LIMIT 1) END AS template,
       CASE WHEN q.channel = 'whatsapp' THEN
         (SELECT w.sender FROM ponctuel.whatsapp_senders w
           WHERE w.provider = :provider AND w.business_id = q.business_id LIMIT 1) END AS sender
  FROM jsonb_to_recordset(CAST(:asked AS jsonb))
    AS q(id bigint, nth integer, business_id text, channel text, contact text, user_id text,
         person text, kind text, variant text, marketing boolean)
  LEFT JOIN ponctuel.sending_limits l ON l.business_id = q.business_id AND l.channel = q.channel
 CROSS JOIN LATERAL (
   SELECT count(*) AS day, min(m.counted_at) AS since FROM ponctuel.messages m
    WHERE m.contact = q.contact AND m.business_id = q.business_id AND m.id <> q.id
      AND COALESCE(m.counted_at, '-infinity') > ponctuel.clock() - interval '24 hours') u
 ORDER BY q.id, q.nth
""")

# Why a suppressed message is closed: its code, which keeps its key.
SUPPRESSED: Mapping[str, str] = {
    "stop": "opted_out",
    "manual": "opted_out",
    "unsubscribe": "unsubscribed",
    "complaint": "complained",
    "hard_bounce": "address_dead",
    "unreachable": "unreachable",
}
NO_CONSENT = "no_consent"


@dataclass(frozen=True)
class Whom:
    """Whom a message goes to: `contacts` as they are compared (the first is the one it is for), and
    the same person's other name at WhatsApp. `zone`: of the recipient (IANA)."""

    contacts: tuple[str, ...]
    user_id: str = ""
    zone: str = "Europe/Paris"


@dataclass(frozen=True)
class Facts:
    """What is known of one contact of one message."""

    contact: str
    suppressed: str | None
    unconsented: bool
    day: int
    since: datetime | None
    per_day: int | None
    last_inbound_at: datetime | None = None
    template: Mapping[str, Any] | None = None
    sender: str | None = None

    def in_conversation(self, clock: datetime) -> bool:
        """Whether WhatsApp takes free text for this contact at `clock` (aware)."""
        return self.last_inbound_at is not None and clock < self.last_inbound_at + CONVERSATION


@dataclass(frozen=True)
class Denied:
    """`closed`: for good, its key stays taken; else held `until` then (aware). `reason`: a code;
    `why`: a French sentence, where the code does not say all."""

    reason: str
    closed: bool
    until: datetime | None = None
    why: str | None = None


def facts(
    connection: Connection,
    provider: Literal["smtp", "ses", "twilio", "meta"] | str,
    wanted: Sequence[tuple[Claimed, Kind, Send, Whom]],
) -> dict[int, list[Facts]]:
    """For each message, by its id: the facts about its contacts, in their order. Reads only."""
    asked = [
        {
            "id": message.id,
            "nth": nth,
            "business_id": message.business_id,
            "channel": message.channel,
            "contact": contact,
            "user_id": whom.user_id,
            "person": message.person,
            "kind": message.kind,
            "variant": send.variant,
            "marketing": kind.category == "marketing",
        }
        for message, kind, send, whom in wanted
        if not kind.operational
        for nth, contact in enumerate(whom.contacts)
    ]
    found: dict[int, list[Facts]] = {}
    if asked:
        values = {"provider": provider, "asked": json.dumps(asked)}
        for row in connection.execute(_FACTS, values).mappings():
            known = {name: row[name] for name in Facts.__dataclass_fields__}
            found.setdefault(row["id"], []).append(Facts(**known))
    return found


def in_turn(
    wanted: Sequence[tuple[Claimed, Kind, Send, Whom]],
    known: Mapping[int, Sequence[Facts]],
    clock: datetime,
) -> list[Sequence[Facts]]:
    """The facts of each message once those before it have left: they are counted together, and two
    of them may be for one contact."""
    counted: Counter[tuple[str, str]] = Counter()
    found: list[Sequence[Facts]] = []
    for message, kind, send, whom in wanted:
        facts = [
            replace(fact, day=fact.day + counted[message.business_id, fact.contact])
            for fact in known.get(message.id, ())
        ]
        if facts and denied(kind, whom, facts, clock, send.subdivision) is None:
            counted[message.business_id, welcome(facts)[0].contact] += 1
        found.append(facts)
    return found


def welcome(known: Sequence[Facts]) -> tuple[Facts, ...]:
    """The contacts that may be written to at all."""
    return tuple(fact for fact in known if fact.suppressed is None and not fact.unconsented)


def denied(
    kind: Kind, whom: Whom, known: Sequence[Facts], clock: datetime, subdivision: str | None = None
) -> Denied | None:
    """Why the message may not leave at `clock` (aware), None if it may."""
    if kind.operational:
        return None
    welcomed = welcome(known)
    if not welcomed:
        first = known[0]
        reason = NO_CONSENT if first.suppressed is None else SUPPRESSED[first.suppressed]
        return Denied(reason, closed=True)
    until = _quiet_until(kind, whom.zone, clock, subdivision)
    if until is not None:
        return Denied("quiet", closed=False, until=until, why=_hour(clock, whom.zone))
    first = welcomed[0]
    most = PERSON_PER_DAY if first.per_day is None else first.per_day
    if kind.capped and first.day >= most:
        until = first.since + timedelta(hours=24) if first.since else clock + LOOK_AGAIN
        return Denied("cap", closed=False, until=until)
    return None


def _hour(clock: datetime, zone: str) -> str:
    there = clock.astimezone(_local(zone))
    hour = NO_BREAK.join((str(there.hour), "h", f"{there.minute:02}"))
    return f"Il était {hour} chez le destinataire."


def _local(zone: str) -> ZoneInfo:
    """An unknown zone is taken for that of Paris."""
    return windows.zone(zone) or ZoneInfo("Europe/Paris")


def _quiet_until(
    kind: Kind, zone: str, clock: datetime, subdivision: str | None
) -> datetime | None:
    """When the recipient's hours begin again; None: they are now, or the kind has none."""
    if kind.hours is None:
        return None
    local, hours = _local(zone), kind.hours
    if hours.business_days_only and hours.subdivision is None and subdivision:
        hours = replace(hours, subdivision=subdivision)
    opening = windows.next_allowed(clock, local, hours)
    if opening is None:
        return clock + LOOK_AGAIN
    return opening if opening > clock else None
