"""pg8000 with fewer round trips: the same answers, and nothing outside of its transaction."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any

import pg8000.legacy
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError

from chalicelib.db import wire
from chalicelib.db.engine import PING_AFTER_S, make_engine, transaction
from chalicelib.db.wire import Connection
from sandbox.proxy import Proxy
from tests.database import Database


@pytest.fixture
def proxy(database: Database) -> Iterator[Proxy]:
    with Proxy(make_url(database.url).query["unix_sock"]) as proxy:  # type: ignore[arg-type]  # one value
        yield proxy


@pytest.fixture
def engine(database: Database, proxy: Proxy) -> Iterator[Engine]:
    url = make_url(database.url).set(host=proxy.host, port=proxy.port, query={})
    engine = make_engine(url, application="wire")
    with transaction(engine) as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS wire (n integer PRIMARY KEY, t text)"))
    yield engine
    engine.dispose()


def _arguments(database: Database) -> dict[str, Any]:
    url = make_url(database.url)
    return {"user": url.username, "database": url.database, **url.query}


@pytest.fixture
def ours(database: Database) -> Iterator[Connection]:
    connection = Connection(**_arguments(database))
    yield connection
    connection.close()


@pytest.fixture
def theirs(database: Database) -> Iterator[pg8000.legacy.Connection]:
    connection = pg8000.legacy.connect(**_arguments(database))
    yield connection
    connection.close()


def trips(proxy: Proxy, act: Callable[[], object]) -> int:
    before = proxy.round_trips
    act()
    return proxy.round_trips - before


def test_a_transaction_costs_one_round_trip_per_statement_and_one_to_commit(
    engine: Engine, proxy: Proxy
) -> None:
    def two_statements() -> None:
        with transaction(engine) as connection:
            connection.execute(text("INSERT INTO wire VALUES (:n, :t)"), {"n": 1, "t": "a"})
            connection.execute(text("SELECT t FROM wire WHERE n = :n"), {"n": 1}).one()

    assert trips(proxy, two_statements) == 3


def test_a_statement_is_read_for_its_parameters_once(engine: Engine) -> None:
    statement = text("SELECT CAST(:n AS integer) + 1, 'it''s', CAST(:n AS text)")
    wire._numbered.cache_clear()
    for number in (1, 2, 3):
        with transaction(engine) as connection:
            row = connection.execute(statement, {"n": number}).one()
        assert tuple(row) == (number + 1, "it's", str(number))
    assert wire._numbered.cache_info().misses == 1
    assert wire._numbered.cache_info().hits == 2


def test_a_transaction_in_which_nothing_is_done_costs_nothing(engine: Engine, proxy: Proxy) -> None:
    def nothing() -> None:
        with transaction(engine):
            pass

    assert trips(proxy, nothing) == 0


def test_a_connection_is_pinged_only_after_it_was_idle(engine: Engine, proxy: Proxy) -> None:
    def one_statement() -> None:
        with transaction(engine) as connection:
            connection.execute(text("SELECT CAST(:n AS integer)"), {"n": 1}).one()

    assert trips(proxy, one_statement) == 2
    time.sleep(PING_AFTER_S * 1.1)
    assert trips(proxy, one_statement) == 3


def test_a_connection_lost_while_idle_is_replaced_before_it_is_used(
    engine: Engine, proxy: Proxy
) -> None:
    proxy.cut()
    time.sleep(PING_AFTER_S * 1.1)
    with transaction(engine) as connection:
        assert connection.execute(text("SELECT CAST(:n AS integer)"), {"n": 7}).scalar() == 7


def test_a_statement_that_fails_is_rolled_back_with_those_before_it(engine: Engine) -> None:
    insert = text("INSERT INTO wire VALUES (:n, 'x')")
    with pytest.raises(DBAPIError), transaction(engine) as connection:  # noqa: PT012 - two on purpose
        connection.execute(insert, {"n": 1})
        connection.execute(insert, {"n": 1})
    with transaction(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM wire")).scalar() == 0


@pytest.mark.parametrize(
    "wrong",
    [
        "SELEC :n",  # found by Parse
        "SELECT CAST(:n AS date)",  # found by Bind
        "SELECT 1 / (CAST(:n AS integer) - CAST(:n AS integer))",  # found by Execute
    ],
)
def test_a_first_statement_that_fails_leaves_a_usable_connection(
    engine: Engine, wrong: str
) -> None:
    for _ in range(2):
        with pytest.raises(DBAPIError), transaction(engine) as connection:
            connection.execute(text(wrong), {"n": 1})
        with transaction(engine) as connection:
            assert connection.execute(text("SELECT CAST(:n AS text)"), {"n": "ok"}).scalar() == "ok"


def test_after_an_error_nothing_more_is_done_in_the_transaction(ours: Connection) -> None:
    cursor = ours.cursor()
    cursor.execute("CREATE TEMPORARY TABLE kept (n integer)")
    ours.commit()
    with pytest.raises(pg8000.legacy.ProgrammingError):
        cursor.execute("SELECT 1 / CAST(%s AS integer)", (0,))
    with pytest.raises(pg8000.legacy.ProgrammingError, match="25P02"):
        cursor.execute("INSERT INTO kept VALUES (%s)", (1,))
    ours.rollback()
    cursor.execute("SELECT count(*) FROM kept")
    assert cursor.fetchone() == [0]


def test_a_value_that_cannot_be_sent_sends_nothing(engine: Engine) -> None:
    """Half a surrogate pair, as a broken mail may hold."""
    with pytest.raises(UnicodeEncodeError), transaction(engine) as connection:
        connection.execute(text("INSERT INTO wire VALUES (1, :t)"), {"t": "\ud800"})
    with transaction(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM wire")).scalar() == 0


@pytest.mark.parametrize(
    "shown", ["infinity", "-infinity", "0044-03-15 BC", "20000-01-01", "1970-01-01", "2026-07-14"]
)
def test_dates_that_python_does_not_know_are_read_as_pg8000_reads_them(
    ours: Connection, theirs: pg8000.legacy.Connection, shown: str
) -> None:
    found: dict[Connection, list[object]] = {ours: [], theirs: []}
    for connection, rows in found.items():
        cursor = connection.cursor()
        for zone in ("UTC", "Europe/Paris", "Asia/Kolkata"):
            cursor.execute(f"SET LOCAL TimeZone = '{zone}'")
            cursor.execute("SELECT CAST(%s AS date), CAST(%s AS timestamptz)", (shown, shown))
            rows.append(cursor.fetchall())
        connection.rollback()
    assert found[ours] == found[theirs]


def test_several_statements_without_parameters_still_go_out_together(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.exec_driver_sql(
            "INSERT INTO wire VALUES (1, 'a'); INSERT INTO wire VALUES (2, 'b')"
        )
        assert connection.execute(text("SELECT count(*) FROM wire")).scalar() == 2


def test_copy_works_with_the_transaction_that_it_opens(ours: Connection) -> None:
    cursor = ours.cursor()
    cursor.execute("CREATE TEMPORARY TABLE copied (n integer)")
    ours.commit()
    cursor.execute("COPY copied FROM STDIN", stream=io.StringIO("1\n2\n3\n"))
    cursor.execute("SELECT sum(n) FROM copied")
    assert cursor.fetchone() == [6]
    ours.rollback()
    cursor.execute("SELECT sum(n) FROM copied")
    assert cursor.fetchone() == [None]


def test_a_long_statement_arrives_whole(engine: Engine) -> None:
    long = "é" * 3_000_000
    with transaction(engine) as connection:
        assert connection.execute(text("SELECT CAST(:t AS text)"), {"t": long}).scalar() == long


VALUES = st.one_of(
    st.tuples(st.just("text"), st.text(st.characters(exclude_characters="\0", codec="utf-8"))),
    st.tuples(st.just("bigint"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("numeric"), st.decimals(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just("boolean"), st.booleans()),
    st.tuples(st.just("date"), st.dates(date(1, 1, 1))),
    st.tuples(st.just("timestamptz"), st.datetimes(timezones=st.just(UTC))),
    st.tuples(st.just("interval"), st.timedeltas(timedelta(-9999), timedelta(9999))),
    st.tuples(st.just("uuid"), st.uuids()),
    st.tuples(st.just("text[]"), st.lists(st.text('aé"\\{},', max_size=4), max_size=4)),
    st.tuples(st.sampled_from(["text", "bigint", "numeric", "uuid"]), st.none()),
)


@given(st.lists(VALUES, min_size=1, max_size=4), st.booleans())
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_answers_are_those_of_pg8000_itself(
    ours: Connection,
    theirs: pg8000.legacy.Connection,
    values: list[tuple[str, str | int | Decimal | bool | date | timedelta | uuid.UUID | None]],
    commit: bool,
) -> None:
    statement = "SELECT " + ", ".join(
        f"CAST(%s AS {kind}) AS v{n}" for n, (kind, _) in enumerate(values)
    )
    found = []
    for connection in (ours, theirs):
        cursor = connection.cursor()
        cursor.execute(statement, tuple(value for _, value in values))
        found.append((cursor.fetchall(), cursor.description, cursor.rowcount))
        connection.commit() if commit else connection.rollback()
    assert found[0] == found[1]


def test_what_a_process_knows_of_a_server_it_does_not_ask_again(
    database: Database, proxy: Proxy
) -> None:
    url = make_url(database.url).set(host=proxy.host, port=proxy.port, query={})
    took: list[int] = []
    for _ in range(2):
        engine = make_engine(url, application="twice")
        before = proxy.round_trips
        with transaction(engine) as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
        took.append(proxy.round_trips - before)
        engine.dispose()
    assert took[1] <= took[0] - 4


def test_engines_of_the_same_arguments_have_connections_of_their_own(database: Database) -> None:
    one, other = (make_engine(database.url, application="twins") for _ in range(2))
    with one.connect() as first, other.connect() as second:
        ids = [c.exec_driver_sql("SELECT pg_backend_pid()").scalar() for c in (first, second)]
    assert ids[0] != ids[1]
    one.dispose()
    with other.connect() as second:
        assert second.exec_driver_sql("SELECT pg_backend_pid()").scalar() == ids[1]
    other.dispose()
