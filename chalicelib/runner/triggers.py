"""Waking a job's own Lambda: after a call by hand, and to go on after a deadline.

Waking only shortens the wait: whatever a lost call leaves behind, the next tick takes up.
"""

from __future__ import annotations

import json
from typing import Protocol
from uuid import UUID

from chalicelib import logs
from chalicelib.runner.events import envelope
from chalicelib.settings import settings

APP = "ponctuel"


class Trigger(Protocol):
    def wake(self, job: str, door: str, run_id: UUID | None) -> None:
        """Starts the job elsewhere and returns at once; never raises."""
        ...


class LambdaTrigger:
    """An asynchronous invocation of `<app>-<stage>-<job>`."""

    def wake(self, job: str, door: str, run_id: UUID | None) -> None:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
        try:
            boto3.client("lambda", config=config).invoke(
                FunctionName=f"{APP}-{settings().stage}-{job}",
                InvocationType="Event",
                Payload=json.dumps(envelope(job, door=door, run_id=run_id)).encode(),
            )
        except (BotoCoreError, ClientError) as error:
            logs.warning("wake_failed", job=job, error=error)


class NextTick:
    """Wakes nobody: the next tick, or the local scheduler, takes up the run."""

    def wake(self, job: str, door: str, run_id: UUID | None) -> None:
        logs.debug("wake_left_to_next_tick", job=job, door=door, run_id=str(run_id))


_installed: Trigger | None = None


def install(chosen: Trigger | None) -> None:
    """The local server's way of starting a job; None: back to the default."""
    global _installed
    _installed = chosen


def trigger() -> Trigger:
    """Lambda on deployed stages; on `local`, what the local server installed."""
    if _installed is not None:
        return _installed
    return NextTick() if settings().is_local else LambdaTrigger()
