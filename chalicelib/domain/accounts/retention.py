"""What becomes of each table and column when accounts are erased: the one place that says so.

A test compares it with the schema, so that nothing new is forgotten. The SQL is of several accounts
at once, each of another business: `WHO` is them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chalicelib.domain.accounts.retention_domain import TABLES as DOMAIN
from chalicelib.domain.accounts.retention_engine import TABLES as ENGINE
from chalicelib.domain.accounts.retention_mail import TABLES as MAIL
from chalicelib.domain.accounts.retention_messages import TABLES as MESSAGES
from chalicelib.domain.accounts.retention_rules import PARAMETERS, Phase, Table

# What the ledger holds of somebody goes first: it asks the domain who they are.
TABLES: Final = (*MESSAGES, *MAIL, *ENGINE, *DOMAIN)

# As arrays, whose length the planner knows; an address that nobody has is like none.
WHO: Final = """who AS MATERIALIZED (
  SELECT w.number, w.business, w."user", w.person, NULLIF(w.email, '') AS email, w.deletion
    FROM unnest(CAST(:numbers AS bigint[]), CAST(:businesses AS text[]), CAST(:users AS text[]),
                CAST(:persons AS text[]), CAST(:emails AS text[]), CAST(:deletions AS text[]))
      AS w(number, business, "user", person, email, deletion)
)"""


def parameters(scope: str, accounts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The parameters of `WHO`, and `scope`. `accounts`: business, user, email (lower case) and
    deletion (its number) of each."""
    return {
        "scope": scope,
        "numbers": [int(one["deletion"]) for one in accounts],
        "businesses": [one["business"] for one in accounts],
        "users": [one["user"] for one in accounts],
        "persons": [f"user:{one['user']}" for one in accounts],
        "emails": [one["email"] or "" for one in accounts],
        "deletions": [str(one["deletion"]) for one in accounts],
    }


def of_who(sql: str) -> str:
    """The SQL of one account, whose parameters become columns of `WHO w`."""
    return re.sub(rf"(?<!:):({'|'.join(PARAMETERS)})\b", r'w."\1"', sql)


@dataclass(frozen=True)
class Write:
    """A plain write of one relation, which leaves nothing to do when it is run again. `change`:
    what is set; empty: the rows are deleted."""

    table: Table
    where: str
    change: str = ""

    @property
    def counted(self) -> str:
        """SELECT of (number of the deletion, rows)."""
        return _counted(self.table, self.where)

    @property
    def statement(self) -> str:
        others = ", ".join(filter(None, ("who w", self.table.joined)))
        name = f"ponctuel.{self.table.name} t"
        verb = (
            f"UPDATE {name} SET {self.change} FROM" if self.change else f"DELETE FROM {name} USING"
        )
        return of_who(f"WITH {WHO} {verb} {others} WHERE {self.where}")


def _counted(table: Table, where: str) -> str:
    return of_who(
        f"SELECT w.number, count(*) FROM who w, {table.source} WHERE {where} GROUP BY w.number"
    )


def statements(scope: str, phase: Phase) -> Iterator[Write]:
    """Those of a phase, in order."""
    for table in TABLES:
        if table.phase != phase or not table.of:
            continue
        where = f"{table.of} AND NOT ({table.busy})" if table.busy else table.of
        if scope == "business" and not table.survives:
            if not table.cascade:
                yield Write(table, where)
            continue
        stays = where
        if table.user:
            yield Write(table, f"{where} AND {table.user}")
            # So that each row is counted once: what goes is not detached before.
            stays = f"{where} AND ({table.user}) IS NOT TRUE"
        for column, (value, concerned) in table.detach.items():
            rows = f"{stays} AND {concerned} AND t.{column} IS DISTINCT FROM {value}"
            yield Write(table, rows, f"{column} = {value}")


def writes(scope: str) -> Iterator[tuple[str, str, str]]:
    """(table, right, column) of the domain's tables that erasing writes to, each once; the column
    is empty for DELETE."""
    for table in DOMAIN:
        if scope == "business" and not table.survives:
            yield table.name, "DELETE", ""
            continue
        if table.user:
            yield table.name, "DELETE", ""
        for column in table.detach:
            yield table.name, "UPDATE", column


def remains(scope: str) -> Iterator[tuple[str, str]]:
    """(table, SELECT of (number of the deletion, rows)) of rows that should have gone, or that
    still name the user."""
    for table in TABLES:
        if not table.of:
            continue
        if scope == "business" and not table.survives:
            yield table.name, _counted(table, table.of)
            continue
        conditions = [table.user] if table.user else []
        conditions += [
            f"{where} AND t.{column} IS DISTINCT FROM {value}"
            for column, (value, where) in table.detach.items()
        ]
        if conditions:
            either = " OR ".join(f"({one})" for one in conditions)
            yield table.name, _counted(table, f"{table.of} AND ({either})")


def at_once(selects: Sequence[str]) -> str:
    """One statement for several SELECTs of (number, rows): (which of them, number, rows)."""
    parts = (f"SELECT {n} AS nth, x.* FROM ({select}) x" for n, select in enumerate(selects))
    return f"WITH {WHO} {' UNION ALL '.join(parts)}"


def searched(scope: str) -> Iterator[tuple[Table, frozenset[str]]]:
    """Tables in which the address is looked for, and the columns that may hold it all the same."""
    for table in TABLES:
        if table.of and (scope == "user" or table.survives):
            yield table, table.kept_columns
