from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine


@pytest.fixture
def ponctuel(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line, without the runs' log lines."""
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    return CommandLine(capsys)


@pytest.fixture(scope="session")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that only itself vouches for, with its key, in one file."""
    from tests.certificates import sign

    signed = sign("stage", host="localhost")
    file = tmp_path_factory.mktemp("stage") / "certificate.pem"
    file.write_text(signed.pem + signed.secret)
    return file
