"""How much may leave on a channel now: the account's rate, circuits, quotas, and a person's caps.

Asked in the claiming transaction, in which one row is locked: two processes that claim count one
after the other. What is claimed counts from then on (`messages.counted_at`), and no more once it
was given back, held or refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from chalicelib.outbox import circuit, rates
from chalicelib.outbox.channels import Channel
from chalicelib.outbox.circuit import Circuit, Policy
from chalicelib.outbox.kinds import Claimed, Kind
from chalicelib.outbox.rates import Bucket

ACCOUNT = ""  # what concerns the whole account, not one business's sender
BREAKER = Policy()
DAY = timedelta(hours=24)
WEEK = timedelta(days=7)
# Enough for an order's four messages, and far below what makes people complain; `sending_limits`
# has other numbers for a business.
PERSON_PER_DAY = 4
PERSON_PER_WEEK = 12

_OPEN = text("""
WITH counted AS (SELECT id, claims FROM ponctuel.deployment FOR UPDATE), states AS (
  SELECT * FROM ponctuel.channel_states WHERE channel = :channel FOR UPDATE
)
SELECT counted.id, counted.claims, ponctuel.clock() AS clock, s.business_id, s.tokens, s.tokens_at,
       s.failures, s.opened_at, s.openings, s.trial_at
  FROM counted LEFT JOIN states s ON true
""")

_COUNT = text("UPDATE ponctuel.deployment SET claims = claims + 1 RETURNING claims")

_SAVE = text("""
INSERT INTO ponctuel.channel_states (channel, business_id, tokens, tokens_at, failures, opened_at,
                                     openings, trial_at)
SELECT :channel, s.business_id, s.tokens, s.tokens_at, s.failures, s.opened_at, s.openings,
       s.trial_at
  FROM jsonb_to_recordset(CAST(:states AS jsonb))
    AS s(business_id text, tokens double precision, tokens_at timestamptz, failures integer,
         opened_at timestamptz, openings integer, trial_at timestamptz)
    ON CONFLICT (channel, business_id) DO UPDATE
   SET tokens = COALESCE(excluded.tokens, channel_states.tokens),
       tokens_at = COALESCE(excluded.tokens_at, channel_states.tokens_at),
       failures = excluded.failures, opened_at = excluded.opened_at, openings = excluded.openings,
       trial_at = excluded.trial_at
""")

# `of` says what is counted: the account, a business, or a person of a business. COALESCE keeps
# PostgreSQL from the index of `counted_at`: while its statistics do not know of the week's messages
# yet, it would read all of them for each person.
_USED = text("""
WITH claimed AS (
  SELECT DISTINCT business_id, person FROM jsonb_to_recordset(CAST(:claimed AS jsonb))
      AS c(business_id text, person text)
), limits AS (
  SELECT l.* FROM ponctuel.sending_limits l
   WHERE l.channel = :channel AND l.business_id IN (SELECT business_id FROM claimed)
)
SELECT 'account' AS of, '' AS business_id, '' AS person, NULL::integer AS per_day,
       NULL::integer AS per_week, count(*) AS day, 0 AS week, min(m.counted_at) AS day_since,
       NULL::timestamptz AS week_since
  FROM ponctuel.messages m
 WHERE :account AND m.channel = :channel AND m.counted_at > ponctuel.clock() - interval '24 hours'
   AND m.claim_id IS DISTINCT FROM :claim_id
UNION ALL
SELECT 'business', l.business_id, '', l.per_day, NULL, count(m.id), 0, min(m.counted_at), NULL
  FROM limits l LEFT JOIN ponctuel.messages m
    ON m.business_id = l.business_id AND m.channel = l.channel
   AND m.counted_at > ponctuel.clock() - interval '24 hours'
   AND m.claim_id IS DISTINCT FROM :claim_id
 WHERE l.per_day IS NOT NULL GROUP BY l.business_id, l.per_day
UNION ALL
SELECT 'person', c.business_id, c.person, l.person_per_day, l.person_per_week, u.day, u.week,
       u.day_since, u.week_since
  FROM claimed c LEFT JOIN limits l USING (business_id)
 CROSS JOIN LATERAL (
   SELECT count(*) FILTER (WHERE m.counted_at > ponctuel.clock() - interval '24 hours') AS day,
          count(*) AS week, min(m.counted_at) AS week_since,
          min(m.counted_at) FILTER (WHERE m.counted_at > ponctuel.clock() - interval '24 hours')
            AS day_since
     FROM ponctuel.messages m
    WHERE m.business_id = c.business_id AND m.person = c.person
      AND COALESCE(m.counted_at, '-infinity') > ponctuel.clock() - interval '7 days'
      AND m.claim_id IS DISTINCT FROM :claim_id) u
 WHERE c.person <> ''
""")


@dataclass
class Allowance:
    """What a channel may do, as of its last claim. `granted`: how many may be claimed. `wait`:
    seconds after which it is worth asking again, when none may. `shut`: businesses whose own sender
    is left alone. `deployment` and `claims`: see `restored`."""

    channel: Channel
    deployment: UUID
    claims: int
    clock: datetime
    granted: int
    wait: float = 0.0
    bucket: Bucket | None = None
    circuits: dict[str, Circuit] = field(default_factory=dict)
    on_trial: bool = False
    changed: set[str] = field(default_factory=set)

    @property
    def shut(self) -> set[str]:
        return {
            business
            for business, state in self.circuits.items()
            if business != ACCOUNT and circuit.position(state, BREAKER, self.clock) == "open"
        }

    def answered(self, business_id: str, *, failed: bool, clock: datetime) -> None:
        """Counts one call's answer for a circuit (the account's, or a business's sender's)."""
        before = self.circuits.get(business_id, circuit.CLOSED)
        trial = self.on_trial or business_id != ACCOUNT
        if failed:
            after = circuit.failed(before, BREAKER, clock, was_trial=trial and _is_open(before))
        else:
            after = circuit.succeeded(before, was_trial=trial)
        if after != before:
            self.circuits[business_id] = after
            self.changed.add(business_id)

    def slow_down(self, clock: datetime) -> None:
        """The provider says that it goes too fast."""
        if self.bucket is not None:
            self.bucket = rates.drained(self.bucket, clock)
            self.changed.add(ACCOUNT)


@dataclass(frozen=True)
class Excess:
    """A claimed message that may not leave now; `until` is aware."""

    id: int
    reason: str
    until: datetime


def ask(connection: Connection, channel: Channel, wanted: int) -> Allowance:
    """Locks, and says how many of `wanted` messages may be claimed on the channel now."""
    rows = connection.execute(_OPEN, {"channel": channel.name}).mappings().all()
    clock: datetime = rows[0]["clock"]
    found = Allowance(channel, rows[0]["id"], rows[0]["claims"], clock, wanted)
    for row in rows:
        if row["business_id"] is not None:
            found.circuits[row["business_id"]] = Circuit(
                row["failures"], row["opened_at"], row["openings"], row["trial_at"]
            )
        if row["business_id"] == ACCOUNT and row["tokens"] is not None:
            found.bucket = Bucket(row["tokens"], row["tokens_at"])
    own = found.circuits.get(ACCOUNT, circuit.CLOSED)
    place = circuit.position(own, BREAKER, clock)
    if place == "open":
        found.granted = 0
        return found
    if place == "half_open":
        found.granted, found.on_trial = 1, True
    if channel.rate is not None:
        bucket = found.bucket or rates.full(channel.rate, clock)
        granted, found.bucket = rates.take(bucket, channel.rate, clock, found.granted)
        if granted == 0:
            found.wait = rates.seconds_until(found.bucket, channel.rate, clock)
        found.granted = granted
        found.changed.add(ACCOUNT)
    return found


def took(connection: Connection, allowance: Allowance, count: int) -> None:
    """`count` messages were claimed, which is counted: what was granted beyond goes back into the
    bucket, and a trial that has its message is under way."""
    if count:
        allowance.claims = connection.execute(_COUNT).scalar_one()
    rate, bucket = allowance.channel.rate, allowance.bucket
    if rate is not None and bucket is not None:
        allowance.bucket = rates.give_back(bucket, rate, allowance.granted - count)
    if allowance.on_trial and count:
        state = allowance.circuits[ACCOUNT]
        allowance.circuits[ACCOUNT] = replace(state, trial_at=allowance.clock)
        allowance.changed.add(ACCOUNT)


def save(connection: Connection, allowance: Allowance) -> None:
    """Writes what changed, if anything did."""
    if not allowance.changed:
        return
    states = []
    for business in sorted(allowance.changed):
        state = allowance.circuits.get(business, circuit.CLOSED)
        bucket = allowance.bucket if business == ACCOUNT else None
        states.append(
            {
                "business_id": business,
                "tokens": bucket.tokens if bucket else None,
                "tokens_at": bucket.at.isoformat() if bucket else None,
                "failures": state.failures,
                "opened_at": _iso(state.opened_at),
                "openings": state.openings,
                "trial_at": _iso(state.trial_at),
            }
        )
    values = {"channel": allowance.channel.name, "states": json.dumps(states)}
    connection.execute(_SAVE, values)
    allowance.changed.clear()


def excess(
    connection: Connection,
    allowance: Allowance,
    claim_id: UUID,
    claimed: Sequence[tuple[Claimed, Kind]],
    reserve: float,
) -> list[Excess]:
    """Those of the claimed messages, with their kinds, that exceed a quota or a person's cap."""
    bounded = [(message, kind) for message, kind in claimed if not kind.operational]
    if not bounded:
        return []
    asked = [{"business_id": m.business_id, "person": m.person} for m, _kind in bounded]
    values = {
        "channel": allowance.channel.name,
        "account": allowance.channel.quota is not None,
        "claimed": json.dumps(asked),
        "claim_id": claim_id,
    }
    rows = connection.execute(_USED, values).mappings()
    used = {(row["of"], row["business_id"], row["person"]): dict(row) for row in rows}
    return list(_beyond(allowance, bounded, used, reserve))


def _beyond(
    allowance: Allowance,
    claimed: Sequence[tuple[Claimed, Kind]],
    used: Mapping[tuple[str, str, str], dict[str, Any]],
    reserve: float,
) -> Iterator[Excess]:
    """In the order of the claim: who comes first has what is left."""
    clock, quota = allowance.clock, allowance.channel.quota
    for message, kind in claimed:
        share = 1.0 - reserve if kind.category == "marketing" else 1.0
        business = used.get(("business", message.business_id, ""))
        counters = [(used.get(("account", "", "")), quota), (business, _per_day(business))]
        full = next((c for c, most in counters if c and _full(c, "day", most, share)), None)
        if full is not None:
            yield Excess(message.id, "quota", (full["day_since"] or clock) + DAY)
            continue
        person = used.get(("person", message.business_id, message.person))
        until = _capped_until(person, clock) if person and kind.capped else None
        if until is not None:
            yield Excess(message.id, "cap", until)
            continue
        for counter in (*(c for c, _most in counters if c), *([person] if person else [])):
            counter["day"] += 1
            counter["week"] += 1


def _per_day(counter: Mapping[str, Any] | None) -> int | None:
    return counter["per_day"] if counter else None


def _full(counter: Mapping[str, Any], period: str, most: int | None, share: float = 1.0) -> bool:
    return most is not None and counter[period] >= int(most * share)


def _capped_until(person: Mapping[str, Any], clock: datetime) -> datetime | None:
    """When the person may be written to again, None: now."""
    per_day = PERSON_PER_DAY if person["per_day"] is None else person["per_day"]
    per_week = PERSON_PER_WEEK if person["per_week"] is None else person["per_week"]
    if _full(person, "week", per_week):
        return (person["week_since"] or clock) + WEEK
    if _full(person, "day", per_day):
        return (person["day_since"] or clock) + DAY
    return None


def _is_open(state: Circuit) -> bool:
    return state.opened_at is not None


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None
