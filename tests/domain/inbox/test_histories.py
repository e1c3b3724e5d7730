"""Whatever happens to a mailbox, in the end what is stored is what is there: 0 lost, 0 twice."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.dovecot import DovecotSandbox
from tests.domain.inbox.histories import History
from tests.domain.inbox.relay import Relay
from tests.domain.inbox.world import NOW, World


def history(
    world: World, dovecot: DovecotSandbox, relay: Relay, draw: random.Random, events: int
) -> None:
    world.execute("DELETE FROM ponctuel.mailboxes")
    world.database.set_clock(NOW)
    relay.calm()
    dovecot.empty("compta")
    History(world, dovecot, relay, draw).go(events)


@pytest.mark.parametrize("seed", range(4))
def test_a_random_history_loses_nothing(
    world: World, dovecot: DovecotSandbox, relay: Relay, seed: int
) -> None:
    history(world, dovecot, relay, random.Random(seed), 14)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), events=st.integers(3, 25))
def test_random_histories_lose_nothing(
    world: World, dovecot: DovecotSandbox, relay: Relay, seed: int, events: int
) -> None:
    history(world, dovecot, relay, random.Random(seed), events)
