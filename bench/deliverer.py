"""One run of `deliver_messages` in a process of its own, as its Lambda has it: settings from the
environment, its lease, its pass over all that is due, its closing. It is warm, as a Lambda that is
invoked each minute: modules are imported and templates compiled before the clock starts, as Django
is set up before it starts for django-post_office.
"""

from __future__ import annotations

from importlib import import_module

from bench.processes import Stopwatch
from chalicelib import jobs
from chalicelib.outbox.kinds import load
from chalicelib.outbox.rendering import render, sample
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.work import work


def main() -> None:
    job = jobs.job("deliver_messages")
    warm()
    with Stopwatch(), bench_for(job, holder="bench") as bench:
        results = work(job, bench, Deadline.after(3600))
    assert {result.status for result in results} == {"succeeded"}, results


def warm() -> None:
    import_module("chalicelib.outbox.deliver")
    load("billing.invoice_followup")
    render("invoice_followup", sample("invoice_followup"))


if __name__ == "__main__":
    main()
