"""Where a command looks and acts.

A command is two functions: one asks a `Source` and gives plain data, the other shows plain data
(`--json` prints them instead). Another source, a deployed stage over HTTPS, has to give the same
data; nothing that shows them will notice.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

from chalicelib import jobs
from chalicelib.db.engine import snapshot, transaction
from chalicelib.errors import NotFound
from chalicelib.runner.bench import Bench
from chalicelib.runner.invocation import engine_from
from chalicelib.runner.job import Job
from chalicelib.runner.triggers import NextTick
from chalicelib.runner.work import zones
from chalicelib.settings import Settings, settings


@dataclass(frozen=True)
class Source:
    """The database that this process's settings name."""

    engine: Engine
    settings: Settings

    def transaction(self) -> AbstractContextManager[Connection]:
        return transaction(self.engine)

    def snapshot(self) -> AbstractContextManager[Connection]:
        """One moment of the database, in which nothing can be written."""
        return snapshot(self.engine)

    def zones(self, job: Job) -> list[str]:
        """The zones in which the job's slots are computed now."""
        return zones(job, Bench(self.engine, self.settings, NextTick(), holder()))

    def chosen_zones(self, name: str, zone: str | None) -> tuple[Job, list[str]]:
        """The job, and all of its zones or the one asked for. Raises `NotFound`."""
        job = jobs.job(name)
        known = self.zones(job)
        if zone is None:
            return job, known
        if zone not in known:
            raise NotFound(
                f"Le job « {name} » n'a pas le fuseau « {zone} ». Il a : {', '.join(known)}."
            )
        return job, [zone]


@contextmanager
def database(application: str = "cli") -> Iterator[Source]:
    """A source whose connection is closed at the end. Raises `SettingsError`."""
    current = settings()
    engine = engine_from(current, application)
    try:
        yield Source(engine, current)
    finally:
        engine.dispose()


def user() -> str:
    """Who is at the keyboard, for the ledger."""
    try:
        return getpass.getuser()
    except (
        OSError,
        KeyError,
    ):  # KeyError until Python 3.12: a uid without a name, as in a container
        return f"uid {os.getuid()}"


def holder() -> str:
    """This process, as the holder of a lease."""
    return f"{socket.gethostname()}:{os.getpid()}"


def clock(connection: Connection) -> object:
    """The database's now, aware."""
    return connection.execute(text("SELECT ponctuel.clock()")).scalar_one()
