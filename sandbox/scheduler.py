"""The local scheduler: EventBridge's part, for `./ponctuel scheduler` and `make serve`.

It ticks each job at its slots, by the wall clock. What a tick means is the engine's business: a
slot that was missed (the machine slept, the scheduler was stopped) is covered by the next tick, and
a tick too many finds nothing due.
"""

from __future__ import annotations

import select
import signal
import socket
from collections.abc import Callable, Iterable, Mapping
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


class Stop(Protocol):
    def wait(self, timeout: float) -> bool:
        """Returns after `timeout` seconds, or earlier and True when it is time to stop."""
        ...


class Signals:
    """A `Stop` by SIGTERM or Ctrl-C. A second one interrupts whatever takes too long."""

    def __init__(self) -> None:
        # A pipe: a signal may come while this very thread holds the lock of a threading.Event.
        self._reader, self._writer = socket.socketpair()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def wait(self, timeout: float) -> bool:
        return bool(select.select([self._reader], [], [], timeout)[0])

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.default_int_handler)
        self._writer.send(b".")


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Scheduler:
    """`tick(job)` starts a job and returns at once. `now` gives the time, aware."""

    tick: Callable[[str], None]
    schedules: Mapping[str, Schedule]
    now: Callable[[], datetime] = utc_now

    def run(self, stop: Stop) -> None:
        """Ticks every job once, for what was missed before, then each at its slots, until `stop`.
        However long the process slept, a job is ticked once for all that it missed."""
        last = self.now()
        for job in self.schedules:
            self.tick(job)
        while not stop.wait(self.nap(self.now())):
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


def ticking(functions: LocalLambda) -> Scheduler:
    """The scheduler of this process's settings. Raises `SettingsError`."""
    return Scheduler(lambda job: functions.start(job, envelope(job)), schedules(settings()))


def main() -> int:
    """Runs the schedules against DATABASE_URL until SIGTERM or Ctrl-C. Returns an exit code."""
    stop = Signals()
    try:
        _ = settings().database_url
        with LocalLambda() as functions:
            scheduler = ticking(functions)
            logs.info("scheduler_started", jobs=list(jobs.NAMES))
            scheduler.run(stop)
            functions.close(GRACE_S)
    except SettingsError as error:
        logs.error("scheduler_not_started", error=error)
        return 1
    except KeyboardInterrupt:
        return 130
    logs.info("scheduler_stopped")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
