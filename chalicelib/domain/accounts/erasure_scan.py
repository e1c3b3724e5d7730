"""The proof that an account is erased: what was declared to go is not there any more, and the
address stands in no column that may not hold it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from chalicelib.domain.accounts import retention
from chalicelib.domain.accounts.retention_rules import Table

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
    """The same as `found_of`, of one account: business, user, email (lower case), deletion."""
    return found_of(connection, scope, retention.parameters(scope, [values]))


def found_of(connection: Connection, scope: str, values: Mapping[str, Any]) -> dict[str, int]:
    """Where there is still something of these accounts: `table` of rows that name a user,
    `table.column` of an address → how many rows. `values`: `retention.parameters`."""
    places, selects = zip(*retention.remains(scope), strict=True)
    left: Counter[str] = Counter()
    for nth, _number, rows in connection.execute(text(retention.at_once(selects)), values):
        left[places[nth]] += rows
    return left | _addresses(connection, scope, values)


def _addresses(connection: Connection, scope: str, values: Mapping[str, Any]) -> dict[str, int]:
    if not any(values["emails"]):
        return {}
    texts: dict[str, list[str]] = {}
    for name, column in connection.execute(_TEXTS):
        texts.setdefault(name, []).append(column)
    places: list[list[str]] = []
    selects = []
    for table, kept in retention.searched(scope):
        columns = [name for name in sorted(texts.get(table.name, ())) if name not in kept]
        if columns:
            places.append([f"{table.name}.{name}" for name in columns])
            selects.append(_looking(table, columns))
    left: dict[str, int] = {}
    for nth, _number, *counts in connection.execute(text(retention.at_once(selects)), values):
        left |= {place: n for place, n in zip(places[nth], counts[0], strict=True) if n}
    return left


def _looking(table: Table, columns: Sequence[str]) -> str:
    """SELECT of (number, rows of each column that have the address), of all accounts together."""
    counts = ", ".join(
        f'count(*) FILTER (WHERE strpos(lower(t."{name}"::text), w.email) > 0)' for name in columns
    )
    return retention.of_who(
        f"SELECT NULL::bigint, ARRAY[{counts}] FROM who w, {table.source}"
        f" WHERE w.email IS NOT NULL AND {table.of}"
    )
