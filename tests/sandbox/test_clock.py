"""The tests' own ground: the database fixture and the clock that can be set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, text

from sandbox import clock
from tests.database import Database

NOON = datetime(2027, 3, 28, 0, 30, tzinfo=UTC)


def now(connection: Connection) -> datetime:
    instant = connection.execute(text("SELECT ponctuel.clock()")).scalar_one()
    assert isinstance(instant, datetime)
    return instant


@pytest.mark.parametrize("attempt", [1, 2])
def test_each_test_has_an_empty_migrated_database(database: Database, attempt: int) -> None:
    with database.begin() as connection:
        businesses = connection.execute(text("SELECT count(*) FROM ponctuel.businesses"))
        assert businesses.scalar_one() == 0
        connection.execute(text("INSERT INTO ponctuel.businesses (id, name) VALUES ('B1', 'Une')"))


def test_a_forgotten_connection_does_not_keep_the_database_alive(database: Database) -> None:
    connection = database.engine().connect()
    connection.execute(text("SELECT 1"))
    connection.close()


def test_the_clock_is_the_servers_until_it_is_set(database: Database) -> None:
    with database.begin() as connection:
        server = connection.execute(text("SELECT statement_timestamp()")).scalar_one()
        assert abs(now(connection) - server) < timedelta(seconds=5)


def test_a_clock_that_was_set_goes_on_ticking_for_everyone(database: Database) -> None:
    database.set_clock(NOON)
    with database.engine().begin() as connection:
        first = now(connection)
        assert timedelta(0) <= first - NOON < timedelta(seconds=5)
        assert now(connection) > first


def test_the_clock_advances_across_a_change_of_hour_by_real_time(database: Database) -> None:
    database.set_clock(NOON)
    database.advance(timedelta(hours=25))
    with database.begin() as connection:
        connection.execute(text("SET LOCAL TimeZone = 'Europe/Paris'"))
        assert timedelta(hours=25) <= now(connection) - NOON < timedelta(hours=25, seconds=5)


def test_a_clock_set_in_a_session_with_daylight_saving_is_exact(database: Database) -> None:
    with database.begin() as connection:
        clock.install(connection)
        connection.execute(text("SET LOCAL TimeZone = 'Europe/Paris'"))
        clock.set_clock(connection, NOON)
        assert timedelta(0) <= now(connection) - NOON < timedelta(seconds=5)


def test_an_instant_without_a_time_zone_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="time zone"):
        database.set_clock(NOON.replace(tzinfo=None))
