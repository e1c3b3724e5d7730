"""On what was measured: without it a figure says nothing."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    cores: int
    processor: str
    memory_gb: int
    system: str
    python: str
    postgresql: str | None

    def __str__(self) -> str:
        database = f", PostgreSQL {self.postgresql}" if self.postgresql else ""
        return (
            f"{self.cores} cores ({self.processor}), {self.memory_gb} GB, {self.system}, "
            f"Python {self.python}{database}"
        )

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def here(postgresql: str | None) -> Machine:
    """This machine; `postgresql`: the version of the server that was measured, if there was one."""
    return Machine(
        cores=os.cpu_count() or 1,
        processor=_processor(),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        system=platform.system(),
        python=platform.python_version(),
        postgresql=postgresql,
    )


def _processor() -> str:
    """Linux tells it in /proc/cpuinfo; elsewhere the platform's own word has to do."""
    description = Path("/proc/cpuinfo")
    if description.exists():
        for line in description.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
