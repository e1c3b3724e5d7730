"""One run of `inbox_sync` in a process of its own, as its Lambda has it: settings from the
environment, its lease, its pass over all mailboxes, its closing. It is warm, as a Lambda that is
invoked every five minutes: modules are imported before the clock starts, and with `--warmed` there
has been a run before; its connections are new all the same.

Prints besides how many bytes of memory it has had at the most, with the processes that parse beside
it.
"""

from __future__ import annotations

import sys
from importlib import import_module

from bench.mailbox import make_due
from bench.peak import Watch
from bench.processes import Stopwatch
from chalicelib import jobs
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.invocation import bench_for, engine_from
from chalicelib.runner.job import Job
from chalicelib.runner.work import work
from chalicelib.settings import settings

PEAK = "PEAK"
WARMED = "--warmed"
# Imported by the step when it begins.
_LATE = ("domain.inbox.outcomes", "domain.inbox.settle", "mailboxes.opening", "mailboxes.sync")


def main() -> None:
    job = jobs.job("inbox_sync")
    for name in (*_LATE, "providers.storage.folder"):
        import_module(f"chalicelib.{name}")
    if WARMED in sys.argv:
        read(job)
        engine = engine_from(settings(), "bench")
        make_due(engine)
        engine.dispose()
    with Watch() as watch, Stopwatch():
        read(job)
    print(PEAK, watch.total)


def read(job: Job) -> None:
    with bench_for(job, holder="bench") as bench:
        results = work(job, bench, Deadline.after(280))
    # A slot may begin meanwhile: then there is one run more.
    assert {result.status for result in results} == {"succeeded"}, results


if __name__ == "__main__":
    main()
