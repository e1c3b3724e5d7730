"""Fixtures for every test. `database` is a PostgreSQL database of the test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import database as databases
from tests.harness import Deployment, deployed

# On a busy machine a slow example says nothing about the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: tests wait for servers and time-outs a third of the time."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        databases.name_directory()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        databases.discard_server()


@pytest.fixture(scope="session")
def database_server() -> Iterator[databases.Server]:
    """The session's PostgreSQL server: started on first use, shared by all workers."""
    server = databases.obtain_server()
    yield server
    server.close()


@pytest.fixture
def database(database_server: databases.Server) -> Iterator[databases.Database]:
    """A migrated, empty database, dropped after the test."""
    with database_server.database() as database:
        yield database


@pytest.fixture
def deployment(
    database: databases.Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    """A whole deployment on this test's database, with a real SMTP server."""
    with deployed(database, tmp_path, monkeypatch) as deployment:
        yield deployment
