"""Many mailboxes in one run: fair, within limits, and each with its own troubles only."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from chalicelib.errors import ProviderError
from chalicelib.mailboxes import shift
from chalicelib.mailboxes.crew import Crew
from chalicelib.mailboxes.turn import Limits
from chalicelib.providers.imap.port import ImapError
from chalicelib.providers.storage.folder import FolderStorage
from sandbox.dovecot import DovecotSandbox
from tests.domain.inbox.conftest import USERS
from tests.domain.inbox.relay import Relay
from tests.domain.inbox.world import World, mail, there


def test_one_mailbox_that_fails_in_each_way_leaves_the_others_synced(
    world: World, dovecot: DovecotSandbox
) -> None:
    with ExitStack() as stack:
        relays = [stack.enter_context(Relay(dovecot.port)) for _ in range(4)]
        refusing, garbled, hidden, broken = relays
        refusing.refusing = True
        garbled.rewrite = lambda _line: b"* \xff\xfe (((\r\n"
        hidden.rewrite = lambda line: b"" if b" LIST " in line or b" STATUS " in line else line
        broken.cut_after = 400
        for user in USERS:
            dovecot.deliver(user, "INBOX", [mail(1)])
        ports = [relay.port for relay in relays]
        bad = [world.add(port, USERS[n], host=f"h{n}") for n, port in enumerate(ports)]
        wrong = {
            world.add(dovecot.port, USERS[4]): ImapError("credentials", "refusé"),
            world.add(dovecot.port, USERS[5]): ImapError("reauthorise", "à autoriser"),
            world.add(dovecot.port, USERS[6]): ImapError("certificate", "certificat"),
            world.add(dovecot.port, USERS[7]): RuntimeError("bug"),
        }
        good = [world.add(dovecot.port, user) for user in USERS[8:]]

        def open_session(row: Mapping[str, Any], seconds: float) -> Any:
            if row["id"] in wrong:
                raise wrong[row["id"]]
            return world.open(row, seconds)

        report = world.sync(*bad, *wrong, *good, open_session=open_session)
        assert sorted(report.synced) == good
        codes = {failure.mailbox_id: failure.code for failure in report.failed}
        told = ("credentials", "reauthorise", "certificate", "internal")
        assert codes == {
            **dict(
                zip(bad, ("connection", "connection", "unavailable", "connection"), strict=True)
            ),
            **dict(zip(wrong, told, strict=True)),
        }
        for id_, user in zip(good, USERS[8:], strict=True):
            assert world.stored(id_) == there(dovecot.port, user)
        failed = "SELECT count(*) FROM ponctuel.mailboxes WHERE failures = 1 AND held_until IS NULL"
        assert world.one(failed) == 8


def test_a_host_gets_no_more_connections_than_it_takes(
    world: World, dovecot: DovecotSandbox
) -> None:
    boxes = [world.add(dovecot.port, user, host="h1") for user in USERS[:6]]
    boxes += [world.add(dovecot.port, user, host="h2") for user in USERS[6:]]
    busy: Counter[str] = Counter()
    most: Counter[str] = Counter()
    lock = threading.Lock()

    def open_session(row: Mapping[str, Any], seconds: float) -> Any:
        with lock:
            busy[row["host"]] += 1
            most[row["host"]] = max(most[row["host"]], busy[row["host"]])
            most["all"] = max(most["all"], busy.total())
        time.sleep(0.02)
        session = world.open(row, seconds)
        with lock:
            busy[row["host"]] -= 1
        return session

    crew = Crew(overall=4, per_host=2, hosts={"h2": 3})
    report = world.sync(*boxes, open_session=open_session, crew=crew)
    assert sorted(report.synced) == boxes
    assert most["h1"] == 2
    assert 2 <= most["h2"] <= 3
    assert most["all"] <= 4


def test_the_mailboxes_of_a_host_that_is_down_are_not_waited_for(
    world: World, dovecot: DovecotSandbox
) -> None:
    down = [world.add(1, user, host="down") for user in USERS[:8]]
    well = world.add(dovecot.port, USERS[8])
    tried: list[int] = []

    def open_session(row: Mapping[str, Any], seconds: float) -> Any:
        tried.append(row["id"])
        return world.open(row, seconds)

    report = world.sync(*down, well, open_session=open_session, crew=Crew(overall=2, per_host=1))
    assert report.synced == [well]
    assert sorted(failure.mailbox_id for failure in report.failed) == down
    assert len(tried) == 3
    untried = [failure for failure in report.failed if not failure.tried]
    assert len(untried) == 6
    # They are not blamed for what they did not do.
    assert world.one("SELECT count(*) FROM ponctuel.mailboxes WHERE failures = 1") == 2
    assert world.one("SELECT count(*) FROM ponctuel.mailboxes WHERE held_until IS NOT NULL") == 0


class EachLookASecond:
    """In place of the module `time`: a turn takes as many looks at it on any machine."""

    def __init__(self) -> None:
        self._looks = 0.0

    def monotonic(self) -> float:
        self._looks += 1
        return self._looks


def test_a_huge_mailbox_takes_turns_with_the_others(
    world: World, dovecot: DovecotSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shift, "time", EachLookASecond())
    huge, small = world.add(dovecot.port), world.add(dovecot.port, "u1")
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(40)])
    dovecot.deliver("u1", "INBOX", [mail(1)])
    opened: list[int] = []

    def open_session(row: Mapping[str, Any], seconds: float) -> Any:
        opened.append(row["id"])
        return world.open(row, seconds)

    report = world.sync(
        huge,
        small,
        open_session=open_session,
        crew=Crew(overall=1),
        limits=Limits(batch_messages=4, mailbox_seconds=8),
    )
    assert opened.index(small) < len(opened) - 1
    assert sorted(report.synced) == [huge, small]
    assert world.stored(huge) == there(dovecot.port)


def test_what_the_deadline_leaves_is_due_at_once(world: World, dovecot: DovecotSandbox) -> None:
    boxes = [world.add(dovecot.port, user) for user in USERS[:3]]
    report = world.sync(*boxes, seconds=1)
    assert report.unreached == boxes
    assert world.one("SELECT count(*) FROM ponctuel.mailboxes WHERE deaths > 0") == 0


def test_a_store_that_is_away_loses_nothing(
    world: World, dovecot: DovecotSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = world.add(dovecot.port)
    dovecot.deliver("compta", "INBOX", [mail(1)])

    def away(*_arguments: object) -> None:
        raise ProviderError("folder", "inaccessible", permanent=False, code="connection")

    with monkeypatch.context() as patch:
        patch.setattr(FolderStorage, "write", away)
        report = world.sync(box)
    assert [failure.code for failure in report.failed] == ["storage"]
    assert world.one("SELECT count(*) FROM ponctuel.emails") == 0
    world.sync(box)
    assert world.stored(box) == there(dovecot.port)


def test_a_poll_of_many_mailboxes_asks_the_database_seldom(
    world: World, dovecot: DovecotSandbox
) -> None:
    from sqlalchemy import event

    boxes = [world.add(dovecot.port, user) for user in USERS]
    world.sync(*boxes)
    statements: list[str] = []
    event.listen(world.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    report = world.sync(*boxes)
    assert sorted(report.synced) == boxes
    assert len(statements) <= len(boxes) // 2
