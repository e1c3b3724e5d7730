"""Fixtures for mailboxes: `world`, and a real Dovecot whose mailbox `compta` is empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.dovecot import DovecotSandbox, absent
from tests.database import Database
from tests.domain.inbox.relay import Relay
from tests.domain.inbox.world import NOW, World

USERS = ("compta", *(f"u{n}" for n in range(12)))


@pytest.fixture(scope="session")
def dovecot_server() -> Iterator[DovecotSandbox]:
    if reason := absent():
        pytest.skip(reason)
    with DovecotSandbox(users=USERS) as dovecot:
        yield dovecot


@pytest.fixture
def dovecot(dovecot_server: DovecotSandbox) -> Iterator[DovecotSandbox]:
    yield dovecot_server
    for user in USERS:
        home = dovecot_server.maildir(user)
        if home.is_dir() and any(home.iterdir()):
            dovecot_server.empty(user)


@pytest.fixture
def relay(dovecot: DovecotSandbox) -> Iterator[Relay]:
    """Between us and Dovecot."""
    with Relay(dovecot.port) as relay:
        yield relay


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    database.set_clock(NOW)
    folder = tmp_path / "store"
    folder.mkdir()
    return World(database, folder, database.engine())
