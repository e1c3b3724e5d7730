"""What becomes of each table and column when an account is erased: the one place that says so.

A test compares it with the schema, so that nothing new is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chalicelib.domain.accounts.retention_domain import TABLES as DOMAIN
from chalicelib.domain.accounts.retention_engine import TABLES as ENGINE
from chalicelib.domain.accounts.retention_mail import TABLES as MAIL
from chalicelib.domain.accounts.retention_messages import TABLES as MESSAGES
from chalicelib.domain.accounts.retention_rules import Phase, Table

# What the ledger holds of somebody goes first: it asks the domain who they are.
TABLES: Final = (*MESSAGES, *MAIL, *ENGINE, *DOMAIN)

Statement = tuple[str, str]


def statements(scope: str, phase: Phase) -> Iterator[tuple[str, str, str]]:
    """(table, SQL whether there is anything to do, SQL that does it) of a phase, in order: plain
    writes of one relation each, which leave nothing to do when they are run again."""
    for table in TABLES:
        if table.phase != phase or not table.of:
            continue
        where = f"{table.of} AND NOT ({table.busy})" if table.busy else table.of
        if scope == "business" and not table.survives:
            if not table.cascade:
                yield _write(table.name, f"DELETE FROM ponctuel.{table.name} t", where)
            continue
        if table.user:
            yield _write(
                table.name, f"DELETE FROM ponctuel.{table.name} t", f"{where} AND {table.user}"
            )
        for column, (value, concerned) in table.detach.items():
            rows = f"{where} AND {concerned} AND t.{column} IS DISTINCT FROM {value}"
            yield _write(table.name, f"UPDATE ponctuel.{table.name} t SET {column} = {value}", rows)


def _write(table: str, verb: str, where: str) -> tuple[str, str, str]:
    return (
        table,
        f"SELECT EXISTS (SELECT 1 FROM ponctuel.{table} t WHERE {where})",
        f"{verb} WHERE {where}",
    )


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


def remains(scope: str) -> Iterator[Statement]:
    """(table, SQL that counts) of rows that should have gone, or that still name the user."""
    for table in TABLES:
        if not table.of:
            continue
        if scope == "business" and not table.survives:
            yield table.name, f"SELECT count(*) FROM ponctuel.{table.name} t WHERE {table.of}"
            continue
        conditions = [table.user] if table.user else []
        conditions += [
            f"{where} AND t.{column} IS DISTINCT FROM {value}"
            for column, (value, where) in table.detach.items()
        ]
        if conditions:
            either = " OR ".join(f"({one})" for one in conditions)
            yield (
                table.name,
                f"SELECT count(*) FROM ponctuel.{table.name} t WHERE {table.of} AND ({either})",
            )


def searched(scope: str) -> Iterator[tuple[Table, frozenset[str]]]:
    """Tables in which the address is looked for, and the columns that may hold it all the same."""
    for table in TABLES:
        if table.of and (scope == "user" or table.survives):
            yield table, table.kept_columns
