"""Alembic's environment: runs on the connection that `chalicelib.db.migrate` hands over."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    version_table="schema_versions",
    version_table_schema="ponctuel",
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
