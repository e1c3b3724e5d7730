"""Delivering while letters kill the process or the database goes away: what is still known, who is
blamed, and what a window costs on the wire."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, event, make_url

from chalicelib.db import engine as database_engine
from chalicelib.db.engine import make_engine
from chalicelib.errors import DatabaseUnavailable
from chalicelib.outbox import claim, recording
from chalicelib.outbox import deliver as delivering
from chalicelib.outbox.channels import Channel, Outbox
from chalicelib.outbox.claim import QUARANTINE_CLAIMS
from chalicelib.outbox.deliver import deliver
from chalicelib.providers.mail.port import Accepted, Mail
from chalicelib.runner.deadline import Deadline
from sandbox.proxy import Proxy
from tests.harness import Deployment
from tests.reliability.child import run
from tests.reliability.scenarios import plan_only

CONCURRENCY = 2
LIFETIME = timedelta(minutes=5)
SETTINGS = ("DATABASE_URL", "MAIL_URL", "MAIL_FROM", "STORAGE_URL", "OPERATOR_EMAIL")


def plan(deployment: Deployment, *numbers: int) -> None:
    """One relance for each, to customers of their own, planned and not sent."""
    for n in numbers:
        deployment.customer(f"K{n}", emails=f"k{n}@client.example")
        deployment.invoice(f"F{n}", customer_id=f"K{n}")
    plan_only(deployment)


@pytest.fixture
def planned(deployment: Deployment) -> Deployment:
    """F1 to F6 are planned: three windows of two."""
    deployment.open_business()
    plan(deployment, *range(1, 7))
    assert Counter(deployment.states()) == {(f"F{n}", "1", "planned"): 1 for n in range(1, 7)}
    return deployment


def column(deployment: Deployment, name: str) -> dict[str, Any]:
    return {m["subject"]: m[name] for m in deployment.messages()}


# Letters that kill


def test_a_letter_that_kills_while_it_is_written_leaves_in_doubt_only_calls_in_flight(
    planned: Deployment,
) -> None:
    environment = {name: os.environ[name] for name in SETTINGS}
    environment |= {"SENDING_CONCURRENCY": str(CONCURRENCY), "TEST_DEADLY": "render:F5"}
    planned.database.advance(timedelta(minutes=1))
    assert run(environment, "deliver_messages") == -signal.SIGKILL
    found, claims = column(planned, "state"), column(planned, "claims")
    assert {found["F1"], found["F2"]} == {"accepted"}
    assert {found["F3"], found["F4"]} <= {"submitting", "accepted"}, "the windows in flight"
    assert {found["F5"], found["F6"]} == {"claimed"}
    assert (claims["F1"], claims["F2"], claims["F5"], claims["F6"]) == (0, 0, 1, 0)


def test_a_letter_that_has_killed_once_is_written_while_no_call_is_in_flight(
    planned: Deployment,
) -> None:
    planned.execute("UPDATE ponctuel.messages SET claims = 1 WHERE subject = 'F5'")
    environment = {name: os.environ[name] for name in SETTINGS}
    environment |= {"SENDING_CONCURRENCY": str(CONCURRENCY), "TEST_DEADLY": "render:F5"}
    planned.database.advance(timedelta(minutes=1))
    assert run(environment, "deliver_messages") == -signal.SIGKILL
    found = column(planned, "state")
    assert {found[f"F{n}"] for n in range(1, 5)} == {"accepted"}
    assert {found["F5"], found["F6"]} == {"claimed"}


def test_only_messages_whose_letter_was_begun_are_blamed_for_a_death(planned: Deployment) -> None:
    for _ in range(QUARANTINE_CLAIMS + 1):
        with planned.database.begin() as connection:
            assert len(claim.claim(connection, uuid4(), limit=200, lifetime=LIFETIME)) == 6
        planned.database.advance(LIFETIME)
        with planned.database.begin() as connection:
            claim.sweep(connection)
    planned.deliver()
    assert set(column(planned, "state").values()) == {"accepted"}


# The database goes away


class Provider:
    name = "test"

    def send(self, _mail: Mail) -> Accepted:
        return Accepted("1")

    def close(self) -> None: ...


def outbox_on(engine: Engine) -> Outbox:
    channel = Channel("email", "smtp", Provider, concurrency=CONCURRENCY)
    return Outbox(engine, {"email": channel}, storage=None)


@contextmanager
def behind(proxy_for: Deployment) -> Iterator[tuple[Proxy, Engine]]:
    """An engine on the deployment's database with a proxy in between."""
    url = make_url(proxy_for.database.url)
    target = url.query.get("unix_sock") or (str(url.host), url.port or 5432)
    with Proxy(target) as proxy:  # type: ignore[arg-type]  # a query may hold several values
        through = url.set(host=proxy.host, port=proxy.port, query={})
        engine = make_engine(through, application="tests")
        yield proxy, engine
        engine.dispose()


def on_statement(engine: Engine, action: Callable[[int], None]) -> None:
    """Calls `action` before each statement, with its number, from 1."""
    seen = [0]

    def before(*_arguments: Any) -> None:
        seen[0] += 1
        action(seen[0])

    event.listen(engine, "before_cursor_execute", before)


# A delivery sweeps, claims, begins a window, checks that it is still its own, asks the guards
# between two savepoints, and marks it.
@pytest.mark.parametrize("statement", range(2, 10))
def test_outages_that_the_process_sees_set_no_message_aside(
    planned: Deployment, monkeypatch: pytest.MonkeyPatch, statement: int
) -> None:
    monkeypatch.setattr(recording, "RETRIES", 0)
    with behind(planned) as (proxy, engine):

        def go_away(number: int) -> None:
            if number == statement:
                proxy.refuse()
                proxy.cut()

        for _ in range(QUARANTINE_CLAIMS + 1):
            outbox = outbox_on(engine)
            on_statement(engine, go_away)
            with pytest.raises(DatabaseUnavailable):
                deliver(outbox, Deadline.after(300))
            proxy.accept()
            planned.database.advance(timedelta(minutes=1))
        assert max(column(planned, "claims").values()) <= 1
    planned.database.advance(LIFETIME + delivering.GRACE)
    planned.deliver()
    assert set(column(planned, "state").values()) == {"accepted"}


def test_an_outage_that_passes_costs_nothing(
    planned: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "FIRST_WAIT_S", 0.01)
    with behind(planned) as (proxy, engine):
        # Never twice in a row: a further try of a window is of seven statements.
        on_statement(engine, lambda number: proxy.cut() if number % 9 == 0 else None)
        outbox = outbox_on(engine)
        assert deliver(outbox, Deadline.after(300)) == {"accepted": 6}
    assert set(column(planned, "state").values()) == {"accepted"}


# What it costs


def test_a_window_costs_at_most_ten_round_trips(
    planned: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_engine, "PING_AFTER_S", 60)
    with behind(planned) as (proxy, engine):

        def delivered() -> int:
            before = proxy.round_trips
            deliver(outbox_on(engine), Deadline.after(300))
            return proxy.round_trips - before

        delivered()
        costs = []
        for numbers in (range(11, 13), range(21, 25), range(31, 37)):
            plan(planned, *numbers)
            costs.append(delivered())
    one, _two, three = costs
    # Nine; a long letter that leaves in pieces may be seen as one more.
    assert (three - one) / 2 <= 10
