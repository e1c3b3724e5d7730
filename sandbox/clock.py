"""The sandbox's clock: `ponctuel.clock()` replaced by one that can be set, and goes on ticking.

Production code never imports this module; a deployed stage keeps the migration's own function.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, text

# Seconds, not days and hours: adding "N days" would follow the session's daylight saving time.
INSTALL = """
CREATE TABLE IF NOT EXISTS ponctuel.sandbox_clock (
  singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  "offset"   interval NOT NULL
);
INSERT INTO ponctuel.sandbox_clock ("offset") VALUES (interval '0') ON CONFLICT DO NOTHING;
CREATE OR REPLACE FUNCTION ponctuel.clock() RETURNS timestamptz LANGUAGE sql STABLE
AS 'SELECT pg_catalog.statement_timestamp() + (SELECT "offset" FROM ponctuel.sandbox_clock)';
"""
SET = """
UPDATE ponctuel.sandbox_clock SET "offset" = make_interval(
  secs => extract(epoch FROM CAST(:instant AS timestamptz) - statement_timestamp())::float8)
"""
ADVANCE = """
UPDATE ponctuel.sandbox_clock SET "offset" = "offset" + make_interval(secs => :seconds)
"""


def install(connection: Connection) -> None:
    """Replaces `ponctuel.clock()`; harmless when it is already replaced. The offset starts at 0."""
    connection.exec_driver_sql(INSTALL)


def now(engine: Engine) -> datetime:
    """What the ledger takes for now, aware."""
    with engine.begin() as connection:
        found: datetime = connection.execute(text("SELECT ponctuel.clock()")).scalar_one()
    return found


def set_clock(connection: Connection, instant: datetime) -> None:
    """Makes it `instant` (aware) now; the clock goes on from there. Takes effect at commit."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    connection.execute(text(SET), {"instant": instant})


def advance(connection: Connection, delta: timedelta) -> None:
    """Moves the clock by `delta`, forwards or backwards. Takes effect at commit."""
    connection.execute(text(ADVANCE), {"seconds": delta.total_seconds()})
