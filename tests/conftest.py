"""Fixtures for every test. `database` is a PostgreSQL database of the test's own."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import connections
from tests import database as databases
from tests.harness import Deployment, deployed

# On a busy machine a slow example says nothing about the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# When a slow test is taken for one that hangs.
SLOW_S = 900


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: tests wait for servers and time-outs a third of the time."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config: pytest.Config) -> None:
    connections.keep()
    if not hasattr(config, "workerinput"):
        databases.name_directory()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        databases.discard_server()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_S))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """What is collected stays to the end: looking for garbage among it took a fifth of the
    collection, and then its part of each test."""
    gc.disable()
    if session.config.args == session.config.getini("testpaths"):
        _import_a_share(getattr(session.config, "workerinput", {}))
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _import_a_share(worker: dict[str, str]) -> None:
    """Workers collect the same files at the same moment. Each begins with a share of its own, so
    that what is compiled, and its asserts rewritten, by one is found on the disk by the others."""
    if not worker:
        return
    root, number = Path(__file__).parent, int(worker["workerid"].removeprefix("gw"))
    files = sorted(root.rglob("test_*.py"))[number :: int(worker["workercount"])]
    for file in files:
        with suppress(Exception):  # the collection reports it
            import_module(".".join(file.relative_to(root.parent).with_suffix("").parts))


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
