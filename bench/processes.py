"""The other processes of a measurement: sandboxes, clients, and the processor time they take."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

PATIENCE_S = 30.0
# What a client prints about itself: wall clock and processor seconds of the sending alone.
REPORT = "MEASURED"


@dataclass(frozen=True)
class Took:
    """Seconds of one round of sending: by the clock, and of processor time by whom. A server's
    processor time is 0 where the system does not tell it (other than Linux)."""

    wall: float
    client: float
    sandbox: float = 0.0
    database: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.wall:.2f} s (processor: {self.client:.2f} client, {self.sandbox:.2f} sandbox, "
            f"{self.database:.2f} database)"
        )


@dataclass(frozen=True)
class Running:
    """A server in a process of its own. `said`: what it wrote once it answered."""

    pid: int
    folder: Path
    said: str


@contextmanager
def running(
    module: str, *arguments: str, folder: Path, said_in: str = "--port-file"
) -> Iterator[Running]:
    """`python -m module` with its `--folder`, until the end of the block. `said_in`: the option
    that names the file which it writes once it answers."""
    answer = folder / "answers"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", module, *arguments, "--folder", str(folder), said_in]
    with subprocess.Popen([*command, str(answer)], stdout=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + PATIENCE_S
            while not answer.exists():
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{module} does not answer")
                time.sleep(0.01)
            yield Running(process.pid, folder, answer.read_text())
        finally:
            process.terminate()


def client(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> tuple[float, float]:
    """Runs `python -m module` to its end; wall clock and processor seconds by its stopwatch."""
    said = run(module, *arguments, environment=environment)
    reports = [line.split() for line in said.splitlines() if line.startswith(REPORT)]
    if len(reports) != 1:
        raise RuntimeError(f"{module}: {said[-2000:]}")
    _, wall, processor = reports[0]
    return float(wall), float(processor)


def run(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """What `python -m module` printed. Raises `RuntimeError` when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=os.environ | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{module}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


class Stopwatch:
    """Of a client: what it does between `with` and the end of the block, its children included."""

    def __enter__(self) -> Stopwatch:
        self._processor = _own()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_error: object) -> None:
        wall = time.perf_counter() - self._start
        print(REPORT, f"{wall:.6f}", f"{_own() - self._processor:.6f}", flush=True)


def _own() -> float:
    uses = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def processor_seconds(pid: int) -> float:
    """Of a process and all that it started, those that have ended included; 0 where the system
    does not tell."""
    processes = _stats()
    if pid not in processes:
        return 0.0
    tree: Sequence[int] = [pid]
    total = 0.0
    while tree:
        total += sum(processes[number][1] for number in tree)
        tree = [number for number, (parent, _) in processes.items() if parent in tree]
    return total


def _stats() -> dict[int, tuple[int, float]]:
    """Each process's parent and seconds, from proc(5)."""
    found = {}
    tick = os.sysconf("SC_CLK_TCK")
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        found[int(path.parent.name)] = (int(fields[1]), sum(map(int, fields[11:15])) / tick)
    return found
