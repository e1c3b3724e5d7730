"""UIDVALIDITY that changes, is missing, or changes without end: nothing is fetched twice."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from sandbox.dovecot import DovecotSandbox
from tests.domain.inbox.relay import Relay
from tests.domain.inbox.world import World, mail, there


@pytest.fixture
def box(world: World, relay: Relay) -> int:
    return world.add(relay.port)


def ids(world: World) -> list[int]:
    return [row["id"] for row in world.rows("SELECT id FROM ponctuel.emails ORDER BY id")]


def test_after_a_change_only_what_is_new_is_fetched(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(10)])
    world.sync(box)
    known = ids(world)
    dovecot.expunge("compta", "INBOX", [4])
    dovecot.deliver("compta", "INBOX", [mail(10)])
    dovecot.change_uidvalidity("compta")
    relay.commands.clear()
    report = world.sync(box)
    assert report.counts["resets"] == 1
    assert relay.fetched() == 1
    assert ids(world)[:10] == known
    assert world.stored(box) == there(dovecot.port)
    assert world.one("SELECT count(DISTINCT uidvalidity) FROM ponctuel.email_places") == 2
    assert world.one("SELECT count(*) FROM ponctuel.email_places WHERE gone_at IS NULL") == 10


def test_an_unfounded_change_reads_a_few_headers(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(30)])
    world.sync(box)
    relay.rewrite = lambda line: re.sub(rb"UIDVALIDITY \d+", rb"UIDVALIDITY 77", line)
    report = world.sync(box)
    assert report.counts["resets"] >= 1
    assert report.counts["headers"] == 0
    assert world.stored(box) == there(dovecot.port)
    assert world.one("SELECT count(*) FROM ponctuel.email_places") == 30


def test_a_storm_of_changes_parks_the_folder(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(5)])
    world.sync(box)
    for n in range(5):
        dovecot.expunge("compta", "INBOX", dovecot.uids("compta")[:1])
        dovecot.deliver("compta", "INBOX", [mail(10 + n)])
        dovecot.change_uidvalidity("compta")
        report = world.sync(box)
    assert [trouble.code for trouble in report.troubles] == ["uidvalidity"]
    assert world.stored(box) == there(dovecot.port)
    relay.commands.clear()
    dovecot.deliver("compta", "INBOX", [mail(20)])
    assert [t.code for t in world.sync(box).troubles] == ["uidvalidity"]
    assert not [command for command in relay.commands if "EXAMINE" in command]
    # It has calmed down.
    world.database.advance(timedelta(hours=7))
    assert world.sync(box).troubles == []
    assert world.stored(box) == there(dovecot.port)
    dovecot.deliver("compta", "INBOX", [mail(21)])
    world.sync(box)
    assert world.stored(box) == there(dovecot.port)


@pytest.mark.parametrize("given", ["none", "zero"])
def test_without_uidvalidity_messages_are_known_by_their_headers(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int, given: str
) -> None:
    def rewrite(line: bytes) -> bytes:
        if given == "zero":
            return re.sub(rb"UIDVALIDITY \d+", rb"UIDVALIDITY 0", line)
        return b"" if b"[UIDVALIDITY" in line else re.sub(rb" ?UIDVALIDITY \d+", b"", line)

    relay.rewrite = rewrite
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(6)])
    world.sync(box)
    assert world.stored(box) == there(dovecot.port)
    relay.commands.clear()
    dovecot.deliver("compta", "INBOX", [mail(6)])
    world.sync(box)
    assert relay.fetched() == 1
    dovecot.expunge("compta", "INBOX", [2])
    dovecot.change_uidvalidity("compta")  # other UIDs, and nobody says so
    relay.commands.clear()
    world.sync(box)
    assert relay.fetched() == 0
    assert world.stored(box) == there(dovecot.port)
    assert len(ids(world)) == 7


def test_a_change_that_is_interrupted_goes_on(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    from chalicelib.mailboxes.turn import Limits

    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(30)])
    world.sync(box)
    dovecot.expunge("compta", "INBOX", [1])
    dovecot.change_uidvalidity("compta")
    relay.cut_after = 9000
    relay.commands.clear()
    for _ in range(4):
        world.sync(box, limits=Limits(batch_messages=5))
    relay.cut_after = None
    world.sync(box)
    assert relay.fetched() == 0
    assert world.stored(box) == there(dovecot.port)
