"""What runs in a child of the storm: one job, through the doors that it is told, round by round."""

from __future__ import annotations

import multiprocessing.synchronize as synchronize
from collections.abc import Callable
from multiprocessing.connection import Connection
from uuid import UUID

import app
from chalicelib import jobs
from chalicelib.routes.compat import TABLE
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
HEADERS = {"Authorization": f"Bearer {SECRET}"}


def main(
    environment: dict[str, str], job: str, rounds: Connection, start: synchronize.Barrier
) -> None:
    """Each message on `rounds` is a list of doors; all children begin a round together, and each
    answers when it has been through its doors. None ends it."""
    settle_in(environment)
    triggers.install(Here())
    while (doors := rounds.recv()) is not None:
        start.wait(60)
        for door in doors:
            CALLS[door](job)
        rounds.send("done")


class Here:
    """Wakes the job in this very process."""

    def wake(self, job: str, door: str, run_id: UUID | None) -> None:
        jobs.module(job).handler(envelope(job, door=door, run_id=run_id), Context())


def _tick(job: str) -> None:
    jobs.module(job).handler(envelope(job), Context())


def _http(job: str, *, force: bool = False) -> None:
    body = {"wait": 0, "force": force}
    reply = Api(app.app).call("POST", f"/jobs/{job}/runs", headers=HEADERS, body=body)
    assert reply.status in (200, 202), reply.body


def _forced(job: str) -> None:
    _http(job, force=True)


def _compat(job: str) -> None:
    row = next(row for row in TABLE if row.job == job)
    reply = Api(app.app).call("POST", row.path, headers=HEADERS)
    assert reply.status in (200, 202), reply.body


def _command_line(job: str) -> None:
    found = jobs.job(job)
    with bench_for(found, holder="cli") as bench:
        request(bench.engine, found, found.zone, door="cli", operator=True)
        work(found, bench, Deadline.after(300), door="cli")


CALLS: dict[str, Callable[[str], None]] = {
    "tick": _tick,
    "http": _http,
    "forced": _forced,
    "compat": _compat,
    "cli": _command_line,
}
# Those that a pause keeps out.
AUTOMATIC = ("tick", "compat")


def doors_of(job: str) -> list[str]:
    """The doors that the job has, the forced one apart."""
    has_a_route = any(row.job == job for row in TABLE)
    return [door for door in CALLS if door != "forced" and (door != "compat" or has_a_route)]
