"""One run of `inbox_sync` in a process of its own, as its Lambda has it: settings from the
environment, its lease, its pass over all mailboxes, its closing. It is warm, as a Lambda that is
invoked every five minutes: modules are imported before the clock starts.

Prints besides how many bytes of memory it has had at the most, with the process that parses beside
it.
"""

from __future__ import annotations

import resource
import sys
from importlib import import_module

from bench.processes import Stopwatch
from chalicelib import jobs
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.work import work

PEAK = "PEAK"
# Imported by the step when it begins.
_LATE = ("domain.inbox.outcomes", "domain.inbox.settle", "mailboxes.opening", "mailboxes.sync")


def main() -> None:
    job = jobs.job("inbox_sync")
    for name in (*_LATE, "providers.storage.folder"):
        import_module(f"chalicelib.{name}")
    with Stopwatch(), bench_for(job, holder="bench") as bench:
        results = work(job, bench, Deadline.after(280))
    assert [result.status for result in results] == ["succeeded"], results
    # getrusage(2) counts kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(PEAK, sum(use.ru_maxrss for use in uses) * unit)


if __name__ == "__main__":
    main()
