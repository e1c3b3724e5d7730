"""Planning: keys, review, the stage, windows, surges; and dry runs that foretell all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from chalicelib.outbox import kinds, operator
from chalicelib.outbox.kinds import Claimed, Kind, Send, Verdict
from chalicelib.outbox.plan import SURGE_FACTOR, SURGE_FLOOR, Plan, keys
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.job import Batch, Job, Outcome, Prepared, Preview, Run, Step
from chalicelib.runner.request import request_dry_run, run_or_raise
from chalicelib.runner.work import rehearse, work
from tests.harness import Deployment
from tests.runner.probe import DUE, TABLES
from tests.runner.probe import job as probe

SELECT = """
SELECT business_id, 'probe.letter' AS kind, item AS subject, '' AS cycle, '1' AS step,
       'email' AS channel, item AS person, item || '@customers.example' AS recipient,
       '{{"job": "probe"}}'::jsonb AS content, {opens} AS not_before,
       ponctuel.clock() + interval '7 days' AS expires_at, {lines} AS lines, NULL AS order_key
  FROM batch
"""
NOW = "CAST(:now AS timestamptz)"
TOMORROW = f"{NOW} + interval '20 hours'"
TWO_LINES = """jsonb_build_array(
  jsonb_build_object('kind', 'probe.line', 'subject', item || '-a', 'cycle', '0', 'step', '1'),
  jsonb_build_object('kind', 'probe.line', 'subject', item || '-b', 'cycle', '0', 'step', '2'))"""


def _always(
    _connection: Connection, messages: Sequence[Claimed], _now: datetime
) -> Mapping[int, Verdict]:
    return {m.id: Send(m.content, recipients=m.recipient or "") for m in messages}


KIND = Kind("probe.letter", "Sonde", "operator_alert", _always, timedelta(days=7))


def planner(opens: str = NOW, lines: str = "NULL::jsonb", *more: Step, batch: int = 500) -> Job:
    plan = Step("plan", DUE, Plan(SELECT.format(opens=opens, lines=lines)), batch=batch)
    return probe(steps=(plan, *more), delivers="own")


@dataclass
class Bench:
    """A deployment whose job plans one message for each row of `probe_due`."""

    deployment: Deployment

    def due(self, business: str, *items: str) -> None:
        for item in items:
            self.deployment.execute(
                "INSERT INTO ponctuel.probe_due VALUES (:business, :item)",
                business=business,
                item=item,
            )

    def run(self, job: Job | None = None, hours: float = 1) -> list[str]:
        """An hour later; the statuses of the runs."""
        self.deployment.database.advance(timedelta(hours=hours))
        found = job or planner()
        with bench_for(found, holder="test") as bench:
            return [result.status for result in work(found, bench, Deadline.after(300))]

    def rehearse(self, job: Job | None = None) -> list[Mapping[str, Any]]:
        """What a dry run says of messages."""
        found = job or planner()
        with bench_for(found, holder="test") as bench:
            run_id = request_dry_run(bench.engine, found, found.zone, door="cli")
            assert rehearse(found, run_id, bench) == "succeeded"
            report: Any = run_or_raise(bench.engine, run_id)["report"]
        messages: list[Mapping[str, Any]] = report["messages"]
        return messages

    def states(self) -> Counter[tuple[str, str, str | None]]:
        return Counter(
            (m["business_id"], m["state"], m["hold_reason"]) for m in self.deployment.messages()
        )

    def release(self) -> None:
        held = [m["id"] for m in self.deployment.messages(state="held")]
        with self.deployment.database.begin() as connection:
            operator.release(connection, held, by="Léa", reason="relu")


@pytest.fixture
def bench(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setitem(kinds._KINDS, KIND.name, KIND)
    deployment.execute(TABLES.split(";")[0])
    bench = Bench(deployment)
    live(deployment, "B1", "B2")
    bench.run()
    return bench


def live(deployment: Deployment, *businesses: str) -> None:
    deployment.go_live(*businesses)
    for business in businesses:
        deployment.execute(
            "INSERT INTO ponctuel.go_lives (business_id, kind, at, by) "
            "VALUES (:business, :kind, ponctuel.clock(), 'test')",
            business=business,
            kind=KIND.name,
        )


def some(count: int) -> list[str]:
    return [f"m{n:03}" for n in range(count)]


# Keys


def test_a_message_is_planned_once_however_often_it_is_asked_for(bench: Bench) -> None:
    bench.due("B1", "a", "a")
    bench.run()
    bench.run()
    assert bench.states() == {("B1", "accepted", None): 1}


def test_two_businesses_may_have_the_same_key(bench: Bench) -> None:
    bench.due("B1", "a")
    bench.due("B2", "a")
    bench.run()
    assert bench.states() == {("B1", "accepted", None): 1, ("B2", "accepted", None): 1}


def test_a_key_is_planned_again_only_when_it_was_freed(bench: Bench) -> None:
    ends = {
        "by a guard": ("cancelled", True),
        "too late": ("expired", True),
        "by an operator": ("cancelled", False),
        "refused": ("refused", False),
        "uncertain": ("uncertain", False),
        "gone": ("accepted", False),
    }
    bench.due("B1", *ends)
    bench.run(planner(TOMORROW))
    for item, (state, free) in ends.items():
        bench.deployment.execute(
            "UPDATE ponctuel.messages SET state = :state, hold_reason = NULL, key_free = :free "
            "WHERE subject = :item",
            state=state,
            free=free,
            item=item,
        )
    again = ["by a guard", "too late"]
    assert [message["subject"] for message in bench.rehearse()] == again
    bench.run()
    assert [message["subject"] for message in bench.deployment.messages()[len(ends) :]] == again


def test_a_letter_covers_its_lines(bench: Bench) -> None:
    bench.due("B1", "a")
    bench.run(planner(NOW, TWO_LINES))
    covered = bench.deployment.rows(
        "SELECT business_id, kind, subject, cycle, step FROM ponctuel.coverage ORDER BY subject"
    )
    assert covered == [
        {"business_id": "B1", "kind": "probe.line", "subject": f"a-{x}", "cycle": "0", "step": s}
        for x, s in (("a", "1"), ("b", "2"))
    ]


# Who has not gone live


def test_a_business_that_has_not_gone_live_is_planned_for_and_nothing_leaves_before_release(
    bench: Bench,
) -> None:
    bench.due("new", "a", "b")
    bench.run()
    bench.deployment.deliver()
    assert bench.states() == {("new", "held", "review"): 2}
    bench.release()
    bench.deployment.deliver()
    assert bench.states() == {("new", "accepted", None): 2}


def test_a_stage_that_is_not_live_holds_everything_but_its_allow_list(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW_LIST", "a@customers.example")
    bench.deployment.execute("DELETE FROM ponctuel.go_lives WHERE business_id = '*'")
    bench.due("B1", "a", "b")
    bench.run()
    assert bench.states() == {("B1", "accepted", None): 1, ("B1", "held", "stage"): 1}
    bench.release()
    assert bench.states()["B1", "held", "stage"] == 1, "no operator releases to strangers"


def test_a_message_waits_for_its_window_and_then_leaves_by_itself(bench: Bench) -> None:
    bench.due("B1", "a")
    bench.run(planner(TOMORROW))
    bench.deployment.deliver()
    assert bench.states() == {("B1", "held", "window"): 1}
    bench.deployment.tick("deliver_messages", hours=20)
    assert bench.states() == {("B1", "accepted", None): 1}


# Surges


@pytest.fixture
def no_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs plan, and send nothing."""
    monkeypatch.setenv("WAIT_SECONDS", "0")


@pytest.mark.usefixtures("no_time")
def test_fifty_messages_a_day_may_leave_and_fifty_one_wait_for_approval(bench: Bench) -> None:
    bench.due("B1", *some(SURGE_FLOOR))
    bench.due("B2", *some(SURGE_FLOOR + 1))
    bench.run(planner(batch=20))
    assert bench.states() == {
        ("B1", "planned", None): SURGE_FLOOR,
        ("B2", "held", "approval"): SURGE_FLOOR + 1,
    }
    assert bench.deployment.last_run("probe")["counts"]["held_for_approval"] == SURGE_FLOOR + 1


def test_a_surge_leaves_once_it_is_approved(bench: Bench) -> None:
    bench.due("B1", *some(SURGE_FLOOR + 1))
    bench.run()
    bench.deployment.deliver()
    assert bench.deployment.smtp.received() == []
    bench.release()
    bench.deployment.deliver()
    assert bench.states() == {("B1", "accepted", None): SURGE_FLOOR + 1}


@pytest.mark.usefixtures("no_time")
def test_a_surge_that_comes_in_pieces_is_seen_over_a_day(bench: Bench) -> None:
    pieces = some(90)
    bench.due("B1", *pieces[:30])
    bench.run()
    bench.due("B1", *pieces[30:60])
    bench.run()
    assert bench.states() == {("B1", "planned", None): 30, ("B1", "held", "approval"): 30}
    bench.due("B1", *pieces[60:])
    bench.run(hours=24)
    assert bench.states()["B1", "planned", None] == 60, "a day later the count starts again"


@pytest.mark.parametrize(("extra", "held"), [(0, False), (1, True)])
@pytest.mark.usefixtures("no_time")
def test_a_business_that_always_sends_much_may_send_five_times_its_usual_day(
    bench: Bench, extra: int, held: bool
) -> None:
    usual = 12
    bench.deployment.execute(
        "INSERT INTO ponctuel.messages (business_id, kind, subject, channel, state, planned_at,"
        " not_before, expires_at) SELECT 'B1', 'probe.letter', d || '-' || n, 'email', 'accepted',"
        " at, at, at FROM generate_series(2, 11) d, generate_series(1, :usual) n,"
        " LATERAL (SELECT ponctuel.clock() - make_interval(days => d) AS at) x",
        usual=usual,
    )
    count = SURGE_FACTOR * usual + extra
    bench.due("B1", *some(count))
    bench.run()
    state = ("held", "approval") if held else ("planned", None)
    assert bench.states()["B1", *state] == count


@pytest.mark.usefixtures("no_time")
def test_a_run_that_fails_after_it_planned_a_surge_does_not_let_it_leave(bench: Bench) -> None:
    bench.due("B1", *some(SURGE_FLOOR + 1))
    failing = replace(
        planner(NOW, "NULL::jsonb", Step("next", DUE, _Nothing())), prepare=_once_only()
    )
    with pytest.raises(KeyboardInterrupt):
        bench.run(failing)
    assert [bench.run(failing, hours=0.1) for _ in range(3)] == [
        ["continued"],
        ["continued"],
        ["failed"],
    ]
    bench.deployment.deliver()
    assert bench.states() == {("B1", "held", "approval"): SURGE_FLOOR + 1}


def _once_only() -> Callable[[Run, Connection], Prepared]:
    calls: list[Run] = []

    def prepare(run: Run, _connection: Connection) -> Prepared:
        calls.append(run)
        if len(calls) > 1:
            raise RuntimeError("not again")
        return Prepared({})

    return prepare


class _Nothing:
    def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome:
        raise KeyboardInterrupt

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        return Preview()


# Dry runs


@pytest.mark.usefixtures("no_time")
def test_a_dry_run_says_of_each_message_what_then_becomes_of_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW_LIST", "*@customers.example")
    bench.due("B1", *some(SURGE_FLOOR + 1))
    bench.due("B2", "a", "b")
    bench.due("new", "a")
    opens = f"CASE WHEN item = 'b' THEN {TOMORROW} ELSE {NOW} END"
    listed = bench.rehearse(planner(opens))
    assert bench.deployment.messages() == []
    bench.run(planner(opens))
    planned = bench.deployment.messages()
    assert keys(listed) == keys(planned)
    foretold = Counter((m["business_id"], m["hold_reason"]) for m in listed)
    assert foretold == Counter((m["business_id"], m["hold_reason"]) for m in planned)
    assert set(foretold) == {("B1", "approval"), ("B2", None), ("B2", "window"), ("new", "review")}
