"""Whatever happens to a mailbox, in the end what is stored is what is there: 0 lost, 0 twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.dovecot import DovecotSandbox
from sandbox.mbsync import absent as mbsync_absent
from tests.domain.inbox.histories import History
from tests.domain.inbox.relay import Relay
from tests.domain.inbox.world import NOW, World, mail


def history(
    world: World, dovecot: DovecotSandbox, relay: Relay, draw: random.Random, events: int
) -> History:
    world.execute("DELETE FROM ponctuel.mailboxes")
    world.database.set_clock(NOW)
    relay.calm()
    dovecot.empty("compta")
    history = History(world, dovecot, relay, draw)
    history.go(events)
    history.check()
    return history


@pytest.mark.parametrize("seed", range(4))
def test_a_random_history_loses_nothing(
    world: World, dovecot: DovecotSandbox, relay: Relay, seed: int
) -> None:
    history(world, dovecot, relay, random.Random(seed), 14)


def test_after_a_random_history_mbsync_finds_what_is_stored(
    world: World, dovecot: DovecotSandbox, relay: Relay, tmp_path: Path
) -> None:
    if reason := mbsync_absent():
        pytest.skip(reason)
    happened = history(world, dovecot, relay, random.Random(11), 14)
    assert happened.differences(tmp_path / "fresh") == {}
    # That it would tell: one copy less, and one more.
    dovecot.deliver("compta", "INBOX", [mail(1000)])
    assert happened.differences(tmp_path / "one more") == {"lost": 1}
    world.execute(
        "INSERT INTO ponctuel.email_places (folder_id, uidvalidity, uid, email_id, flags) "
        "SELECT folder_id, uidvalidity, 100000, email_id, flags FROM ponctuel.email_places "
        "WHERE gone_at IS NULL LIMIT 1"
    )
    assert happened.differences(tmp_path / "and one less") == {"lost": 1, "duplicate": 1}


def test_a_deleted_folder_with_folders_below_it_ends_as_mbsync_finds_it(
    world: World, dovecot: DovecotSandbox, relay: Relay, tmp_path: Path
) -> None:
    if reason := mbsync_absent():
        pytest.skip(reason)
    dovecot.create("compta", "Clients")
    dovecot.create("compta", "Clients/Dupont")
    dovecot.deliver("compta", "Clients", [mail(1), mail(2)])
    dovecot.deliver("compta", "Clients/Dupont", [mail(3)])
    happened = History(world, dovecot, relay, random.Random(1))
    happened.sync()
    dovecot.delete("compta", "Clients")
    happened.settle()
    happened.check()
    assert happened.differences(tmp_path / "fresh") == {}


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), events=st.integers(3, 25))
def test_random_histories_lose_nothing(
    world: World, dovecot: DovecotSandbox, relay: Relay, seed: int, events: int
) -> None:
    history(world, dovecot, relay, random.Random(seed), events)
