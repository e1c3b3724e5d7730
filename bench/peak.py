"""How much memory a process has had at the most.

Not by getrusage(2) alone: on Linux its figure outlives exec(2), so that a process that does little
is given the peak of the one that started it.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
from pathlib import Path

# A process's peak only grows: what is read last, shortly before its end, is nearly all of it.
EVERY_S = 0.05


def own_peak() -> int:
    """Bytes of resident memory of this process, at the most until now."""
    found = _peak(os.getpid())
    if found is not None:
        return found
    # It counts kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Watch:
    """Within the block, looks at this process and those that it starts. `total`: bytes of all their
    peaks together, whether at the same time or not."""

    def __init__(self) -> None:
        self._children: dict[int, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def total(self) -> int:
        return own_peak() + sum(self._children.values())

    def _look(self) -> None:
        while not self._over.wait(EVERY_S):
            for path in Path("/proc/self/task").glob("*/children"):
                try:
                    pids = [int(pid) for pid in path.read_text().split()]
                except OSError:  # that thread has ended
                    continue
                for pid in pids:
                    self._children[pid] = _peak(pid) or self._children.get(pid, 0)


def _peak(pid: int) -> int | None:
    """None where the system does not tell it, or the process has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0][1]) * 1024 if lines else None
