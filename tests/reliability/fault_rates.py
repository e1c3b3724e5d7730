"""Thousands of messages to a provider that fails at a rate, in every way that it can: each leaves
once, or the ledger says why not; what can be proved is proved within minutes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.outbox import kinds, whatsapp_texts
from chalicelib.outbox.kinds import Claimed, Kind, Send, Verdict
from tests.harness import Deployment
from tests.reliability.fault_sides import Side, opened
from tests.reliability.recovery import next_event
from tests.reliability.trial import Finding

SIDES = ("twilio", "meta", "smtp")
RATES = (1, 10, 50)  # percent
CASES = tuple(f"{side}-{rate}" for side in SIDES for rate in RATES)
# That long the minutes go by one by one; then only while something is to be proved.
MINUTES = 12
MOST_TICKS = 200
MINUTE = timedelta(minutes=1)
PROVED_WITHIN = timedelta(minutes=15)
LEAST_SHARE = 0.99
REPORTED = ("refused", "uncertain", "expired", "cancelled")

_TEXT = whatsapp_texts.sample("quote_followup")
_PLAN = """
INSERT INTO ponctuel.messages (business_id, kind, subject, channel, person, recipient, state,
                               planned_at, not_before, expires_at)
SELECT 'B' || mod(n, 5), CASE mod(n, 2) WHEN 0 THEN 'probe.leaves' ELSE 'probe.resends' END,
       'S' || n,
       CAST(:channel AS text), 'P' || n,
       CASE CAST(:channel AS text) WHEN 'email' THEN 'p' || n || '@client.example'
                     ELSE '+336' || lpad((10000000 + n)::text, 8, '0') END,
       'planned', ponctuel.clock(), ponctuel.clock(), ponctuel.clock() + interval '7 days'
  FROM generate_series(1, CAST(:count AS int)) AS n
"""
_DUE = """
SELECT count(*) AS n FROM ponctuel.messages
 WHERE state IN ('planned','held') AND not_before <= ponctuel.clock()
"""
_TEMPLATES = """
INSERT INTO ponctuel.whatsapp_templates (business_id, provider, kind, variant, name, set_at, set_by)
SELECT '*', provider, kind, 'rappel', CASE provider WHEN 'meta' THEN 'rappel'
       ELSE 'HX' || repeat('0', 32) END, now(), 'test'
  FROM unnest(ARRAY['probe.leaves','probe.resends']) AS kind,
       unnest(ARRAY['twilio','meta']) AS provider
"""


def trial(
    deployment: Deployment, job: str, case: str, draw: random.Random, *, messages: int = 2800
) -> Finding:
    """`case`: the provider and the rate, in percent. Half of the messages are of a kind that is
    sent again when no proof was found within an hour."""
    name, _, rate = case.partition("-")
    deployment.go_live("B0")
    deployment.execute(_TEMPLATES)
    with _probe_kinds(), opened(name, deployment, draw) as side:
        side.misbehave(int(rate) / 100)
        deployment.execute(_PLAN, channel=side.channel, count=messages)
        watch = _Watch(side)
        _until_it_rests(deployment, side, watch)
        done = Counter(messages=messages, faults=side.faults(), **watch.told())
        wrong = _judged(deployment, side)
    assert watch.share() >= LEAST_SHARE, f"{watch.share():.2%} proved in time: {done}"
    return Finding(wrong, done=done)


def _until_it_rests(deployment: Deployment, side: Side, watch: _Watch) -> None:
    begun = deployment.clock()
    for tick in range(MOST_TICKS):
        deployment.tick("deliver_messages", hours=1 / 60)
        now = deployment.clock()
        side.tell(_minutes(now - begun))
        watch.look(deployment)
        due = deployment.rows(_DUE)[0]["n"]
        if tick < MINUTES or due or any(watch.open.values()):
            continue
        events = [next_event(deployment, proofs=True), side.speaks_at]
        waiting = [
            event if isinstance(event, datetime) else begun + timedelta(minutes=event)
            for event in events
            if event is not None
        ]
        if not waiting:
            return
        if min(waiting) > now + MINUTE:
            deployment.database.set_clock(min(waiting) - MINUTE)
    raise AssertionError("still not at rest")


def _minutes(duration: timedelta) -> float:
    return duration / MINUTE


@dataclass
class _Watch:
    """What becomes of uncertain messages, by message and time of the call."""

    side: Side
    open: dict[tuple[int, datetime], bool] = field(default_factory=dict)
    took: list[timedelta] = field(default_factory=list)
    unprovable: int = 0

    def look(self, deployment: Deployment) -> None:
        """Whoever is uncertain for the first time could be proved if the provider has it by now."""
        rows = deployment.rows(
            "SELECT id, submitting_at, ponctuel.clock() AS now FROM ponctuel.messages "
            "WHERE state = 'uncertain' AND business_id <> ''"
        )
        now = rows[0]["now"] if rows else deployment.clock()
        seen = {(row["id"], row["submitting_at"]) for row in rows}
        new = seen - self.open.keys()
        if new:
            accepted, names = set(self.side.accepted()), self.side.names()
            for one in new:
                self.open[one] = names[one[0]] in accepted
                self.unprovable += not self.open[one]
        for one in self.open.keys() - seen:
            if self.open.pop(one):
                self.took.append(now - one[1])

    def share(self) -> float:
        """Of those that could be proved, how many were in time."""
        left = sum(self.open.values())
        in_time = sum(took <= PROVED_WITHIN for took in self.took)
        return in_time / (len(self.took) + left) if self.took or left else 1.0

    def told(self) -> Mapping[str, int]:
        in_time = sum(took <= PROVED_WITHIN for took in self.took)
        provable = len(self.took) + sum(self.open.values())
        return {"provable": provable, "proved_in_time": in_time, "unprovable": self.unprovable}


def _judged(deployment: Deployment, side: Side) -> Counter[str]:
    accepted, names = Counter(side.accepted()), side.names()
    wrong: Counter[str] = Counter(duplicate=sum(n - 1 for n in accepted.values()))
    for message in deployment.messages():
        state, has_left = message["state"], accepted[names[message["id"]]] > 0
        if state in ("accepted", "delivered", "failed"):
            wrong["false"] += not has_left
        elif state not in REPORTED or (state == "uncertain" and message["proof_at"] is not None):
            wrong["lost"] += 1
        elif has_left:
            wrong["unexpected"] += 1
    return +wrong


@contextmanager
def _probe_kinds() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, when in (("probe.leaves", "leave"), ("probe.resends", "resend")):
            patch.setitem(kinds._KINDS, name, _kind(name, when))
        yield


def _kind(name: str, when_unknown: Any) -> Kind:
    return Kind(
        name=name,
        title="Sonde",
        template="operator_alert",
        guard=_wanted,
        late_after=timedelta(days=7),
        when_unknown=when_unknown,
        proof_window=timedelta(hours=1),
        hours=None,
        capped=False,
        whatsapp="quote_followup",
    )


def _wanted(_connection: Any, messages: Sequence[Claimed], _now: datetime) -> Mapping[int, Verdict]:
    return {
        message.id: Send(
            _LETTER if message.channel == "email" else _TEXT,
            recipients=message.recipient or "",
            variant="" if message.channel == "email" else "rappel",
        )
        for message in messages
    }


_LETTER = {
    "job_title": "Sonde",
    "job": "probe",
    "status": "failed",
    "run_id": "r1",
    "stage": "test",
    "when": "2026-03-10T09:00:00+00:00",
    "error": "essai",
    "url": None,
}
