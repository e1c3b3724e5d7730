"""What the state machine plays with: a real ledger, processes that deliver and reconcile, and the
world outside, which knows what providers have accepted.

`World` has one method for each thing that can happen. `state_machine_checks` says what must be true
after each of them.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from chalicelib.db.engine import transaction
from chalicelib.errors import DatabaseUnavailable
from chalicelib.message_reference import number_of, reference
from chalicelib.outbox import deliver as delivering
from chalicelib.outbox import (
    events,
    kinds,
    lane,
    operator,
    recording,
    senders,
    suppressions,
    whatsapp_texts,
)
from chalicelib.outbox.channels import Channel, Outbox
from chalicelib.outbox.kinds import Cancel, Claimed, Hold, Kind, Send, Verdict
from chalicelib.outbox.plan import allow_list, planning_statement
from chalicelib.outbox.proofs import Doubt, Search
from chalicelib.outbox.suppressions import Suppression
from chalicelib.runner.deadline import Deadline
from chalicelib.webhooks.events import StatusEvent
from tests.harness import Deployment
from tests.outbox.processes import (
    Process,
    ScriptedProvider,
    SimulatedTime,
    SteppedSenders,
    Trouble,
)
from tests.outbox.state_machine_providers import NAMES, Providers

Key = tuple[str, str, str, str]  # business, kind, subject, cycle
Where = Literal["email", "whatsapp"]

CONCURRENCY = 2
LIFETIME_S = 400.0
# A connection that is open takes what its process has written, for as long as a call may last.
ON_ITS_WAY_S = 60.0
CONTACTS: Mapping[str, tuple[str, str]] = {
    "email": ("a@client.example", "b@client.example"),
    "whatsapp": ("+33639980001", "+33639980002"),
}
SUBJECTS = 8
_TEXT = whatsapp_texts.sample("quote_followup")
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
_CANDIDATES = """
SELECT c.*, '' AS step, 'P' || c.subject AS person, ponctuel.clock() AS not_before,
       ponctuel.clock() + interval '7 days' AS expires_at, CAST(NULL AS jsonb) AS lines
  FROM jsonb_to_recordset(CAST(:asked AS jsonb))
    AS c(business_id text, kind text, subject text, cycle text, channel text, recipient text,
         content jsonb, order_key text)
"""
_LIVE = """
INSERT INTO ponctuel.go_lives (business_id, kind, at, by)
SELECT business, kind, now(), 'test' FROM unnest(ARRAY['B1','B2']) AS business,
       unnest(ARRAY['*','probe.leaves','probe.resends']) AS kind
UNION ALL SELECT '*', '*', now(), 'test';
INSERT INTO ponctuel.whatsapp_templates (business_id, provider, kind, variant, name, set_at, set_by)
SELECT '*', 'twilio', kind, 'rappel', 'HX' || repeat('0', 32), now(), 'test'
  FROM unnest(ARRAY['probe.leaves','probe.resends']) AS kind;
INSERT INTO ponctuel.runs (id, job, zone, door, status, created_at, finished_at)
VALUES ('00000000-0000-0000-0000-000000000001', 'followups', 'Europe/Paris', 'schedule',
        'succeeded', now(), now());
"""
RUN = UUID(int=1)


@dataclass
class Orphan:
    """A call whose process is dead; `latest`: when it can arrive no more (simulated, monotonic)."""

    letter: Any
    latest: float


def _key_of(subject: int, cycle: int) -> Key:
    kind = "probe.resends" if subject % 4 >= 2 else "probe.leaves"
    return ("B1" if subject < 4 else "B2", kind, f"S{subject}", str(cycle))


class World:
    """`allowed`: how many copies of a key may exist, one unless somebody has decided otherwise.
    `arrived`, `resent`: rows that the operator has declared arrived, or had sent again. `open`: how
    many messages may still leave, or be proved; `in_doubt`: rows that are uncertain."""

    def __init__(self, deployment: Deployment, engine: Engine, patch: pytest.MonkeyPatch) -> None:
        self.time = SimulatedTime()
        self.keys: dict[int, Key] = {}
        self.planned: set[Key] = set()
        self.allowed: Counter[Key] = Counter()
        self.arrived: set[int] = set()
        self.resent: set[int] = set()
        self.open = 0
        self.in_doubt: list[int] = []
        self.resends: Counter[int] = Counter()
        self.processes: list[Process] = []
        self.orphans: list[Orphan] = []
        self.events: list[StatusEvent] = []
        self.verdicts: dict[str, str] = {}
        self.script: deque[Callable[[Any], Any]] = deque()
        self._numbers = itertools.count(1)
        self._database = deployment.database
        self.engine = engine
        deployment.empty()
        deployment.execute(_LIVE)
        self.deployment: UUID = deployment.rows("SELECT id FROM ponctuel.deployment")[0]["id"]
        self.providers = Providers(self.deployment, self.now)
        self.copies, self.blind = self.providers.copies, self.providers.blind
        for name, when in (("probe.leaves", "leave"), ("probe.resends", "resend")):
            patch.setitem(kinds._KINDS, name, _kind(name, when, self._guard))
        for module in (lane, recording, senders):
            patch.setattr(module, "time", self.time)
        patch.setattr(delivering, "Senders", SteppedSenders)

    # What happens.

    def plan(self, subjects: Sequence[int], cycle: int, *, of_run: bool) -> None:
        asked = []
        for subject in sorted(set(subjects)):
            key = _key_of(subject, cycle)
            self.planned.add(key)
            self.allowed[key] = max(1, self.allowed[key])
            channel: Where = "whatsapp" if subject % 2 == 0 else "email"
            asked.append(
                {
                    **dict(zip(("business_id", "kind", "subject", "cycle"), key, strict=True)),
                    "channel": channel,
                    "recipient": CONTACTS[channel][subject // 2 % 2 if subject else 1],
                    "content": {"subject": subject},
                    "order_key": "O" if subject in (0, 2) else None,
                }
            )
        values = {"asked": json.dumps(asked), "allow_list": allow_list()}
        values["run_id"] = str(RUN) if of_run else None  # type: ignore[assignment]  # a null
        with transaction(self.engine) as connection:
            connection.execute(text(planning_statement(_CANDIDATES, "SELECT 1")), values)

    def start(self) -> Process:
        """A process that delivers."""
        end = self.time.monotonic() + LIFETIME_S
        deadline = Deadline(lambda: end - self.time.monotonic())

        def work(process: Process) -> object:
            watched: Any = process  # an engine, as far as it is used
            channels = {
                name: Channel(
                    name,
                    provider=provider,
                    open=partial(ScriptedProvider, provider, self.script),
                    concurrency=CONCURRENCY,
                )
                for name, provider in NAMES.items()
            }
            proofs = [_Source(self, process, channel) for channel in NAMES]
            return delivering.deliver(Outbox(watched, channels, None, proofs=proofs), deadline)

        process = Process(self.engine, work, until=end)
        self.processes.append(process)
        process.go()
        return process

    def go(self, process: Process, trouble: Trouble = "") -> None:
        """On to where it stops next; one that has ended goes. What it owes the ledger then, its
        function's next process owes it no more: a Lambda may be cold."""
        process.go(trouble)
        if process.at == "end":
            self.processes.remove(process)
            if not isinstance(process.error, DatabaseUnavailable | None):
                raise process.error

    def kill(self, process: Process) -> None:
        for call in process.kill():
            self.orphans.append(Orphan(call.submission.letter, call.latest + ON_ITS_WAY_S))
        self.processes.remove(process)

    def answer(self, process: Process, nth: int, outcome: str) -> None:
        """One of the process's calls reaches its provider; what that makes of it."""
        call = process.unmade[nth % len(process.unmade)]
        self.script.append(lambda letter: self.providers.answer(letter, outcome))
        call.news = call.make()
        self.script.clear()  # it did not call: too late

    def arrive(self, nth: int) -> None:
        """A call whose process is dead arrives."""
        self.providers.accept(self.orphans.pop(nth % len(self.orphans)).letter)

    def lost(self) -> None:
        """Calls of dead processes that have not arrived by now never will."""
        now = self.time.monotonic()
        self.orphans = [orphan for orphan in self.orphans if now < orphan.latest]

    def tell(self, nth: int, state: Any, *, named: bool) -> None:
        """A webhook about a copy. `named`: it echoes our reference."""
        copy = self.copies[nth % len(self.copies)]
        failed = state == "failed"
        self._tell(
            StatusEvent(
                provider=NAMES[copy.channel],
                provider_id=copy.provider_id,
                reference=reference(self.deployment, copy.row) if named else None,
                state=state,
                code=("30008" if copy.channel == "whatsapp" else "Transient") if failed else None,
                at=self.now(),
                event_key=f"{copy.provider_id}:{state}",
            )
        )

    def tell_again(self, nth: int) -> None:
        self._tell(self.events[nth % len(self.events)])

    def tell_of_another_deployment(self, nth: int, state: Any) -> None:
        """The same number, of a stage that shares the account."""
        row = sorted(self.keys)[nth % len(self.keys)]
        number = next(self._numbers)
        before = self.rows()
        event = StatusEvent(
            *("twilio", f"SMother{number}", reference(uuid4(), row), state, None, self.now()),
            event_key=f"other:{number}",
        )
        with transaction(self.engine) as connection:
            applied = events.apply(connection, [event], received_at=event.at)
        assert (applied.outcomes, self.rows()) == ({"noted": 1}, before)

    def operate(self, action: str, row: int) -> None:
        act = {"cancel": operator.cancel, "release": operator.release, "resend": operator.resend}
        call = act.get(action, operator.arrived)
        with transaction(self.engine) as connection:
            changed = call(connection, [row], by="test", reason="essai").changed
        if changed and action == "resend":
            self.permit(row)
            self.resent.add(row)
        if changed and action == "arrived":
            self.arrived.add(row)

    def suppress(self, channel: Where, nth: int) -> None:
        entry = Suppression("B1", channel, CONTACTS[channel][nth % 2], "manual", source="test")
        with transaction(self.engine) as connection:
            suppressions.suppress(connection, [entry])

    def lift(self, channel: Where, nth: int) -> None:
        with transaction(self.engine) as connection:
            suppressions.lift(
                connection,
                business_id="B1",
                channel=channel,
                contact=CONTACTS[channel][nth % 2],
                reasons=["manual"],
                by="test",
                why="essai",
            )

    def pause(self, *, paused: bool) -> None:
        with transaction(self.engine) as connection:
            connection.execute(
                text(
                    "UPDATE ponctuel.job_state SET paused_at = CASE WHEN :paused THEN "
                    "ponctuel.clock() END WHERE job = 'followups'"
                ),
                {"paused": paused},
            )

    def jump(self, seconds: float) -> None:
        self._database.advance(timedelta(seconds=seconds))
        self.time.passed += seconds
        self.lost()

    # What is known.

    def now(self) -> datetime:
        with transaction(self.engine) as connection:
            return events.clock(connection)

    def rows(self) -> list[Mapping[str, Any]]:
        """Every message, by id. `told`: an event about it has been applied."""
        with transaction(self.engine) as connection:
            return [dict(row) for row in connection.execute(_ROWS).mappings()]

    def copies_of(self, key: Key) -> int:
        return sum(self.keys[copy.row] == key for copy in self.copies)

    def in_flight(self, row: int) -> int:
        """Calls for that message that a provider may still take."""
        now = self.time.monotonic()
        letters = [orphan.letter for orphan in self.orphans]
        for process in self.processes:
            letters += [call.submission.letter for call in process.unmade if now <= call.latest]
        return sum(number_of(one.reference, self.deployment) == row for one in letters)

    def permit(self, row: int) -> None:
        """Somebody decides that the message may be sent once more."""
        key = self.keys[row]
        possible = self.copies_of(key) + self.in_flight(row)
        self.allowed[key] = max(self.allowed[key], possible + 1)

    def next_event(self) -> float | None:
        """Seconds until something that waits may go on by itself; None when nothing does."""
        with transaction(self.engine) as connection:
            found: float | None = connection.execute(_NEXT).scalar()
            return found

    def _tell(self, event: StatusEvent) -> None:
        if event not in self.events:
            self.events.append(event)
        with transaction(self.engine) as connection:
            events.apply(connection, [event], received_at=event.at)

    def _guard(
        self, _connection: Connection, messages: Sequence[Claimed], now: datetime
    ) -> Mapping[int, Verdict]:
        return {message.id: self._verdict(message, now) for message in messages}

    def _verdict(self, message: Claimed, now: datetime) -> Verdict:
        wanted = self.verdicts.get(message.subject, "send")
        if wanted == "cancel":
            return Cancel("settled")
        if wanted == "hold":
            return Hold("window", now + timedelta(minutes=10))
        if message.channel == "email":
            return Send(_LETTER, recipients=message.recipient or "")
        # Two of them say the same to the same person.
        number = "D" if message.subject in ("S0", "S2") else f"D{message.subject}"
        content = _TEXT | {"documents": [{**_TEXT["documents"][0], "number": number}]}
        return Send(content, recipients=message.recipient or "", variant="rappel")


_ROWS = text("""
SELECT id, business_id, kind, subject, cycle, channel, state, hold_reason, key_free, error_code,
       proof_at IS NOT NULL AS to_prove, resends, EXISTS (
         SELECT 1 FROM ponctuel.webhook_events e
          WHERE e.message_id = messages.id AND e.outcome IN ('applied','stale')
            AND e.type = 'status') AS told
  FROM ponctuel.messages WHERE business_id <> '' ORDER BY id
""")
# A circuit that is open says nowhere until when: an hour at most.
_NEXT = text("""
SELECT extract(epoch FROM min(at) - ponctuel.clock())::float8 FROM (
  SELECT claimed_until AS at FROM ponctuel.messages WHERE state IN ('claimed','submitting')
   UNION ALL SELECT not_before FROM ponctuel.messages WHERE state IN ('planned','held')
   UNION ALL SELECT proof_at FROM ponctuel.messages WHERE state = 'uncertain'
   UNION ALL SELECT expires_at FROM ponctuel.messages WHERE state IN ('planned','held')
   UNION ALL SELECT ponctuel.clock() + interval '1 hour' FROM ponctuel.messages
     WHERE state = 'planned' AND not_before <= ponctuel.clock()
) AS events WHERE at > ponctuel.clock()
""")


@dataclass
class _Source:
    """Where proof is looked for on one channel."""

    world: World
    process: Process
    channel: str

    def search(self, doubts: Sequence[Doubt], _deadline: Deadline) -> Search:
        self.process.reach("search")
        return {doubt.id: self.world.providers.search(doubt) for doubt in doubts}


def _kind(name: str, when_unknown: Any, guard: Any) -> Kind:
    return Kind(
        name=name,
        title="Sonde",
        template="operator_alert",
        guard=guard,
        late_after=timedelta(days=7),
        when_unknown=when_unknown,
        proof_window=timedelta(hours=2),
        hours=None,
        capped=False,
        whatsapp="quote_followup",
    )
