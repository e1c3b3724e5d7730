"""Wherever a process dies, the next one finishes the work: nothing is lost, nothing is there twice,
and little is fetched again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.mailboxes.pipeline import UNDER_WAY
from chalicelib.mailboxes.turn import Limits
from sandbox.dovecot import DovecotSandbox
from tests.domain.inbox.dying import Life, killed_at
from tests.domain.inbox.relay import Relay
from tests.domain.inbox.world import World, mail, there

BATCH = 4
LIMITS = Limits(batch_messages=BATCH)


def first(dovecot: DovecotSandbox) -> None:
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(29)])
    dovecot.deliver("compta", "Archive", [mail(3), mail(20)])


def changes(dovecot: DovecotSandbox) -> None:
    dovecot.expunge("compta", "INBOX", dovecot.uids("compta")[2:3])
    dovecot.move("compta", "INBOX", dovecot.uids("compta")[4:6], "Archive")
    dovecot.deliver("compta", "INBOX", [mail(30), mail(31, "é")])
    dovecot.set_flags("compta", "INBOX", dovecot.uids("compta")[:1], [b"\\Seen"])


def renumbering(dovecot: DovecotSandbox) -> None:
    changes(dovecot)
    dovecot.change_uidvalidity("compta")
    dovecot.create("compta", "Clients")
    dovecot.deliver("compta", "Clients", [mail(40)])


def check(world: World, dovecot: DovecotSandbox, box: int) -> None:
    assert world.stored(box) == there(dovecot.port)
    assert world.flags(box) == there(dovecot.port, flags=True)
    assert world.one("SELECT count(*) FROM ponctuel.emails WHERE state <> 'parsed'") == 0
    assert world.one("SELECT count(*) FROM ponctuel.emails WHERE settled_at IS NULL") == 0
    twice = "SELECT count(*) - count(DISTINCT sha256) FROM ponctuel.emails"
    assert world.one(twice) == 0


def trial(world: World, dovecot: DovecotSandbox, relay: Relay, case: str, step: int | None) -> int:
    """From an empty mailbox; returns how many steps there are (without `step`), or whether it was
    reached."""
    world.execute("DELETE FROM ponctuel.mailboxes")
    dovecot.empty("compta")
    box = world.add(relay.port)
    first(dovecot)
    if case != "first":
        world.sync(box)
        {"changes": changes, "renumbering": renumbering}[case](dovecot)
    relay.commands.clear()
    fresh = {"first": 31, "changes": 2, "renumbering": 3}[case]
    reached = 0
    if step is None:
        life = Life(None)
        life.sync(world, box, limits=LIMITS)
        reached = life.steps
    else:
        reached = int(killed_at(step, world, box, limits=LIMITS))
        world.database.advance(timedelta(minutes=10))
    world.sync(box, limits=LIMITS)
    check(world, dovecot, box)
    # Those under way, and the one on the line.
    assert relay.fetched() <= fresh + (0 if step is None else BATCH * (UNDER_WAY + 1))
    return reached


@pytest.mark.parametrize("case", ["first", "changes", "renumbering"])
def test_killed_at_some_steps_nothing_is_lost_or_twice(
    world: World, dovecot: DovecotSandbox, relay: Relay, case: str
) -> None:
    steps = trial(world, dovecot, relay, case, None)
    assert steps > 20
    for step in range(3, steps, max(steps // 3, 1)):
        assert trial(world, dovecot, relay, case, step)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["first", "changes", "renumbering"])
def test_killed_at_any_step_nothing_is_lost_or_twice(
    world: World, dovecot: DovecotSandbox, relay: Relay, case: str
) -> None:
    steps = trial(world, dovecot, relay, case, None)
    for step in range(1, steps):
        assert trial(world, dovecot, relay, case, step)
