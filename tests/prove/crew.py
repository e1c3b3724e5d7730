"""The workers, and who gives them their trials.

A worker that hangs or dies costs its own trial and is replaced. However a run ends, nothing is left
of it: workers are told by the end of their input, and killed if they do not listen.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from tests import database as databases
from tests.prove.proofs import BY_NAME
from tests.prove.seeds import Seed

READY_S = 120.0
LEAVING_S = 30.0
# A worker that dies that often is not the trials' fault.
MOST_WORKERS = 20

Answer = dict[str, Any]
Plan = Callable[[Mapping[str, Sequence[str]]], Sequence[Seed]]


class Worker:
    """A process of `tests.prove.worker`, in a process group of its own."""

    def __init__(self, log: Path, names: Sequence[str]) -> None:
        self.log = log
        self.until: float | None = time.monotonic() + READY_S  # it hangs when it is past that
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.prove.worker", str(log), *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ask(self, seed: Seed) -> Answer | None:
        """Has the trial done. None: the worker has ended instead."""
        self.until = time.monotonic() + BY_NAME[seed.proof].limit_s
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{seed}\n")
            self._process.stdin.flush()
        except OSError:
            return None
        return self.answer()

    def answer(self) -> Answer | None:
        """The next line it says; None when it has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.until = None
        answer: Answer | None = json.loads(line) if line.endswith("\n") else None
        return answer

    def hangs(self) -> bool:
        return self.until is not None and time.monotonic() > self.until

    def dismiss(self) -> None:
        """Tells it that there is nothing more to do: it tidies up and ends."""
        assert self._process.stdin is not None
        if not self._process.stdin.closed:
            with suppress(OSError):  # it has ended already
                self._process.stdin.close()

    def see_off(self) -> None:
        """Waits for its end, and sees to it."""
        try:
            self._process.wait(LEAVING_S)
        except subprocess.TimeoutExpired:
            self.kill()
        databases.sweep()

    def kill(self) -> None:
        """Ends it and what it has started; its PostgreSQL is swept up afterwards."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self._process.wait()


@dataclass
class Crew:
    """Runs a plan on `size` workers. `record` is called for each answer, by the caller's thread;
    `log_of` where the log of a failure is to go."""

    size: int
    names: Sequence[str]
    plan: Plan
    record: Callable[[Answer], None]
    folder: Path
    postgresql: str = ""
    planned: int = 0
    _todo: deque[Seed] = field(default_factory=deque)
    _answers: SimpleQueue[Answer] = field(default_factory=SimpleQueue)
    _workers: dict[int, Worker] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _made: int = 0
    _is_planned: bool = False
    _stopping: threading.Event = field(default_factory=threading.Event)

    def run(self, seconds: float) -> bool:
        """Until everything is done, or the time is up; whether everything was done. A
        `KeyboardInterrupt` passes through, once nothing is left running."""
        threads = [
            threading.Thread(target=self._serve, args=(number,), daemon=True)
            for number in range(self.size)
        ]
        end = time.monotonic() + seconds
        for thread in threads:
            thread.start()
        done = 0
        try:
            while any(thread.is_alive() for thread in threads) or not self._answers.empty():
                done += self._collect()
                for worker in list(self._workers.values()):
                    if worker.hangs():
                        worker.kill()
                if time.monotonic() > end:
                    break
        finally:
            self._stop(threads)
        return self._is_planned and done >= self.planned

    def _collect(self) -> int:
        try:
            self.record(self._answers.get(timeout=0.2))
        except Empty:
            return 0
        return 1

    def _stop(self, threads: Sequence[threading.Thread]) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # it takes a moment, whoever insists
        self._stopping.set()
        for worker in self._workers.values():
            worker.dismiss()
        for worker in list(self._workers.values()):
            worker.see_off()
        for thread in threads:
            thread.join(LEAVING_S)

    def _serve(self, number: int) -> None:
        """One worker after the other, until there is nothing to do."""
        seed: Seed | None = None
        while not self._stopping.is_set() and self._made < MOST_WORKERS:
            worker = self._hire(number)
            ready = worker.answer()
            if ready is None:
                worker.kill()
                continue
            self._plan(ready)
            while (seed := self._next()) is not None:
                answer = worker.ask(seed)
                if self._stopping.is_set():
                    return
                if answer is None:
                    break
                if answer["error"] or answer["wrong"] or answer["uncertain"] > answer["bound"]:
                    self._keep_log(worker.log, seed)
                self._answers.put(answer)
            else:
                worker.dismiss()
                return
            self._keep_log(worker.log, seed)
            self._answers.put(_dead(seed))
            worker.kill()
            databases.sweep()

    def _hire(self, number: int) -> Worker:
        with self._lock:
            self._made += 1
            self._workers[number] = Worker(self.folder / f"worker-{number}.log", self.names)
            return self._workers[number]

    def _plan(self, ready: Answer) -> None:
        with self._lock:
            if not self._is_planned:
                self.postgresql = ready["postgresql"]
                self._todo.extend(self.plan(ready["points"]))
                self.planned, self._is_planned = len(self._todo), True

    def _next(self) -> Seed | None:
        with self._lock:
            return None if self._stopping.is_set() or not self._todo else self._todo.popleft()

    def _keep_log(self, log: Path, seed: Seed) -> None:
        failures = self.folder / "failures"
        failures.mkdir(exist_ok=True)
        name = str(seed).replace("/", "_").replace(":", "_")
        (failures / f"{name}.log").write_bytes(log.read_bytes() if log.exists() else b"")


def _dead(seed: Seed) -> Answer:
    return {
        "seed": str(seed),
        "seconds": 0.0,
        "wrong": {},
        "uncertain": 0,
        "bound": 0,
        "done": {},
        "error": "the worker died, or had to be killed because the trial did not end",
    }
