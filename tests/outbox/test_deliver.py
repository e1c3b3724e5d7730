"""Delivering: turns, claims, retries, guards, and what reaches the wire."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from chalicelib import jobs
from chalicelib.db import engine as database_engine
from chalicelib.db.engine import transaction
from chalicelib.errors import ProviderError
from chalicelib.outbox import claim, kinds
from chalicelib.outbox.answers import FIRST_RETRY_S, LAST_RETRY_S, backoff
from chalicelib.outbox.channels import Channel, Outbox
from chalicelib.outbox.deliver import deliver
from chalicelib.outbox.kinds import Cancel, Claimed, Kind, Send, Verdict
from chalicelib.providers.mail.port import Accepted, Mail
from chalicelib.runner import request
from chalicelib.runner.deadline import Deadline
from tests.harness import Deployment
from tests.reliability.scenarios import plan_only

LIFETIME = timedelta(minutes=5)


@pytest.fixture
def live(deployment: Deployment) -> Deployment:
    deployment.go_live("B1", "B2", "B3")
    return deployment


# A kind of the tests: what its guard says is in the content.


def _guard(
    _connection: Connection, messages: Sequence[Claimed], now: datetime
) -> Mapping[int, Verdict]:
    verdicts: dict[int, Verdict] = {}
    for message in messages:
        if message.content.get("crash"):
            raise RuntimeError(message.content["crash"])
        verdicts[message.id] = (
            Cancel("no_more") if message.content.get("cancel") else _send(message)
        )
    return verdicts


def _send(message: Claimed) -> Send:
    content = {
        "job_title": "Sonde",
        "job": "probe",
        "status": "failed",
        "run_id": "r1",
        "stage": "test",
        "when": "2026-03-10T09:00:00+00:00",
        "error": "essai",
        "url": None,
    }
    return Send(content | dict(message.content), recipients=message.recipient or "")


PROBE = Kind("probe.letter", "Sonde", "operator_alert", _guard, timedelta(days=7))
OTHER = Kind(
    "probe.other", "Autre sonde", "operator_alert", lambda *a: _guard(*a), timedelta(days=7)
)


@pytest.fixture(autouse=True)
def _probe_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (PROBE, OTHER):
        monkeypatch.setitem(kinds._KINDS, kind.name, kind)


def plan(deployment: Deployment, subject: str, **columns: Any) -> int:
    """A planned message of the probe's kind; returns its id."""
    values = {
        "business_id": "B1",
        "kind": PROBE.name,
        "subject": subject,
        "recipient": f"{subject.lower()}@customers.example",
        "content": "{}",
        "state": "planned",
        "hold_reason": None,
        "run_id": None,
        "late": timedelta(days=7),
    } | columns
    return int(
        deployment.rows(
            """INSERT INTO ponctuel.messages (business_id, kind, subject, channel, recipient,
                  content, state, hold_reason, run_id, planned_at, not_before, expires_at)
               VALUES (:business_id, :kind, :subject, 'email', :recipient, CAST(:content AS jsonb),
                  :state, :hold_reason, :run_id, ponctuel.clock(), ponctuel.clock(),
                  ponctuel.clock() + :late) RETURNING id""",
            **values,
        )[0]["id"]
    )


def state(deployment: Deployment, subject: str) -> str:
    (message,) = deployment.messages(subject=subject)
    return str(message["state"])


# Claims


def test_businesses_take_turns_whatever_the_length_of_their_queues(live: Deployment) -> None:
    for business, count in (("B1", 6), ("B2", 2), ("B3", 1)):
        for n in range(count):
            plan(live, f"{business}-{n}", business_id=business)
    with live.database.begin() as connection:
        claimed = claim.claim(connection, uuid4(), limit=7, lifetime=LIFETIME)
    assert [message.subject for message in claimed] == [
        *("B1-0", "B2-0", "B3-0"),
        *("B1-1", "B2-1"),
        *("B1-2", "B1-3"),
    ]


def test_a_message_that_somebody_is_claiming_is_left_to_them(live: Deployment) -> None:
    for n in range(10):
        plan(live, f"m{n}")
    with transaction(live.database.engine()) as first:
        mine = claim.claim(first, uuid4(), limit=4, lifetime=LIFETIME)
        with transaction(live.database.engine()) as second:
            theirs = claim.claim(second, uuid4(), limit=20, lifetime=LIFETIME)
    ids = [message.id for message in (*mine, *theirs)]
    assert len(ids) == len(set(ids)) == 10


def test_two_that_claim_at_the_same_moment_both_get_their_fill(live: Deployment) -> None:
    for n in range(10):
        plan(live, f"m{n}")
    with transaction(live.database.engine()) as first:
        mine = claim.claim(first, uuid4(), limit=4, lifetime=LIFETIME)
        with transaction(live.database.engine()) as second:
            theirs = claim.claim(second, uuid4(), limit=4, lifetime=LIFETIME)
    assert [m.subject for m in mine] == ["m0", "m1", "m2", "m3"]
    assert [m.subject for m in theirs] == ["m4", "m5", "m6", "m7"]


def test_what_a_dead_process_had_claimed_is_planned_again_once_it_is_surely_dead(
    live: Deployment,
) -> None:
    plan(live, "m")
    with live.database.begin() as connection:
        claim.claim(connection, uuid4(), limit=1, lifetime=LIFETIME)
    live.deliver()
    assert state(live, "m") == "claimed"
    live.database.advance(LIFETIME)
    live.deliver()
    assert state(live, "m") == "accepted"


# What an answer means


def deliver_through(deployment: Deployment, send: Callable[[Mail], Accepted]) -> None:
    """Delivers through a provider that answers what the test wants."""

    class Provider:
        name = "test"

        def send(self, mail: Mail) -> Accepted:
            return send(mail)

        def close(self) -> None: ...

    outbox = Outbox(
        deployment.database.engine(),
        {"email": Channel("email", "smtp", Provider, concurrency=1)},
        storage=None,
    )
    deliver(outbox, Deadline.after(300))


def refuse(**options: Any) -> Callable[[Mail], Accepted]:
    def send(_mail: Mail) -> Accepted:
        raise ProviderError("test", "Refusé.", **{"permanent": False, **options})

    return send


def waits(deployment: Deployment, subject: str) -> float:
    """Seconds until the message may be tried again."""
    row = deployment.rows(
        "SELECT extract(epoch FROM not_before - ponctuel.clock())::float8 AS left "
        "FROM ponctuel.messages WHERE subject = :subject",
        subject=subject,
    )[0]
    return float(row["left"])


@given(attempts=st.integers(1, 40), asked=st.none() | st.floats(0, 1e6))
def test_the_wait_doubles_with_some_chance_and_is_never_shorter_than_asked(
    attempts: int, asked: float | None
) -> None:
    wait = backoff(attempts, asked)
    middle = min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** (attempts - 1))
    assert wait >= max(asked or 0, 0.5 * middle)
    assert wait <= max(asked or 0, 1.5 * middle)


@pytest.mark.parametrize("code", ["451 4.3.0", "throttled"])
def test_a_provider_that_says_when_to_come_back_is_obeyed(live: Deployment, code: str) -> None:
    plan(live, "m")
    deliver_through(live, refuse(code=code, retry_after=3600.0))
    assert state(live, "m") == "planned"
    assert 3590 < waits(live, "m") <= 3600
    live.deliver()
    assert live.smtp.accepted() == [], "not before"
    live.tick("deliver_messages", hours=1)
    assert state(live, "m") == "accepted"


def test_a_failure_of_ours_while_a_provider_is_called_is_no_proof_of_anything(
    live: Deployment,
) -> None:
    plan(live, "m")

    def crash(_mail: Mail) -> Accepted:
        raise RuntimeError("boom")

    deliver_through(live, crash)
    (message,) = live.messages()
    assert (message["state"], message["error_code"]) == ("uncertain", "adapter")
    live.tick("deliver_messages", hours=48)
    assert live.smtp.accepted() == []


def test_a_message_keeps_its_message_id_from_one_attempt_to_the_next(live: Deployment) -> None:
    plan(live, "m")
    seen: list[str] = []

    def refuse_once(mail: Mail) -> Accepted:
        seen.append(mail.message_id)
        if len(seen) == 1:
            raise ProviderError("test", "Plus tard.", permanent=False)
        return Accepted("1")

    deliver_through(live, refuse_once)
    live.database.advance(timedelta(hours=1))
    deliver_through(live, refuse_once)
    assert state(live, "m") == "accepted"
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("ends", "free"), [("cancelled", True), ("expired", True), ("refused", False)]
)
def test_a_key_is_free_again_when_nothing_was_tried(
    live: Deployment, ends: str, free: bool
) -> None:
    late = timedelta(seconds=30) if ends == "expired" else timedelta(days=7)
    plan(live, "m", content=json.dumps({"cancel": ends == "cancelled"}), late=late)
    if ends == "refused":
        live.smtp.fail("refuse_permanent")
    live.deliver()
    assert state(live, "m") == ends
    if free:
        plan(live, "m")
        assert len(live.messages()) == 2
    else:
        with pytest.raises(IntegrityError):
            plan(live, "m")


def test_a_message_that_is_too_late_is_never_sent_even_when_it_is_held(live: Deployment) -> None:
    plan(live, "planned", late=timedelta(seconds=30))
    plan(live, "held", late=timedelta(seconds=30), state="held", hold_reason="approval")
    live.deliver()
    assert (state(live, "planned"), state(live, "held")) == ("expired", "expired")
    assert live.smtp.received() == []


# Answers that are in hand while something else breaks


def test_answers_are_recorded_even_when_the_next_letters_cannot_be_prepared(
    live: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENDING_CONCURRENCY", "1")
    for n in range(3):
        plan(live, f"m{n}")
    live.smtp.fail("slow", count=1, seconds=0.5)
    rename = "ALTER TABLE ponctuel.go_lives RENAME TO {}"
    with during_the_first_call(live, lambda: live.execute(rename.format("gone"))):
        live.deliver()
    live.execute("ALTER TABLE ponctuel.gone RENAME TO go_lives")
    assert state(live, "m0") == "accepted"
    live.tick("deliver_messages", hours=1)
    assert [m["state"] for m in live.messages()] == ["accepted"] * 3
    assert Counter(e.message_id for e in live.smtp.accepted()).most_common(1)[0][1] == 1


def test_answers_are_recorded_even_when_somebody_locks_the_messages_for_a_while(
    live: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_engine, "LOCK_TIMEOUT_MS", 50)
    plan(live, "m")
    live.smtp.fail("slow", count=1, seconds=0.3)

    def lock() -> None:
        with live.database.engine().begin() as connection:
            connection.exec_driver_sql("LOCK TABLE ponctuel.messages IN ACCESS EXCLUSIVE MODE")
            time.sleep(0.8)

    with during_the_first_call(live, lock):
        live.deliver()
    assert state(live, "m") == "accepted"


@contextmanager
def during_the_first_call(deployment: Deployment, action: Callable[[], None]) -> Iterator[None]:
    """Does something once the server has a message and has not answered yet."""

    def act() -> None:
        until = time.monotonic() + 10
        while not deployment.smtp.received() and time.monotonic() < until:
            time.sleep(0.01)
        action()

    thread = threading.Thread(target=act)
    thread.start()
    yield
    thread.join()


# Isolation


def test_a_guard_that_crashes_holds_its_own_message_and_no_other(live: Deployment) -> None:
    plan(live, "a")
    plan(live, "b", content=json.dumps({"crash": "a document that nobody can read"}))
    plan(live, "c", kind=OTHER.name)
    live.deliver()
    assert [m["state"] for m in live.messages()] == ["accepted", "held", "accepted"]
    assert live.messages(subject="b")[0]["hold_reason"] == "guard"
    live.execute("UPDATE ponctuel.messages SET content = '{}' WHERE subject = 'b'")
    live.tick("deliver_messages", hours=1.1)
    assert state(live, "b") == "accepted", "it is looked at again"


def test_a_kind_that_this_code_does_not_know_waits_and_the_others_leave(live: Deployment) -> None:
    plan(live, "ours")
    plan(live, "of the next release", kind="tomorrow.reminder")
    live.deliver()
    assert state(live, "ours") == "accepted"
    assert state(live, "of the next release") == "held"


def test_a_letter_with_a_hole_is_held_with_the_name_of_what_is_missing(live: Deployment) -> None:
    plan(live, "whole")
    plan(live, "hole", content=json.dumps({"job": None, "job_title": None}))
    live.deliver()
    (message,) = live.messages(subject="hole")
    assert (message["state"], message["hold_reason"]) == ("held", "variable")
    assert "« job »" in message["error"]
    assert state(live, "whole") == "accepted"


# Who may be written to, and when


def test_the_messages_of_a_paused_job_wait_for_the_end_of_the_pause(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.invoice()
    plan_only(deployment)
    engine, followups = deployment.database.engine(), jobs.job("followups")
    request.pause(engine, followups, [followups.zone], by="Léa", reason="vérification")
    deployment.deliver()
    assert state(deployment, "F1") == "planned"
    request.resume(engine, followups, [followups.zone])
    deployment.deliver()
    assert state(deployment, "F1") == "accepted"


def test_before_go_live_only_the_allow_list_is_written_to(
    live: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.execute("DELETE FROM ponctuel.go_lives WHERE business_id = '*'")
    monkeypatch.setenv("ALLOW_LIST", "essai@client.example, *@ours.example")
    for subject, recipient in (
        ("ours", "lea@ours.example"),
        ("one", "Essai@Client.example"),
        ("other", "dg@client.example"),
        ("trap", "lea@ours.example.evil.example"),
        ("sub", "lea@sub.ours.example"),
    ):
        plan(live, subject, recipient=recipient)
    live.deliver()
    left = {m["subject"] for m in live.messages(state="accepted")}
    assert left == {"ours", "one"}
    assert {m["state"] for m in live.messages()} == {"accepted", "planned"}


def test_an_address_that_is_refused_does_not_keep_the_others_from_theirs(
    deployment: Deployment,
) -> None:
    deployment.open_business()
    deployment.customer("C2", emails="a@client.example; b@client.example")
    deployment.invoice(customer_id="C2")
    deployment.smtp.fail("refuse_permanent", recipient="b@")
    deployment.tick()
    (message,) = deployment.messages()
    assert (message["state"], message["error_code"]) == ("accepted", "some_refused")
