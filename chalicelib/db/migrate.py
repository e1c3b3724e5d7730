"""Migrations, shipped in the bundle: the engine's own (`ledger`) and the domain's (`domain`).

Both only add. Whoever has the domain's relations elsewhere runs `ledger` alone and makes views.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from chalicelib.db.engine import transaction

FOLDER = Path(__file__).parent / "migrations"
BRANCHES = ("ledger", "domain")
# The ledger revision that this code needs; a newer one is fine, because migrations only add.
REQUIRED_LEDGER = "ledger_0001"

# Any constant will do: it only has to be the same for every migrating process.
_LOCK = 7_042_001


def migrate(engine: Engine, branches: Sequence[str] = BRANCHES) -> list[str]:
    """Brings the given branches to their newest revision, in one transaction, one process at a
    time. Returns the revisions that the database now has. Raises `DatabaseUnavailable`."""
    from alembic import command
    from alembic.config import Config

    with transaction(engine) as connection:
        connection.exec_driver_sql("SET LOCAL lock_timeout = '30s'")
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS ponctuel")
        config = Config()
        config.set_main_option("script_location", str(FOLDER))
        config.set_main_option("path_separator", "newline")
        config.set_main_option(
            "version_locations", "\n".join(str(FOLDER / branch) for branch in BRANCHES)
        )
        config.attributes["connection"] = connection
        for branch in branches:
            command.upgrade(config, f"{branch}@head")
        return revisions(connection)


def revisions(connection: Connection) -> list[str]:
    """The revisions the database has, one per branch."""
    rows = connection.exec_driver_sql("SELECT version_num FROM ponctuel.schema_versions")
    return sorted(row[0] for row in rows)
