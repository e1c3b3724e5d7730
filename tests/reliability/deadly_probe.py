"""What runs in a child of the killing-item test: the probe job, some of whose items kill."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection

from sqlalchemy import Connection, text

from chalicelib.db.engine import make_engine
from chalicelib.runner.job import Batch, Outcome, Run
from tests.reliability.child_body import settle_in
from tests.runner.probe import Probe, Stand, job


class Deadly(Probe):
    """The probe, killed by any of `items`."""

    def __init__(self, items: Collection[str]) -> None:
        super().__init__()
        object.__setattr__(self, "items", items)

    def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome:
        rows = connection.execute(text(batch.cte), batch.parameters)
        if any(row.item in self.items for row in rows):  # type: ignore[attr-defined]  # set above
            os.kill(os.getpid(), signal.SIGKILL)
        return super().apply(run, connection, batch)


def main(url: str, deadly: Collection[str], batch: int) -> None:
    settle_in({})
    engine = make_engine(url, application="probe")
    Stand(engine).work(job(Deadly(deadly), batch=batch))
    engine.dispose()
