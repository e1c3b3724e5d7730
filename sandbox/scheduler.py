"""The local scheduler: EventBridge's part, for `./ponctuel scheduler` and `make serve`.

It ticks each job at its slots, by the wall clock. What a tick means is the engine's business: a
slot that was missed (the machine slept, the scheduler was stopped) is covered by the next tick, and
a tick too many finds nothing due.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Protocol

from chalicelib import jobs, logs
from chalicelib.errors import SettingsError
from chalicelib.runner.events import envelope
from chalicelib.runner.job import BUSINESS_ZONE, Job
from chalicelib.runner.schedule import Schedule
from chalicelib.settings import Settings, settings
from sandbox.local_lambda import LocalLambda

# A machine that slept is noticed within that time: a wait does not count the sleep.
LONGEST_NAP_S = 20.0
# Zones are whole quarters of an hour away from UTC.
BUSINESS_TICKS = Schedule("*/15 * * * *", "UTC")
# What a stop leaves to the runs in progress; they are then killed, and adopted after the restart.
GRACE_S = 8.0


class Clock(Protocol):
    def __call__(self) -> datetime: ...


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Scheduler:
    """`tick(job)` starts a job and returns at once. `now` is aware; `stop` ends `run`."""

    tick: Callable[[str], None]
    schedules: dict[str, Schedule]
    stop: threading.Event
    now: Clock = utc_now

    def run(self) -> None:
        """Ticks every job once, for what was missed before, then each at its slots, until `stop`.
        However long the process slept, a job is ticked once for all that it missed."""
        last = self.now()
        for job in self.schedules:
            self.tick(job)
        while not self.stop.wait(self.nap(self.now())):
            now = self.now()
            for job, schedule in self.schedules.items():
                if schedule.due(last, now) is not None:
                    self.tick(job)
            last = now

    def nap(self, now: datetime) -> float:
        """Seconds until the next slot of any job, LONGEST_NAP_S at most."""
        coming = [schedule.next_after(now) for schedule in self.schedules.values()]
        longest = now + timedelta(seconds=LONGEST_NAP_S)
        return (min([*coming, longest]) - now).total_seconds()


def schedules(current: Settings, names: Iterable[str] = jobs.NAMES) -> dict[str, Schedule]:
    """When each job is ticked on this stage. Raises `SettingsError`, in French, when a schedule or
    zone that was set cannot be used."""
    return {name: _schedule(jobs.job(name), current) for name in names}


def _schedule(job: Job, current: Settings) -> Schedule:
    zone = job.zone_on(current)
    if zone == BUSINESS_ZONE:
        job.schedule_in("UTC", current)  # is refused here if it cannot be read
        return BUSINESS_TICKS
    return job.schedule_in(zone, current)


def start_ticks(functions: LocalLambda, stop: threading.Event) -> threading.Thread:
    """The scheduler in a thread of this process. Raises `SettingsError`."""
    scheduler = Scheduler(
        tick=lambda job: functions.start(job, envelope(job)),
        schedules=schedules(settings()),
        stop=stop,
    )
    thread = threading.Thread(target=scheduler.run, name="scheduler", daemon=True)
    thread.start()
    return thread


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set. A second one interrupts whatever takes too long."""
    stop = threading.Event()

    def handle(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.default_int_handler)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    return stop


def main() -> int:
    """Runs the schedules against DATABASE_URL until SIGTERM or Ctrl-C. Returns an exit code."""
    stop = stop_on_signals()
    try:
        current = settings()
        _ = current.database_url
        with LocalLambda() as functions:
            thread = start_ticks(functions, stop)
            logs.info("scheduler_started", jobs=list(jobs.NAMES))
            stop.wait()
            thread.join()
            functions.close(GRACE_S)
    except SettingsError as error:
        logs.error("scheduler_not_started", error=error)
        return 1
    logs.info("scheduler_stopped")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
