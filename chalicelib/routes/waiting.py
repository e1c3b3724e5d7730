"""Waiting for a run without holding the API: at most three calls at a time, over all containers.

Each waiting call keeps a Lambda busy; a cron service that calls twenty addresses at once would
otherwise use up a new account's ten concurrent executions, and the jobs' own with them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, text

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.errors import DatabaseUnavailable
from chalicelib.runner import ledger
from chalicelib.runner.deadline import Deadline

# A place is a row, taken under its lock, so that two calls can never count the same one as free.
PLACES = [UUID(int=number) for number in (1, 2, 3)]
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 1.0
# A container that dies while it waits leaves its place after that.
MARGIN_S = 5.0

_TAKE = text("""
UPDATE ponctuel.api_waits
   SET run_id = :run_id, until = ponctuel.clock() + make_interval(secs => :seconds)
 WHERE id = (SELECT id FROM ponctuel.api_waits WHERE until <= ponctuel.clock()
              ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, until
""")

_INSTALL = text("""
INSERT INTO ponctuel.api_waits (id, run_id, until)
SELECT place, place, '-infinity' FROM unnest(CAST(:places AS uuid[])) AS place
ON CONFLICT DO NOTHING
""")

_FREE = text("""
UPDATE ponctuel.api_waits SET until = '-infinity' WHERE id = :id AND until = :until
""")

_STATUSES = text("""
SELECT id, status FROM ponctuel.runs WHERE id = ANY(CAST(:ids AS uuid[]))
""")


def unfinished(engine: Engine, ids: Sequence[UUID]) -> list[UUID]:
    """Those of the runs that still go on; one statement."""
    with transaction(engine) as connection:
        found = {row.id: row.status for row in connection.execute(_STATUSES, {"ids": list(ids)})}
    return [id for id in ids if id in found and found[id] not in ledger.FINISHED]


def wait(engine: Engine, ids: Sequence[UUID], deadline: Deadline) -> None:
    """Returns when every run has finished, at the deadline, or at once when three others wait."""
    if deadline.remaining() <= 0:
        return
    with _place(engine, ids[0], deadline.remaining()) as granted:
        if not granted:
            logs.info("no_place_to_wait", run_id=str(ids[0]))
            return
        pause = FIRST_PAUSE_S
        while (left := deadline.remaining()) > 0:
            time.sleep(min(pause, left))
            if not unfinished(engine, ids):
                return
            pause = min(1.5 * pause, LONGEST_PAUSE_S)


@contextmanager
def _place(engine: Engine, run_id: UUID, seconds: float) -> Iterator[bool]:
    values = {"run_id": run_id, "seconds": seconds + MARGIN_S}
    with transaction(engine) as connection:
        taken: Any = connection.execute(_TAKE, values).mappings().first()
        if taken is None:  # full, or the very first call
            connection.execute(_INSTALL, {"places": PLACES})
            taken = connection.execute(_TAKE, values).mappings().first()
    yield taken is not None
    # After an error the database may hang once more, and the place comes free by itself.
    if taken is not None:
        _free(engine, taken)


def _free(engine: Engine, taken: Any) -> None:
    try:
        with transaction(engine) as connection:
            connection.execute(_FREE, dict(taken))
    except DatabaseUnavailable as error:
        # What happened to the run matters more to the caller.
        logs.warning("place_not_freed", error=error)
