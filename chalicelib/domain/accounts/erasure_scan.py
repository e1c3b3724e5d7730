"""The proof that an account is erased: what was declared to go is not there any more, and the
address stands in no column that may not hold it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, text

from chalicelib.domain.accounts import retention

# Views of somebody's own tables too; arrays of text are read as one text.
_TEXTS: Final = text("""
SELECT c.relname AS name, a.attname AS column
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'ponctuel' AND a.attnum > 0 AND NOT a.attisdropped
   AND format_type(a.atttypid, NULL) IN ('text', 'text[]', 'character varying', 'json', 'jsonb',
                                         'citext')
""")


def found(connection: Connection, scope: str, values: Mapping[str, Any]) -> dict[str, int]:
    """Where there is still something: `table` of rows that name the user, `table.column` of the
    address → how many rows. `values` are the parameters of `retention`."""
    left = {
        table: count
        for table, statement in retention.remains(scope)
        if (count := connection.execute(text(statement), values).scalar_one())
    }
    return left | _addresses(connection, scope, values)


def _addresses(connection: Connection, scope: str, values: Mapping[str, Any]) -> dict[str, int]:
    if not values["email"]:
        return {}
    texts: dict[str, list[str]] = {}
    for name, column in connection.execute(_TEXTS):
        texts.setdefault(name, []).append(column)
    left: dict[str, int] = {}
    for table, kept in retention.searched(scope):
        columns = [name for name in sorted(texts.get(table.name, ())) if name not in kept]
        if not columns:
            continue
        counts = ", ".join(
            f'count(*) FILTER (WHERE strpos(lower(t."{name}"::text), :email) > 0)'
            for name in columns
        )
        statement = f"SELECT {counts} FROM ponctuel.{table.name} t WHERE {table.of}"
        row = connection.execute(text(statement), values).one()
        left |= {f"{table.name}.{name}": n for name, n in zip(columns, row, strict=True) if n}
    return left
