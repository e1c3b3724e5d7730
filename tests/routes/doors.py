"""What the tests of the routes call with: the app behind API Gateway, jobs that wake at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import app
from chalicelib import jobs
from chalicelib.runner import triggers
from chalicelib.runner.events import envelope
from sandbox.http import Api, Reply
from sandbox.local_context import LocalContext
from tests.harness import Deployment

SECRET = "the-cron-secret-of-these-tests-0123456789"  # long enough
CANARY = "canary-secret-nobody-may-ever-read-98765"
INBOX = "/inbox/integrations/sync-all"
FOLLOWUPS = "/followups/process-automatic"


def bearer(secret: str = SECRET) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@dataclass
class Threads:
    """A trigger that runs the woken job's handler in a thread, or does what it is told instead."""

    instead: Callable[[str, UUID | None], None] | None = None
    woken: list[tuple[str, str, UUID | None]] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def wake(self, job: str, door: str, run_id: UUID | None) -> None:
        self.woken.append((job, door, run_id))
        thread = threading.Thread(target=self._run, args=(job, door, run_id))
        self._threads.append(thread)
        thread.start()

    def _run(self, job: str, door: str, run_id: UUID | None) -> None:
        if self.instead is not None:
            self.instead(job, run_id)
            return
        event = envelope(job, door=door, run_id=run_id)
        jobs.module(job).handler(event, LocalContext(job, 300))

    def join(self) -> None:
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()


@dataclass
class Door:
    """Calls with the secret; `outside` calls without."""

    deployment: Deployment
    trigger: Threads
    api: Api = field(default_factory=lambda: Api(app.app))

    def get(self, path: str, **options: Any) -> Reply:
        return self.api.call("GET", path, headers=bearer(), **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Reply:
        return self.api.call("POST", path, headers=bearer(), body=body, **options)

    def delete(self, path: str, **options: Any) -> Reply:
        return self.api.call("DELETE", path, headers=bearer(), **options)

    def outside(self, method: str, path: str, **options: Any) -> Reply:
        return self.api.call(method, path, **options)

    def under_stage(self) -> Door:
        return replace(self, api=replace(self.api, under_stage=True))

    def nobody_works(self) -> None:
        """Woken jobs do nothing: runs stay queued."""
        self.trigger.instead = lambda _job, _run_id: None

    def ends(self, status: str, **columns: Any) -> None:
        """A woken job's run ends like this, without any work."""
        values = {"counts": "{}", "results": "[]", "error": None, "error_code": None} | columns

        def close(job: str, run_id: UUID | None) -> None:
            self.deployment.execute(
                "UPDATE ponctuel.runs SET status = :status, finished_at = ponctuel.clock(), "
                "counts = CAST(:counts AS jsonb), results = CAST(:results AS jsonb), "
                "error = :error, error_code = :error_code WHERE id = :id",
                status=status,
                id=run_id,
                **values,
            )
            self.deployment.execute(
                "UPDATE ponctuel.job_state SET run_id = NULL WHERE job = :job", job=job
            )

        self.trigger.instead = close


@contextmanager
def opened(deployment: Deployment) -> Iterator[Door]:
    trigger = Threads()
    triggers.install(trigger)
    try:
        yield Door(deployment, trigger)
    finally:
        trigger.join()
        triggers.install(None)
