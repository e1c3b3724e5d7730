"""The connection: verified TLS, time-outs, and errors that say what is wrong."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from chalicelib.db import wire
from chalicelib.db.engine import PING_AFTER_S, make_engine, snapshot, transaction
from chalicelib.db.sqlstate import database_error, sqlstate
from chalicelib.errors import DatabaseUnavailable, SchemaOutdated
from tests.certificates import Signed, server_context, sign
from tests.database import Database, Server
from tests.providers.wire import serving

FAR = "postgresql+pg8000://ponctuel:secret@db.example.fr:5432/ponctuel"
# The loopback under a name that is not one of the loopback's own.
NAME = "127.1"


def run(engine: Engine, *statements: str) -> None:
    with transaction(engine) as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


class _SeenError(Exception):
    """Instead of a connection."""


def arguments_of(url: str, **options: Any) -> dict[str, Any]:
    """What pg8000 would be called with."""
    engine = make_engine(url, application="tests", **options)
    seen: dict[str, Any] = {}

    def connect(**named: Any) -> None:
        seen.update(named)
        raise _SeenError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "Connection", connect)
        with pytest.raises(_SeenError):
            engine.connect()
    return seen


@pytest.mark.parametrize("host", ["db.example.fr", "10.0.0.7", "[2001:db8::1]", "localhost.fr"])
def test_a_database_elsewhere_is_only_reached_over_verified_tls(host: str) -> None:
    context = arguments_of(FAR.replace("db.example.fr", host))["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:5433", "[::1]"])
def test_a_database_on_this_machine_needs_no_tls(host: str) -> None:
    assert arguments_of(f"postgresql+pg8000://postgres@{host}/ponctuel")["ssl_context"] is False
    socket_url = "postgresql+pg8000://postgres@/ponctuel?unix_sock=/tmp/.s.PGSQL.5432"
    assert arguments_of(socket_url)["ssl_context"] is False


def test_time_outs_are_asked_for_unless_a_pooler_refuses_them() -> None:
    arguments = arguments_of(FAR)
    asked = arguments["startup_params"]
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        assert int(asked[name]) > 0
    assert arguments["timeout"] > int(asked["statement_timeout"]) / 1000
    pooled = arguments_of(FAR, startup_parameters=False)
    assert "startup_params" not in pooled
    assert pooled["timeout"] == arguments["timeout"]


@pytest.fixture(scope="module")
def authority() -> Signed:
    return sign("Autorité")


def offering_tls(context: ssl.SSLContext, heard: list[bytes]) -> Callable[[socket.socket], None]:
    """A server's side of the start of a connection; what came over TLS goes to `heard`."""

    def conversation(client: socket.socket) -> None:
        client.recv(8)
        client.sendall(b"S")
        with context.wrap_socket(client, server_side=True) as encrypted:
            heard.append(encrypted.recv(1000))

    return conversation


def try_to_connect(port: int, **options: Any) -> None:
    engine = make_engine(
        f"postgresql+pg8000://ponctuel:secret@{NAME}:{port}/x", application="tests", **options
    )
    with pytest.raises(DatabaseUnavailable), transaction(engine):
        pass


def test_a_server_that_declines_tls_gets_no_password_in_clear() -> None:
    heard: list[bytes] = []

    def declining(client: socket.socket) -> None:
        client.recv(8)
        client.sendall(b"N")
        heard.append(client.recv(1000))

    with serving(declining) as port:
        try_to_connect(port)
    assert heard == [b""]


@pytest.mark.parametrize(
    ("trusted", "check_hostname", "goes_on"),
    [(False, True, False), (False, False, False), (True, True, False), (True, False, True)],
)
@pytest.mark.parametrize("form", ["file", "text"])
def test_the_chain_is_always_verified_and_the_name_unless_told_otherwise(
    authority: Signed,
    tmp_path: Path,
    trusted: bool,
    check_hostname: bool,
    goes_on: bool,
    form: str,
) -> None:
    heard: list[bytes] = []
    context = server_context(tmp_path, sign("database", authority, host="db.example.fr"))
    in_a_file = tmp_path / "authority.pem"
    in_a_file.write_text(authority.pem)
    ca = str(in_a_file) if form == "file" else authority.pem
    with serving(offering_tls(context, heard)) as port:
        try_to_connect(port, ca=ca if trusted else None, check_hostname=check_hostname)
    assert bool(heard) is goes_on


@pytest.fixture(scope="module")
def shared(database_server: Server) -> Iterator[Database]:
    """For tests that leave nothing in it."""
    with database_server.database() as database:
        yield database


def test_the_session_has_our_time_outs_and_utc(shared: Database) -> None:
    with transaction(shared.engine()) as connection:
        for name, value in (
            ("statement_timeout", "30s"),
            ("lock_timeout", "5s"),
            ("idle_in_transaction_session_timeout", "1min"),
            ("TimeZone", "UTC"),
            ("application_name", "ponctuel/tests"),
        ):
            assert connection.exec_driver_sql(f"SHOW {name}").scalar() == value


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("INSERT INTO ponctuel.go_lives VALUES ('*','*',now(),''), ('*','*',now(),'')", "23505"),
        ("SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(5)", "57014"),
        ("SELECT 1/0", "22012"),
        ("SELEKT 1", "42601"),
    ],
)
def test_a_statements_own_fault_is_not_put_on_the_database(
    shared: Database, statement: str, code: str
) -> None:
    with pytest.raises(DBAPIError) as caught:
        run(shared.engine(), *statement.split("; "))
    assert sqlstate(caught.value) == code
    assert database_error(caught.value) is None


def test_a_deadlock_is_told_to_one_of_the_two_and_is_no_outage(shared: Database) -> None:
    errors: list[DBAPIError] = []
    both_hold_one = threading.Barrier(2, timeout=10)

    def take(engine: Engine, first: int, second: int) -> None:
        try:
            with transaction(engine) as connection:
                connection.exec_driver_sql("SET LOCAL deadlock_timeout = '50ms'")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({first})")
                both_hold_one.wait()
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({second})")
        except DBAPIError as error:
            errors.append(error)

    other = threading.Thread(target=take, args=(shared.engine(), 2, 1))
    other.start()
    take(shared.engine(), 1, 2)
    other.join()
    (error,) = errors
    assert sqlstate(error) == "40P01"
    assert database_error(error) is None


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM ponctuel.of_next_year",
        "SELECT colonne FROM ponctuel.runs",
        "SELECT ponctuel.unknown()",
        "CREATE TABLE nowhere.t ()",
    ],
)
def test_what_the_schema_does_not_have_says_to_migrate(shared: Database, statement: str) -> None:
    with pytest.raises(SchemaOutdated, match="ponctuel migrate"):
        run(shared.engine(), statement)


def test_a_connection_that_the_server_ended_is_an_outage_and_the_next_one_works(
    shared: Database,
) -> None:
    engine = shared.engine()
    end_this_session = "SELECT pg_terminate_backend(pg_backend_pid())"
    with pytest.raises(DatabaseUnavailable, match="Vérifiez DATABASE_URL"):
        run(engine, end_this_session, "SELECT 1")
    with transaction(engine) as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_an_idle_connection_that_the_server_ended_is_replaced_unseen(shared: Database) -> None:
    engine = shared.engine()
    with transaction(engine) as connection:
        process = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    with shared.begin() as other:
        other.execute(text("SELECT pg_terminate_backend(:id, 5000)"), {"id": process})
    time.sleep(PING_AFTER_S * 1.1)
    with transaction(engine) as connection:
        assert connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one() != process


@pytest.mark.parametrize(
    ("part", "why"),
    [("database", "n'existe pas"), ("username", "refuse l'identification")],
)
def test_a_wrong_address_is_said_in_french_with_what_to_check(
    shared: Database, part: str, why: str
) -> None:
    right = shared.engine().url
    wrong = make_engine(
        right.set(database="nowhere") if part == "database" else right.set(username="nobody"),
        application="tests",
    )
    # pg8000 says goodbye to a server that has gone, and may tell only that this failed.
    said = f"({why}|ne répond pas).*Vérifiez DATABASE_URL"
    with pytest.raises(DatabaseUnavailable, match=said), transaction(wrong):
        pass


def test_a_server_without_a_free_connection_is_an_outage(shared: Database) -> None:
    engine = shared.engine()
    with shared.begin() as connection:
        connection.exec_driver_sql(f'CREATE ROLE "{shared.name}" LOGIN CONNECTION LIMIT 0')
    try:
        full = make_engine(engine.url.set(username=shared.name), application="tests")
        said = "(n'accepte plus de connexion|ne répond pas).*Vérifiez DATABASE_URL"
        with pytest.raises(DatabaseUnavailable, match=said), transaction(full):
            pass
    finally:
        with shared.begin() as connection:
            connection.exec_driver_sql(f'DROP ROLE "{shared.name}"')


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO ponctuel.go_lives VALUES ('*', '*', now(), 'x')",
        "CREATE TABLE ponctuel.t ()",
        "SELECT nextval('ponctuel.messages_id_seq')",
    ],
)
def test_nothing_can_be_written_in_a_snapshot(shared: Database, statement: str) -> None:
    engine = shared.engine()
    with pytest.raises(DatabaseUnavailable, match="lecture seule"), snapshot(engine) as connection:
        connection.exec_driver_sql(statement)


def test_a_snapshot_sees_one_instant_and_leaves_the_connection_writable(database: Database) -> None:
    engine = database.engine()
    count = "SELECT count(*) FROM ponctuel.go_lives"
    insert = "INSERT INTO ponctuel.go_lives VALUES ('{}', '*', now(), 'x')"
    with snapshot(engine) as connection:
        assert connection.exec_driver_sql(count).scalar() == 0
        with database.begin() as other:
            other.exec_driver_sql(insert.format("a"))
        assert connection.exec_driver_sql(count).scalar() == 0
    with transaction(engine) as connection:
        connection.exec_driver_sql(insert.format("b"))
        assert connection.exec_driver_sql(count).scalar() == 2


def test_an_error_of_our_own_rolls_back_and_comes_out_as_it_is(database: Database) -> None:
    engine = database.engine()

    def write_and_fail() -> None:
        with transaction(engine) as connection:
            connection.exec_driver_sql("INSERT INTO ponctuel.go_lives VALUES ('*','*',now(),'x')")
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    with transaction(engine) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM ponctuel.go_lives").scalar() == 0
