"""A process beside this one that parses a share of a large batch, where there is a core for it.

It reads batches from its standard input and writes what they say to its standard output, pickled:
both ends are ours. It ends when its input does. A mail that kills it has cost one try, as any that
fails, and the run goes on alone.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, BinaryIO, Self

from chalicelib import logs
from chalicelib.mail.parse import parse
from chalicelib.mail.parsed import ParsedMail

# A batch of fewer mails is parsed before the process would be there.
FEWEST = 50
# A Lambda has a core to itself for each so many MB.
_MB_PER_CORE = 1769

Asked = tuple[bytes, datetime | None]
# What a mail says, or the name of the error that it failed with.
Answer = ParsedMail | str


class SecondParser:
    """Started with the first large batch, used from the second on. Any thread may ask: one at a
    time is served, and the others are told to do it themselves."""

    def __init__(self, cores: int | None = None) -> None:
        self._possible = (_cores() if cores is None else cores) >= 2
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, mails: Sequence[Asked]) -> bool:
        """Whether it has taken these: then `end` is to be called, by the same thread."""
        if not self._possible or not self._turn.acquire(blocking=False):
            return False
        try:
            if self._process is not None:
                _send(self._process.stdin, list(mails))
                return True
            self._process = subprocess.Popen(  # noqa: S603 - this very module
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
        except OSError as error:
            self._give_up(error)
        self._turn.release()
        return False

    def end(self, count: int) -> list[Answer]:
        """Of as many mails as it has taken, in their order."""
        try:
            assert self._process is not None
            found: list[Answer] = _receive(self._process.stdout)
            return found
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            self._give_up(error)
            return [type(error).__name__] * count
        finally:
            self._turn.release()

    def _give_up(self, error: Exception) -> None:
        logs.warning("second_parser_lost", error=error)
        self._possible = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.kill()  # it has nothing of its own to lose
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        process.wait()


def _environment() -> dict[str, str]:
    """It parses foreign bytes, and needs to know no secrets."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}


def _cores() -> int:
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    memory = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    return min(there, int(memory) // _MB_PER_CORE) if memory.isdecimal() else there


def _send(pipe: Any, what: object) -> None:
    data = pickle.dumps(what, pickle.HIGHEST_PROTOCOL)
    pipe.write(len(data).to_bytes(8, "big"))
    pipe.write(data)
    pipe.flush()


def _receive(pipe: Any) -> Any:
    size = pipe.read(8)
    data = pipe.read(int.from_bytes(size, "big")) if len(size) == 8 else b""
    if not data:
        raise EOFError
    return pickle.loads(data)  # noqa: S301 - of our own other process


def _serve(asked: BinaryIO, told: BinaryIO) -> None:
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            _send(told, [_answer(*mail) for mail in _receive(asked)])


def _answer(raw: bytes, received: datetime | None) -> Answer:
    try:
        return parse(raw, received=received)
    except Exception as error:  # noqa: BLE001 - one unreadable e-mail stops no other
        return type(error).__name__


if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
