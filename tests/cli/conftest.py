from __future__ import annotations

import pytest

from tests.cli.command_line import CommandLine


@pytest.fixture
def ponctuel(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line, without the runs' log lines."""
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    return CommandLine(capsys)
