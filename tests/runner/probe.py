"""A job of the tests: its items are rows of a table, and it can be told to fail or to die."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from chalicelib.errors import ItemFailed
from chalicelib.runner.bench import Bench
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.job import Batch, Job, Outcome, Preview, Run, Step
from chalicelib.runner.triggers import NextTick
from chalicelib.runner.work import Result, work
from chalicelib.settings import Settings

TABLES = """
CREATE TABLE IF NOT EXISTS ponctuel.probe_due (business_id text, item text);
CREATE TABLE IF NOT EXISTS ponctuel.probe_done (business_id text, item text, run_id uuid);
"""
DUE = "SELECT business_id, item FROM ponctuel.probe_due"


@dataclass(frozen=True)
class Probe:
    """Writes one row per item. `poison`: the item that fails; `deadly`: the one that kills."""

    poison: str = ""
    deadly: str = ""
    before: Callable[[], None] | None = None

    def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome:
        if self.before:
            self.before()
        items = connection.execute(text(batch.cte), batch.parameters).all()
        for _business, item in items:
            if item == self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            if item == self.poison:
                raise ItemFailed("Cet élément ne va pas.", code="poison")
        connection.execute(
            text(
                f"WITH batch AS ({batch.cte}) INSERT INTO ponctuel.probe_done "
                "SELECT business_id, item, :run_id FROM batch"
            ),
            batch.parameters,
        )
        return Outcome({"done": len(items)})

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        rows = connection.execute(text(batch.cte), batch.parameters)
        return Preview(changes=[{"business_id": row[0], "item": row[1]} for row in rows])


def job(effect: Probe | None = None, batch: int = 500, **overrides: Any) -> Job:
    values: dict[str, Any] = {
        "name": "probe",
        "title": "Sonde",
        "schedule": "0 * * * *",
        "zone": "Europe/Paris",
        "summary": "Sonde terminée",
        "steps": (Step("probe", DUE, effect or Probe(), batch=batch),),
        "delivers": "nothing",
    }
    return Job(**{**values, **overrides})


@dataclass
class Stand:
    """A bench for the probe, on one database."""

    engine: Engine
    environment: dict[str, str] = field(default_factory=dict)

    def install(self, *items: tuple[str, str]) -> None:
        with self.engine.begin() as connection:
            connection.exec_driver_sql(TABLES)
            for business, item in items:
                connection.execute(
                    text("INSERT INTO ponctuel.probe_due VALUES (:business, :item)"),
                    {"business": business, "item": item},
                )

    def bench(self, holder: str = "test") -> Bench:
        return Bench(self.engine, Settings.from_mapping(self.environment), NextTick(), holder)

    def work(self, job: Job, seconds: float = 300, **options: Any) -> list[Result]:
        return work(job, self.bench(), Deadline.after(seconds), **options)

    def advance(self, delta: timedelta) -> None:
        from sandbox import clock

        with self.engine.begin() as connection:
            clock.advance(connection, delta)

    def rows(self, query: str) -> list[dict[str, Any]]:
        with self.engine.begin() as connection:
            return [dict(row) for row in connection.execute(text(query)).mappings()]

    def done(self) -> list[str]:
        return [row["item"] for row in self.rows("SELECT item FROM ponctuel.probe_done")]

    def runs(self) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM ponctuel.runs ORDER BY number")
