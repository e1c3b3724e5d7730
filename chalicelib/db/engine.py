"""How Ponctuel connects: one connection per process, verified TLS, time-outs everywhere.

Databases are often across the Internet: statements are few and set-based, each is one round trip
(`wire`), and a connection that has just been used is not pinged again. pg8000's default TLS is
unverified and falls back to plain text, so it is never used.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.util import LRUCache

from chalicelib.db.sqlstate import database_error
from chalicelib.errors import PonctuelError

LOOPBACK = {"", "localhost", "127.0.0.1", "::1"}

# A socket read outlives the longest statement, or a slow answer would look like a dead server.
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 5_000
IDLE_IN_TRANSACTION_MS = 60_000
SOCKET_TIMEOUT_S = 40
RECYCLE_S = 300
# A connection that has been idle for longer may have been closed, or its machine been frozen.
PING_AFTER_S = 1.0
# Statements whose compiled form is kept.
COMPILED = 500


def make_engine(
    url: str | URL,
    *,
    application: str,
    ca: str | None = None,
    check_hostname: bool = True,
    startup_parameters: bool = True,
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
    socket_timeout_s: float = SOCKET_TIMEOUT_S,
) -> Engine:
    """An engine on `postgresql+pg8000://…`; nothing is connected yet.

    `ca`: a PEM file or the PEM text itself; None: the system's store. `check_hostname`: see
    `tls_context`. A Unix socket or a loopback
    address is not encrypted; everything else is verified TLS. `startup_parameters=False` is for
    poolers that refuse them (PgBouncer): the role's own settings must then hold the time-outs.

    Each has a connection of its own. What they share with others of the same arguments in this
    process is what a warm invocation need not do again: read authorities (20 ms), ask the server
    for its version and the like (five round trips), and compile statements.
    """
    model = _model(
        make_url(url),
        application,
        ca,
        check_hostname,
        startup_parameters,
        statement_timeout_ms,
        socket_timeout_s,
    )
    return Engine(
        model.pool.recreate(),
        model.dialect,
        model.url,
        execution_options=model.get_execution_options(),
        hide_parameters=True,
    )


@lru_cache(maxsize=16)
def _model(
    parsed: URL,
    application: str,
    ca: str | None,
    check_hostname: bool,
    startup_parameters: bool,
    statement_timeout_ms: int,
    socket_timeout_s: float,
) -> Engine:
    """It never connects."""
    arguments: dict[str, Any] = {
        "timeout": socket_timeout_s,
        "application_name": f"ponctuel/{application}"[:63],
    }
    if parsed.query.get("unix_sock") or (parsed.host or "") in LOOPBACK:
        # Without it, pg8000 reads the system's authorities for each connection: 0.1 s.
        arguments["ssl_context"] = False
    else:
        arguments["ssl_context"] = tls_context(ca, check_hostname=check_hostname)
    if startup_parameters:
        arguments["startup_params"] = {
            "statement_timeout": str(statement_timeout_ms),
            "lock_timeout": str(LOCK_TIMEOUT_MS),
            "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
            "TimeZone": "UTC",
            # Set-based statements sort and hash; a process has one connection.
            "work_mem": "32MB",
        }
    engine = create_engine(
        parsed,
        pool_size=1,
        max_overflow=0,
        pool_timeout=10,
        pool_recycle=RECYCLE_S,
        connect_args=arguments,
        execution_options={"compiled_cache": LRUCache(COMPILED)},
        # A statement's values are recipients and letters: no traceback may quote them.
        hide_parameters=True,
    )
    # Without it a bulk insert costs three round trips per row; it has to be set before first use.
    engine.dialect.use_insertmanyvalues_wo_returning = True
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "checkin", _note_idle)
    event.listen(engine, "checkout", _ping_after_idleness)
    return engine


def _connect(_dialect: Any, _record: Any, positional: Any, named: dict[str, Any]) -> Any:
    from chalicelib.db.wire import Connection as WireConnection

    return WireConnection(*positional, **named)


def _note_idle(_connection: Any, record: Any) -> None:
    record.info["idle_since"] = time.time()


def _ping_after_idleness(connection: Any, record: Any, _proxy: Any) -> None:
    """The wall clock, because a frozen Lambda's monotonic clock may stand still."""
    idle_since = record.info.get("idle_since")
    if idle_since is None or abs(time.time() - idle_since) <= PING_AFTER_S:
        return
    try:
        connection.ping()
    except Exception as error:
        # The pool makes a new connection and asks again.
        raise DisconnectionError from error


def tls_context(ca: str | None, *, check_hostname: bool = True) -> ssl.SSLContext:
    """Verified TLS against the given authority, or the system's. `check_hostname=False` verifies
    the chain only (libpq's `verify-ca`)."""
    if not ca:
        context = ssl.create_default_context()
    elif ca.lstrip().startswith("-----BEGIN"):
        context = ssl.create_default_context(cadata=ca)
    else:
        context = ssl.create_default_context(cafile=str(Path(ca)))
    context.check_hostname = check_hostname
    return context


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction. A lost connection, a failover or a refused write becomes
    `DatabaseUnavailable`, an older schema `SchemaOutdated`; other database errors pass through."""
    try:
        with engine.begin() as connection:
            try:
                yield connection
            except (DBAPIError, PonctuelError):
                raise
            except BaseException:
                # It may come from the driver in the middle of an answer, and the next statement
                # would read what is left of it: this connection is of no more use.
                connection.invalidate()
                raise
    except (DBAPIError, OSError, PoolTimeout) as error:
        translated = database_error(error)
        if translated is None:
            raise
        # pg8000 leaves a timed-out socket unusable: the next checkout must make a new one.
        engine.dispose()
        raise translated from error


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """One READ ONLY, REPEATABLE READ transaction, for dry runs: nothing can be written in it."""
    with transaction(engine) as connection:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield connection
