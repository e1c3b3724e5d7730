"""The progress of a run, read from its row: the process that works need not be this one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from chalicelib.db.engine import transaction
from chalicelib.errors import PonctuelError
from chalicelib.runner.bench import DELIVERY_STEP
from chalicelib.runner.invocation import engine_from
from chalicelib.settings import Settings
from cli import output

POLL_S = 0.4

_POSITION = text("""
SELECT r.status, r.step, r.position, r.failures,
       (SELECT count(*) FROM ponctuel.run_items i
         WHERE i.run_id = r.id AND i.step = r.step) AS items,
       count(m.id) AS messages,
       count(m.id) FILTER (WHERE m.state NOT IN ('planned','claimed','submitting')) AS settled
  FROM ponctuel.runs r LEFT JOIN ponctuel.messages m ON m.run_id = r.id
 WHERE r.id = :run_id GROUP BY r.id
""")


@dataclass(frozen=True)
class Position:
    """Where a run is: what it does, in French, and how far of how many (0: not known)."""

    doing: str
    done: int = 0
    total: int = 0


def position(connection: Connection, run_id: UUID) -> Position:
    row = connection.execute(_POSITION, {"run_id": run_id}).mappings().first()
    if row is None or row["status"] not in ("queued", "running", "continued"):
        return Position("terminé")
    if row["status"] == "queued":
        return Position("attend la fin de l'exécution en cours")
    if row["status"] == "continued":
        return Position("attend un nouvel essai" if row["failures"] else "attend la suite")
    if row["step"] == DELIVERY_STEP:
        return Position("envoi des messages", row["settled"], row["messages"])
    return Position(f"étape {row['step'] or '…'}", row["position"], row["items"])


@contextmanager
def shown(settings: Settings, run_id: UUID) -> Iterator[None]:
    """A progress bar on standard error for as long as the block lasts; nothing where that is no
    terminal. It has a connection of its own: the run's is busy."""
    screen = output.console(stderr=True)
    if not screen.is_terminal:
        yield
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    stop = threading.Event()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=screen, transient=True) as progress:
        task = progress.add_task("démarre", total=None)

        def follow() -> None:
            engine = engine_from(settings, "cli-progress")
            try:
                while not stop.wait(POLL_S):
                    try:
                        with transaction(engine) as connection:
                            now = position(connection, run_id)
                    except PonctuelError:
                        continue  # the run itself says what is wrong with the database
                    progress.update(
                        task, description=now.doing, completed=now.done, total=now.total or None
                    )
            finally:
                engine.dispose()

        thread = threading.Thread(target=follow, name="progress")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
