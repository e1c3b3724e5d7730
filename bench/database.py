"""The databases that are measured on: one embedded server, one database per sample."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sqlalchemy import URL, Connection, Engine, create_engine, make_url

from chalicelib.db.engine import make_engine
from chalicelib.db.migrate import migrate
from sandbox import postgres

# Filling takes longer than any statement of a run may.
PATIENCE_MS = 600_000


class Filling(Protocol):
    """What fills a database of its own; equal ones share it."""

    @property
    def name(self) -> str: ...

    def fill(self, connection: Connection) -> None: ...


@dataclass
class Server:
    """A running server; its databases are made when they are first asked for."""

    url: URL
    _engines: dict[Filling, Engine] = field(default_factory=dict)

    def engine(self, sample: Filling) -> Engine:
        """An engine on the sample's database, as production has it but for its patience."""
        if sample not in self._engines:
            self.create(f"bench_{sample.name}")
            engine = make_engine(
                self.address(sample),
                application="bench",
                statement_timeout_ms=PATIENCE_MS,
                socket_timeout_s=PATIENCE_MS / 1000,
            )
            migrate(engine)
            with engine.begin() as connection:
                sample.fill(connection)
                # The statistics that autovacuum would have made.
                connection.exec_driver_sql("ANALYZE")
            self._engines[sample] = engine
        return self._engines[sample]

    def address(self, sample: Filling) -> URL:
        return self.url.set(database=f"bench_{sample.name}")

    def create(self, name: str) -> None:
        """An empty database."""
        self.drop(name)
        self._administer(f"CREATE DATABASE {name}")

    def drop(self, name: str) -> None:
        """Takes the database away, even while someone is connected to it."""
        self._administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _administer(self, statement: str) -> None:
        admin = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql(statement)
        admin.dispose()

    def pid(self) -> int:
        """Of the server's first process, the parent of all others."""
        data = Path(self._shown("data_directory"))
        return int((data / "postmaster.pid").read_text().splitlines()[0])

    def version(self) -> str:
        """PostgreSQL's own, such as 18.4."""
        return self._shown("server_version").partition(" ")[0]

    def _shown(self, name: str) -> str:
        server = create_engine(self.url)
        with server.connect() as connection:
            found: str = connection.exec_driver_sql(f"SHOW {name}").scalar_one()
        server.dispose()
        return found

    def close(self) -> None:
        for engine in self._engines.values():
            engine.dispose()


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """The embedded PostgreSQL with its own settings, data in `folder`."""
    with postgres.running(folder / "data") as url:
        running = Server(make_url(url))
        try:
            yield running
        finally:
            running.close()


def forget_runs(engine: Engine) -> None:
    """Takes back what runs wrote and leaves a sample's history, and gets the writing behind it
    done, so that the next measurement does not pay for it."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("DELETE FROM ponctuel.messages WHERE run_id IS NOT NULL")
        connection.exec_driver_sql(
            "TRUNCATE ponctuel.runs, ponctuel.run_items, ponctuel.run_errors, ponctuel.job_state"
        )
        connection.exec_driver_sql("VACUUM ponctuel.messages")
        connection.exec_driver_sql("CHECKPOINT")


def make_due(engine: Engine) -> None:
    """Forgets the runs before, and makes one slot of the relances due."""
    forget_runs(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO ponctuel.job_state (job, zone, covered_through) "
            "VALUES ('followups', 'Europe/Paris', ponctuel.clock() - interval '1 hour')"
        )
