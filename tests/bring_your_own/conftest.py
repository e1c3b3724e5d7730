from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bring_your_own.guide import Followed, followed
from tests.cli.command_line import CommandLine
from tests.database import Server


@pytest.fixture
def ponctuel(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line, without the runs' log lines."""
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    return CommandLine(capsys)


@pytest.fixture
def guide(
    database_server: Server,
    ponctuel: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Followed]:
    """The guide, followed to its end on 10 March 2026."""
    with followed(database_server, _role(), tmp_path, ponctuel, monkeypatch) as guide:
        yield guide


@pytest.fixture
def guide_before_its_run(
    database_server: Server,
    ponctuel: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Followed]:
    """The guide, followed up to its last command."""
    with followed(
        database_server, _role(), tmp_path, ponctuel, monkeypatch, before="./ponctuel run followups"
    ) as guide:
        yield guide


def _role() -> str:
    return f"ponctuel_app_{uuid.uuid4().hex[:12]}"
