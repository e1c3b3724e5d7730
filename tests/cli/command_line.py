"""`./ponctuel …` in this process, as a test reads its answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from cli.main import main


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What `--json` printed."""
        assert self.out, self.err
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """The output with its tables' spaces and line breaks as single spaces."""
        return " ".join(self.out.split())


class CommandLine:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *argv: str) -> Answer:
        self._capsys.readouterr()
        try:
            code = main(argv)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        captured = self._capsys.readouterr()
        return Answer(code, captured.out, captured.err)
