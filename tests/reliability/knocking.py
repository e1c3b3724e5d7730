"""What runs in a child of the storm: one job, through every door, one call after the other."""

from __future__ import annotations

import multiprocessing.synchronize as synchronize
from collections.abc import Callable, Sequence
from uuid import UUID

import app
from chalicelib import jobs
from chalicelib.runner import triggers
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.events import envelope
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.request import request
from chalicelib.runner.work import work
from sandbox.http import Api
from tests.harness import Context
from tests.reliability.child_body import settle_in

SECRET = "the-cron-secret-of-the-storm-0123456789"


def main(
    environment: dict[str, str], job: str, doors: Sequence[str], start: synchronize.Barrier
) -> None:
    settle_in(environment)
    triggers.install(Here())
    start.wait(30)
    for door in doors:
        _CALLS[door](job)


class Here:
    """Wakes the job in this very process."""

    def wake(self, job: str, door: str, run_id: UUID | None) -> None:
        jobs.module(job).handler(envelope(job, door=door, run_id=run_id), Context())


def _tick(job: str) -> None:
    jobs.module(job).handler(envelope(job), Context())


def _http(job: str) -> None:
    headers = {"Authorization": f"Bearer {SECRET}"}
    reply = Api(app.app).call("POST", f"/jobs/{job}/runs", headers=headers, body={"wait": 0})
    assert reply.status in (200, 202), reply.body


def _command_line(job: str) -> None:
    found = jobs.job(job)
    with bench_for(found, holder="cli") as bench:
        request(bench.engine, found, found.zone, door="cli", operator=True)
        work(found, bench, Deadline.after(300), door="cli")


_CALLS: dict[str, Callable[[str], None]] = {"tick": _tick, "http": _http, "cli": _command_line}
DOORS = tuple(_CALLS)
