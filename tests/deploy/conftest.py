"""One AWS, one operator, one empty database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.database import Database, Server
from tests.deploy.aws import Aws, running
from tests.deploy.workshop import Workshop, store_secrets


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}.items():
            patch.setenv(name, value)
        with running(tmp_path_factory.mktemp("containers"), patch) as aws:
            yield aws


@pytest.fixture(scope="session")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip downloaded, in any test."""
    return tmp_path_factory.mktemp("layers")


@pytest.fixture
def workshop(aws: Aws, layers: Path, tmp_path: Path) -> Workshop:
    """A fresh clone, so without any state of an earlier deployment."""
    return Workshop.clone(tmp_path, aws, layers)


@pytest.fixture(scope="module")
def empty_database(database_server: Server) -> Iterator[Database]:
    """Without any schema."""
    with database_server.database() as database:
        with database.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA ponctuel CASCADE")
        database.close()
        yield database


@pytest.fixture
def stored(aws: Aws, empty_database: Database) -> None:
    """The secrets of both stages."""
    for stage in ("dev", "prod"):
        store_secrets(aws, stage, DATABASE_URL=empty_database.url)


@pytest.fixture
def nothing_changes(aws: Aws, stored: None) -> Iterator[None]:
    """Whatever the test asks for changes nothing in AWS."""
    aws.calls.clear()
    yield
    assert aws.changes() == []
