"""One invocation in a process of its own, which can be told to die, or to stop, at a given point.

The points are counted in the order in which the process reaches them: `before_commit`,
`after_commit`, `before_call`, `inside_call` (the content has gone out, the answer has not come)
and `after_call`. Children come from a fork server that has everything imported.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from collections import Counter
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

POINTS = ("before_commit", "after_commit", "before_call", "inside_call", "after_call")

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["tests.reliability.child_body"])


@dataclass(frozen=True)
class Point:
    """The `nth` time (from 1) that the process reaches `name`."""

    name: str
    nth: int


def start(
    environment: dict[str, str],
    job: str,
    *,
    at: Point | None = None,
    signal_number: int = signal.SIGKILL,
    seconds: float = 300,
    trace: Path | None = None,
) -> ForkServerProcess:
    """Starts the job's handler on a tick; it sends itself `signal_number` at the point."""
    from tests.reliability import child_body

    arguments = (environment, job, at, int(signal_number), seconds, trace)
    process = _server.Process(target=child_body.main, args=arguments)
    process.start()
    return process


def run(environment: dict[str, str], job: str, **options: Any) -> int:
    """Starts and waits; returns the exit code (negative: the signal that ended it)."""
    process = start(environment, job, **options)
    process.join(60)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"{job} did not end within a minute")
    code = process.exitcode
    process.close()
    return code


def points_of(environment: dict[str, str], job: str, trace: Path) -> Counter[str]:
    """Runs the job to its end and counts the points it went through."""
    code = run(environment, job, trace=trace)
    assert code == 0, f"{job} ended with {code}"
    return Counter(json.loads(trace.read_text()))


class Tripwire:
    """Counts the points, and sends the signal at the chosen one."""

    def __init__(self, at: Point | None, signal_number: int) -> None:
        self.at = at
        self.signal_number = signal_number
        self.reached: Counter[str] = Counter()
        self._lock = threading.Lock()

    def reach(self, name: str) -> None:
        with self._lock:
            self.reached[name] += 1
            hit = self.at is not None and (name, self.reached[name]) == (self.at.name, self.at.nth)
        if hit:
            os.kill(os.getpid(), self.signal_number)
