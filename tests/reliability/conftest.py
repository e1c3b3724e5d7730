"""Fixtures of the reliability tests."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

import pytest

from tests import database as databases
from tests.harness import deployed
from tests.reliability.child import points_of
from tests.reliability.scenarios import SCENARIOS

PointCounts = Callable[[str], Counter[str]]
CONCURRENCY = 2
INHERITED = (
    "DATABASE_URL",
    "MAIL_URL",
    "MAIL_FROM",
    "STORAGE_URL",
    "OPERATOR_EMAIL",
    "WAIT_SECONDS",
)


def child_environment(**more: str) -> dict[str, str]:
    """The deployment's settings, for a process that is started now."""
    environment = {name: os.environ[name] for name in INHERITED}
    return environment | {"SENDING_CONCURRENCY": str(CONCURRENCY)} | more


@pytest.fixture(scope="session")
def point_counts(
    database_server: databases.Server, tmp_path_factory: pytest.TempPathFactory
) -> PointCounts:
    """How often a job's scenario passes each point when nothing goes wrong."""
    known: dict[str, Counter[str]] = {}

    def counts(job: str) -> Counter[str]:
        if job not in known:
            folder = tmp_path_factory.mktemp("points")
            with (
                pytest.MonkeyPatch.context() as patch,
                database_server.database() as database,
                deployed(database, folder, patch) as deployment,
            ):
                SCENARIOS[job].load(deployment)
                deployment.advance_to_slot()
                known[job] = points_of(child_environment(), job, folder / "trace.json")
        return known[job]

    return counts
