"""One process at a time reads a mailbox; who lost it writes nothing; who dies of it is noticed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.errors import LeaseLost
from chalicelib.mailboxes import lease
from chalicelib.mailboxes.lease import Desk
from sandbox.dovecot import DovecotSandbox
from tests.domain.inbox.relay import Relay
from tests.domain.inbox.world import World, mail, there

LIFETIME = timedelta(minutes=5)


def take(world: World, *ids: int) -> list[lease.Held]:
    with world.database.begin() as connection:
        return lease.take(connection, ids, LIFETIME)


def test_a_mailbox_that_somebody_has_is_left_to_them(world: World, dovecot: DovecotSandbox) -> None:
    one, two = world.add(dovecot.port), world.add(dovecot.port, "u1")
    take(world, one)
    report = world.sync(one, two)
    assert (report.elsewhere, report.synced) == ([one], [two])


def test_a_mailbox_of_a_dead_process_is_taken_over(world: World, dovecot: DovecotSandbox) -> None:
    box = world.add(dovecot.port)
    take(world, box)
    world.database.advance(LIFETIME + timedelta(seconds=1))
    assert world.sync(box).synced == [box]
    assert world.one("SELECT deaths FROM ponctuel.mailboxes") == 0


def test_whoever_lost_a_mailbox_writes_nothing(
    world: World, dovecot: DovecotSandbox, relay: Relay
) -> None:
    box = world.add(relay.port)
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(3)])

    def taken_over(command: str) -> None:
        if "BODY.PEEK[]" in command:
            relay.on_command = None
            world.execute("UPDATE ponctuel.mailboxes SET fence = fence + 1")

    relay.on_command = taken_over
    report = world.sync(box)
    assert (report.elsewhere, report.synced, report.failed) == ([box], [], [])
    assert world.one("SELECT count(*) FROM ponctuel.emails") == 0
    assert world.one("SELECT max(last_uid) FROM ponctuel.mailbox_folders") == 0


def test_a_writer_waits_for_nobody_and_is_refused(world: World, dovecot: DovecotSandbox) -> None:
    box = world.add(dovecot.port)
    (held,) = take(world, box)
    world.database.advance(LIFETIME + timedelta(seconds=1))
    take(world, box)
    with pytest.raises(LeaseLost), Desk(world.engine).writing(held):
        pass


def test_what_a_process_cannot_give_back_it_gives_back_later(
    world: World, dovecot: DovecotSandbox, relay: Relay
) -> None:
    box = world.add(relay.port)
    dovecot.deliver("compta", "INBOX", [mail(1)])
    _cut_the_database(world, relay)
    with pytest.raises(Exception, match="base de données"):
        world.sync(box)
    assert world.one("SELECT deaths FROM ponctuel.mailboxes") == 0
    assert world.sync(box).synced == [box]
    assert world.stored(box) == there(dovecot.port)


def _cut_the_database(world: World, relay: Relay) -> None:
    """When the first message is asked for."""

    def cut(command: str) -> None:
        if "BODY.PEEK[]" in command:
            relay.on_command = None
            world.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    relay.on_command = cut


@pytest.mark.parametrize(("deaths", "beside"), [(1, True), (2, False), (3, False)])
def test_who_has_seen_processes_die_is_read_alone_and_last(
    world: World, dovecot: DovecotSandbox, deaths: int, beside: bool
) -> None:
    suspect, other = world.add(dovecot.port), world.add(dovecot.port, "u1")
    world.execute("UPDATE ponctuel.mailboxes SET deaths = :n WHERE id = :id", n=deaths, id=suspect)
    held: list[set[int]] = []

    def open_session(row, seconds):  # type: ignore[no-untyped-def]
        found = world.rows("SELECT id FROM ponctuel.mailboxes WHERE held_until IS NOT NULL")
        held.append({one["id"] for one in found})
        return world.open(row, seconds)

    report = world.sync(suspect, other, open_session=open_session)
    assert sorted(report.synced) == [suspect, other]
    assert ({suspect, other} in held) == beside
    if not beside:
        assert held == [{other}, {suspect}]
    assert world.one("SELECT max(deaths) FROM ponctuel.mailboxes") == 0


def test_after_four_deaths_a_mailbox_is_tried_once_a_day(
    world: World, dovecot: DovecotSandbox
) -> None:
    box = world.add(dovecot.port)
    for _ in range(4):
        take(world, box)
        world.database.advance(LIFETIME + timedelta(seconds=1))
    report = world.sync(box)
    assert [(failure.code, failure.tried) for failure in report.failed] == [("deaths", False)]
    world.database.advance(timedelta(days=1))
    assert world.sync(box).synced == [box]


def test_a_mailbox_that_is_paused_is_not_read(world: World, dovecot: DovecotSandbox) -> None:
    box = world.add(dovecot.port, state="paused")
    assert world.sync(box).elsewhere == [box]
