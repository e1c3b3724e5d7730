"""Running a job in this process, until its run is finished, the way its Lambda would."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any
from uuid import UUID

from chalicelib.db.engine import transaction
from chalicelib.runner import ledger
from chalicelib.runner.bench import Bench
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.job import Job
from chalicelib.runner.request import request
from chalicelib.runner.run_detail import FIELDS, detail
from chalicelib.runner.work import MAX_HOPS, work

# Between two looks at a run that another process does, or that waits before it is tried again.
LOOK_AGAIN_S = 1.0


def ask(bench: Bench, job: Job, zone: str, *, by: str, reason: str, force: bool) -> UUID:
    """Records the run; a paused job does not refuse its operator."""
    return request(
        bench.engine, job, zone, door="cli", by=by, reason=reason, force=force, operator=True
    )


def finish(
    bench: Bench, job: Job, zone: str, run_id: UUID, stop: threading.Event
) -> dict[str, Any]:
    """Works until that run is finished and returns its row, with its errors.

    Each pass has the job's own time, as an invocation has. While another process holds the lease,
    or a failed attempt waits for the next, this one waits too. `stop` ends the work at the next
    cursor: the run then stays for the next tick. A run that stays unfinished is returned as it is.
    """
    patience = time.monotonic() + job.timeout_s * (MAX_HOPS + 1)
    door = "cli"
    while True:
        work(job, bench, _deadline(job, stop), door=door, only=zone)
        row = _row(bench, job, zone, run_id)
        if row["status"] in ledger.FINISHED or stop.is_set() or time.monotonic() > patience:
            return row
        door = "continuation"
        stop.wait(LOOK_AGAIN_S)


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """Ctrl-C, once, asks for the end of the run at its next cursor: a run that is killed leaves a
    lease to wait for, and looks like the fault of the item it was at. Twice interrupts at once."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        # Not print: a signal may come in the middle of another one.
        os.write(2, "\nArrêt au prochain point sûr ; encore Ctrl-C pour tuer.\n".encode())

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _deadline(job: Job, stop: threading.Event) -> Deadline:
    end = time.monotonic() + job.timeout_s
    return Deadline(lambda: 0.0 if stop.is_set() else end - time.monotonic())


def _row(bench: Bench, job: Job, zone: str, run_id: UUID) -> dict[str, Any]:
    with transaction(bench.engine) as connection:
        row = detail(connection, run_id)
    return nothing_to_do(run_id, job.name, zone) if row is None else row


def nothing_to_do(run_id: object, job: str, zone: str) -> dict[str, Any]:
    """What stands for the run of a quiet job, which leaves no row when there was nothing to do."""
    return dict.fromkeys(FIELDS) | {
        "id": run_id,
        "job": job,
        "zone": zone,
        "status": "succeeded",
        "dry_run": False,
        "counts": {},
        "results": [],
        "items": 0,
        "report": None,
        "errors": [],
        "message_errors": [],
    }
