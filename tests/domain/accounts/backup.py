"""A backup of a whole database, and its restore: every row, and where the numbers had got to."""

from __future__ import annotations

from sqlalchemy import text

from tests.harness import Deployment

_SAVE = """
CREATE SCHEMA saved;
CREATE TABLE saved."#" AS SELECT sequencename, last_value FROM pg_sequences
 WHERE schemaname = 'ponctuel';
DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT table_name FROM information_schema.tables
               WHERE table_schema = 'ponctuel' AND table_type = 'BASE TABLE'
                 AND table_name NOT IN ('schema_versions', 'sandbox_clock')
  LOOP EXECUTE format('CREATE TABLE saved.%I AS TABLE ponctuel.%I', name, name); END LOOP;
END $$;
"""
_RESTORE = """
SET LOCAL session_replication_role = replica;
DO $$
DECLARE name text; columns text; sequence record;
BEGIN
  FOR name, columns IN
    SELECT c.table_name, string_agg(quote_ident(c.column_name), ', ')
      FROM information_schema.columns c
      JOIN information_schema.tables t ON t.table_schema = 'saved' AND t.table_name = c.table_name
     WHERE c.table_schema = 'ponctuel' AND c.is_generated = 'NEVER'
     GROUP BY c.table_name
  LOOP
    EXECUTE format('DELETE FROM ponctuel.%I', name);
    EXECUTE format('INSERT INTO ponctuel.%I (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM saved.%I',
                   name, columns, columns, name);
  END LOOP;
  FOR sequence IN SELECT * FROM saved."#"
  LOOP PERFORM setval(format('ponctuel.%I', sequence.sequencename),
                      COALESCE(sequence.last_value, 1), sequence.last_value IS NOT NULL);
  END LOOP;
END $$;
"""


def save(deployment: Deployment) -> None:
    with deployment.database.begin() as connection:
        connection.execute(text(_SAVE))


def restore(deployment: Deployment) -> None:
    """May be done again. The clock goes on: a restore is later than its backup."""
    with deployment.database.begin() as connection:
        connection.execute(text(_RESTORE))
