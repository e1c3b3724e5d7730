"""What servers do wrong, and what it must not cost."""

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


def later(world: World, **delta: float) -> None:
    world.database.advance(timedelta(**delta))


def test_a_message_that_the_server_does_not_give_holds_up_no_other(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(5)])
    relay.nil = {3}
    assert world.sync(box).synced == [box]
    assert world.one("SELECT count(*) FROM ponctuel.emails") == 4
    # It is not asked for at each poll, but it is asked for again.
    relay.commands.clear()
    world.sync(box)
    assert relay.fetched() == 0
    relay.nil = set()
    later(world, minutes=16)
    world.sync(box)
    assert relay.fetched() == 1
    assert world.stored(box) == there(dovecot.port)
    assert world.one("SELECT count(*) FROM ponctuel.email_troubles") == 0


def test_a_message_that_is_never_given_is_given_up(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(2)])
    relay.nil = {1}
    for _ in range(9):
        world.sync(box)
        later(world, days=3)
    relay.commands.clear()
    assert world.sync(box).synced == [box]
    assert relay.fetched() == 0
    assert world.one("SELECT next_at FROM ponctuel.email_troubles") is None


def test_a_message_that_breaks_the_connection_holds_up_no_other(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(6)])
    relay.cut_at = {3}
    first = world.sync(box)
    assert [failure.code for failure in first.failed] == ["connection"]
    assert world.one("SELECT count(*) FROM ponctuel.emails") == 2
    world.sync(box)
    assert world.sync(box).synced == [box]
    assert world.one("SELECT count(*) FROM ponctuel.emails") == 5
    # It was not the message after all.
    relay.cut_at = set()
    later(world, hours=5)
    world.sync(box)
    assert world.stored(box) == there(dovecot.port)


def test_a_line_that_breaks_after_each_piece_gets_to_the_end(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(n, "x" * 20_000) for n in range(12)])
    relay.cut_after = 70_000
    for _ in range(8):
        world.sync(box)
    relay.cut_after = None
    world.sync(box)
    assert world.stored(box) == there(dovecot.port)


def test_a_message_that_is_expunged_before_it_is_fetched_is_no_trouble(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(5)])

    def expunge(command: str) -> None:
        if "BODY.PEEK[]" in command:
            relay.on_command = None
            dovecot.expunge("compta", "INBOX", [2])

    relay.on_command = expunge
    assert world.sync(box).synced == [box]
    world.sync(box)
    assert world.stored(box) == there(dovecot.port)
    assert world.one("SELECT count(*) FROM ponctuel.email_troubles") == 0


def test_without_uidnext_nothing_is_missed(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    def rewrite(line: bytes) -> bytes:
        if b"[UIDNEXT" in line:
            return b""
        return line.replace(b" LIST-STATUS", b"").replace(b" QRESYNC", b"")

    relay.rewrite = rewrite
    for n in range(3):
        dovecot.deliver("compta", "INBOX", [mail(n)])
        world.sync(box)
        assert world.stored(box) == there(dovecot.port)
    dovecot.expunge("compta", "INBOX", [2])
    dovecot.deliver("compta", "INBOX", [mail(9)])
    world.sync(box)
    assert world.stored(box) == there(dovecot.port)


def test_a_uidnext_that_runs_ahead_loses_nothing(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    """What mbsync lost track of: UIDNEXT counts a message that cannot be seen yet."""
    dovecot.deliver("compta", "INBOX", [mail(1)])
    relay.rewrite = lambda line: re.sub(rb"UIDNEXT (\d+)", rb"UIDNEXT 5", line)
    world.sync(box)
    relay.rewrite = None
    dovecot.deliver("compta", "INBOX", [mail(2)])
    world.sync(box)
    assert world.stored(box) == there(dovecot.port)


def test_a_message_that_shows_up_below_the_cursor_is_found(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(3)])
    hidden = re.compile(rb"\* 2 FETCH |\* OK \[HIGHESTMODSEQ")

    def rewrite(line: bytes) -> bytes:
        line = line.replace(b" ESEARCH", b"").replace(b" LIST-STATUS", b"")
        line = line.replace(b" CONDSTORE", b"").replace(b" QRESYNC", b"")
        line = line.replace(b"* SEARCH 1 2 3", b"* SEARCH 1 3").replace(
            b"* 3 EXISTS", b"* 2 EXISTS"
        )
        return b"" if hidden.match(line) else line

    relay.rewrite = rewrite
    world.sync(box)
    assert world.one("SELECT count(*) FROM ponctuel.emails") == 2
    relay.rewrite = None
    world.sync(box)
    assert world.stored(box) == there(dovecot.port)


def test_a_folder_that_does_not_open_is_parked_and_the_others_are_read(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.create("compta", "Fantome")
    dovecot.deliver("compta", "INBOX", [mail(1)])

    def rewrite(line: bytes) -> bytes:
        line = line.replace(b" LIST-STATUS", b"")
        return line.replace(b"Fantome", b"Phantom")  # it lists what does not exist

    relay.rewrite = rewrite
    report = world.sync(box)
    assert report.synced == [box]
    assert [trouble.code for trouble in report.troubles] == ["missing"]
    assert world.one("SELECT count(*) FROM ponctuel.emails") == 1
    relay.commands.clear()
    world.sync(box)
    assert not [command for command in relay.commands if "Phantom" in command]
    later(world, minutes=6)
    world.sync(box)
    assert [command for command in relay.commands if "Phantom" in command]


def test_a_mailbox_without_any_folder_loses_none(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(1)])
    world.sync(box)
    relay.rewrite = lambda line: b"" if line.startswith((b"* LIST", b"* STATUS")) else line
    report = world.sync(box)
    assert [failure.code for failure in report.failed] == ["unavailable"]
    assert world.stored(box) == there(dovecot.port)


def test_a_large_message_becomes_a_stub_with_its_bytes_in_the_store(
    world: World, dovecot: DovecotSandbox, box: int
) -> None:
    from hashlib import sha256

    from chalicelib.mailboxes.turn import Limits

    large = mail(1, "x" * 300_000)
    dovecot.deliver("compta", "INBOX", [large, mail(2)])
    world.sync(box, limits=Limits(in_memory=100_000))
    row = world.rows("SELECT * FROM ponctuel.emails ORDER BY id")[0]
    assert (row["state"], row["size"], row["subject"]) == ("stub", len(large), "Message 1")
    assert world.raw(sha256(large).hexdigest()) == large
    assert world.stored(box) == there(dovecot.port)
    world.sync(box, limits=Limits(in_memory=100_000))
    assert world.one("SELECT count(*) FROM ponctuel.emails") == 2


def test_a_server_that_stops_answering_costs_one_timeout(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(3)])
    relay.silent, world.read_timeout = True, 0.5
    report = world.sync(box)
    assert [failure.code for failure in report.failed] == ["connection"]
    relay.silent, world.read_timeout = False, 20
    world.sync(box)
    assert world.stored(box) == there(dovecot.port)
