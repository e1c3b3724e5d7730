"""One invocation in a process of its own, which can be told to die, or to stop, at a given point.

See `points` for what the points are. Children come from a fork server that has everything imported.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

# Longer than any Lambda lives.
FROZEN_S = 1200.0

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(
    [f"tests.reliability.{name}" for name in ("child_body", "knocking", "deadly_probe", "unlucky")]
)


@dataclass(frozen=True)
class Point:
    """The `nth` time (from 1) that the process reaches `name`."""

    name: str
    nth: int


def spawn(target: Callable[..., None], *arguments: object) -> ForkServerProcess:
    """Starts a function of a preloaded module in a process of its own."""
    process = _server.Process(target=target, args=arguments)
    process.start()
    return process


def barrier(parties: int) -> Any:
    """For children that have to begin together."""
    return _server.Barrier(parties)


def event() -> Any:
    """To tell children something."""
    return _server.Event()


def start(
    environment: dict[str, str],
    job: str,
    *,
    at: Point | None = None,
    signal_number: int = signal.SIGKILL,
    seconds: float = 300,
    trace: Path | None = None,
) -> ForkServerProcess:
    """Starts the job's handler on a tick; it sends itself `signal_number` at the point, and tells
    so in the file `trace`; without a point, `trace` gets the count of the points."""
    from tests.reliability import child_body

    return spawn(child_body.main, environment, job, at, int(signal_number), seconds, trace)


def run(environment: dict[str, str], job: str, **options: Any) -> int:
    """Starts and waits; returns the exit code (negative: the signal that ended it)."""
    return ended(start(environment, job, **options))


def ended(process: ForkServerProcess) -> int:
    """Waits for the process; its exit code."""
    process.join(60)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError("a child did not end within a minute")
    code = process.exitcode
    process.close()
    return code


def points_of(environment: dict[str, str], job: str, trace: Path) -> Counter[str]:
    """Runs the job to its end and counts the points it went through."""
    code = run(environment, job, trace=trace)
    assert code == 0, f"{job} ended with {code}"
    return Counter(json.loads(trace.read_text()))


class Tripwire:
    """Counts the points, and sends the signal at the chosen one. A process that wakes after it
    finds that `FROZEN_S` have gone by."""

    def __init__(self, at: Point | None, signal_number: int, trace: Path | None) -> None:
        self.at = at
        self.signal_number = signal_number
        self.trace = trace
        self.reached: Counter[str] = Counter()
        self._lock = threading.Lock()

    def reach(self, name: str) -> None:
        with self._lock:
            self.reached[name] += 1
            hit = self.at is not None and (name, self.reached[name]) == (self.at.name, self.at.nth)
        if hit:
            self.tell()
            os.kill(os.getpid(), self.signal_number)
            now = time.monotonic
            time.monotonic = lambda: now() + FROZEN_S

    def tell(self) -> None:
        if self.trace is not None:
            part = self.trace.with_suffix(".part")
            part.write_text(json.dumps(self.reached))
            part.replace(self.trace)
