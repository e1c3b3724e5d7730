"""The HTTP door of a deployment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.database import Server
from tests.harness import Deployment, deployed
from tests.routes.doors import SECRET, Door, opened


@pytest.fixture
def door(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.setenv("CRON_SECRET", SECRET)
    monkeypatch.setenv("LOG_FORMAT", "json")
    with opened(deployment) as door:
        yield door


@pytest.fixture(scope="module")
def shared(
    database_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """One for the tests of a page, which are many and small: each begins with `reset`."""
    with (
        database_server.database() as database,
        pytest.MonkeyPatch.context() as environment,
        deployed(database, tmp_path_factory.mktemp("shared"), environment) as deployment,
    ):
        environment.setenv("LOG_FORMAT", "json")
        yield deployment
