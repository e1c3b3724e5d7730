"""Migrations, shipped in the bundle: the engine's own (`ledger`) and the domain's (`domain`).

Both only add. Where somebody has put a view in the place of a domain relation, `domain` leaves it
alone; `ledger` may also be run by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from chalicelib.db.engine import transaction
from chalicelib.errors import PonctuelError

FOLDER = Path(__file__).parent / "migrations"
BRANCHES = ("ledger", "domain")
# The ledger revision that this code needs; a newer one is fine, because migrations only add.
REQUIRED_LEDGER = "ledger_0010"

# Any constant will do: it only has to be the same for every migrating process.
_LOCK = 7_042_001

# CREATE SCHEMA IF NOT EXISTS asks for the right to create even where the schema is there.
_SCHEMA = text("""
SELECT to_regnamespace('ponctuel') IS NOT NULL AS exists,
       CASE WHEN to_regnamespace('ponctuel') IS NULL
            THEN has_database_privilege(current_database(), 'CREATE')
            ELSE has_schema_privilege(to_regnamespace('ponctuel'), 'CREATE')
             AND has_schema_privilege(to_regnamespace('ponctuel'), 'USAGE') END AS allowed,
       quote_ident(current_user) AS role
""")
_VERSIONED = text("""
SELECT 1 FROM pg_catalog.pg_tables
 WHERE schemaname = 'ponctuel' AND tablename = 'schema_versions'
""")


def migrate(engine: Engine, branches: Sequence[str] = BRANCHES) -> list[str]:
    """Brings the given branches to their newest revision, in one transaction, one process at a
    time. Returns the revisions that the database now has. Raises `DatabaseUnavailable`, and
    `PonctuelError` when the role may not create in the schema or when the database has been
    migrated by newer code; nothing is changed then."""
    from alembic import command
    from alembic.config import Config

    with transaction(engine) as connection:
        connection.exec_driver_sql("SET LOCAL lock_timeout = '30s'")
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        _make_schema(connection)
        _refuse_newer(connection)
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


def shipped(branch: str) -> list[str]:
    """The branch's revisions that this code has, oldest first. Each file is named after its own:
    `domain/0001_billing.py` is domain_0001."""
    files = sorted(file.name for file in (FOLDER / branch).glob("[0-9]*.py"))
    return [f"{branch}_{name.partition('_')[0]}" for name in files]


def unknown(present: Sequence[str]) -> list[str]:
    """Those of the database's revisions that only newer code has."""
    known = {revision for branch in BRANCHES for revision in shipped(branch)}
    return [revision for revision in present if revision not in known]


def _make_schema(connection: Connection) -> None:
    found = connection.execute(_SCHEMA).one()
    if not found.allowed:
        create = "" if found.exists else "CREATE SCHEMA ponctuel; "
        raise PonctuelError(
            f"Le rôle {found.role} n'a pas le droit de créer dans le schéma ponctuel. Avec le "
            f"rôle qui possède la base : {create}GRANT USAGE, CREATE ON SCHEMA ponctuel TO "
            f"{found.role};",
            code="missing_grant",
        )
    if not found.exists:
        connection.exec_driver_sql("CREATE SCHEMA ponctuel")


def _refuse_newer(connection: Connection) -> None:
    if connection.execute(_VERSIONED).first() is None:
        return
    newer = unknown(revisions(connection))
    if newer:
        raise PonctuelError(
            f"La base est plus récente que ce code ({', '.join(newer)}) : rien n'a été changé. "
            "Ce code peut travailler avec elle ; pour la mettre à jour, lancez `migrate` depuis la "
            "version qui l'a migrée, ou une plus récente.",
            code="schema_newer",
        )
