"""One run of `deliver_messages` in a process of its own, as its Lambda has it: settings from the
environment, its lease, its pass over all that is due, its closing.
"""

from __future__ import annotations

from bench.processes import Stopwatch
from chalicelib import jobs
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.work import work


def main() -> None:
    job = jobs.job("deliver_messages")
    with Stopwatch(), bench_for(job, holder="bench") as bench:
        results = work(job, bench, Deadline.after(3600))
    assert [result.status for result in results] == ["succeeded"], results


if __name__ == "__main__":
    main()
