"""Fixtures for every test. `database` is a PostgreSQL database of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import database as databases


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
