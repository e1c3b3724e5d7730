"""Peak memory of a run with a small and a large base, and as much due in both.

Each in a process of its own, because a process keeps its peak. It runs the job as its Lambda does,
its volume reviewed, without a mail server; the database is another process, and not counted.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

from bench.database import Filling, Server, make_due
from bench.measure import Measure
from bench.sample import Sample

SMALL = Sample("memory_small", 10_000, unpaid=10_000, due=5_000)
LARGE = Sample("memory_large", 1_000_000, unpaid=1_000_000, due=5_000)
QUICK_SMALL = Sample("memory_small", 500, unpaid=500, due=200)
QUICK_LARGE = Sample("memory_large", 5_000, unpaid=5_000, due=200)
GOAL = 1.1

_RUN = """
import sys
from bench.peak import own_peak
from chalicelib import jobs
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.work import work
job = jobs.job(sys.argv[1])
with bench_for(job, holder="bench") as bench:
    results = work(job, bench, Deadline.after(600))
assert [result.status for result in results] == ["succeeded"], results
print(own_peak())
"""


def measure(server: Server, *, quick: bool) -> Iterator[Measure]:
    """Ratio of the peaks, large to small, once per round."""
    small, large = (QUICK_SMALL, QUICK_LARGE) if quick else (SMALL, LARGE)
    smalls: list[int] = []
    larges: list[int] = []
    for _ in range(2 if quick else 3):
        for sample, peaks in ((small, smalls), (large, larges)):
            make_due(server.engine(sample))
            peaks.append(peak(server, sample, "followups"))
    yield Measure(
        f"peak memory of a run at {large.invoices} / {small.invoices} invoices, {small.due} due",
        [big / little for little, big in zip(smalls, larges, strict=True)],
        "×",
        None if quick else GOAL,
        f"{max(larges) / 1e6:.0f} MB / {max(smalls) / 1e6:.0f} MB",
    )


def peak(server: Server, sample: Filling, job: str) -> int:
    """Bytes of resident memory at the most, of a process that runs the job as it is due there."""
    address = server.address(sample).render_as_string(hide_password=False)
    environment = os.environ | {"DATABASE_URL": address, "LOG_LEVEL": "ERROR"}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, job],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.splitlines()[-1])
