"""The SQL that a finding proposes: what to write in a view in the place of what is there."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.domain.relation import Column, Relation

# Type that is wanted → how to get it from what is there; `{0}` is the column, `{1}` its default.
_CASTS: Mapping[tuple[str, str], str] = {
    ("numeric", "integer"): "({0} / 100.0)::numeric(14,2)  -- si ce sont des centimes",
    ("numeric", "bigint"): "({0} / 100.0)::numeric(14,2)  -- si ce sont des centimes",
    ("numeric", "smallint"): "({0} / 100.0)::numeric(14,2)  -- si ce sont des centimes",
    ("numeric", ""): "{0}::numeric(14,2)",
    (
        "boolean",
        "text",
    ): "COALESCE(lower({0}) IN ('1', 'o', 'oui', 't', 'true'), {1})",
    ("boolean", ""): "COALESCE({0} <> 0, {1})",
    ("timestamptz", "timestamp without time zone"): "{0} AT TIME ZONE 'Europe/Paris'",
    ("timestamptz", ""): "{0}::timestamptz",
    ("date", "timestamp with time zone"): "({0} AT TIME ZONE 'Europe/Paris')::date",
}
_TEXTS = ("character varying", "character")


def view(relation: Relation) -> str:
    """A view with every column that is read, to be completed."""
    columns = ",\n       ".join(column_of(column) for column in relation.columns if column.read)
    return f"CREATE VIEW ponctuel.{relation.name} AS\nSELECT {columns}\n  FROM …;"


def column_of(column: Column) -> str:
    """The column as a line of a view: what its owner has not is written as our default."""
    value = column.default or ("NULL" if column.nullable and not column.wanted else "…")
    typed = value if value in ("true", "false") or value.isdigit() else f"{value}::{column.type}"
    return f"{typed} AS {column.name}"


def cast(column: Column, type: str) -> str:
    """The column, converted from the PostgreSQL type `type` to the one that is wanted."""
    kind = "text" if type in _TEXTS else type
    known = _CASTS.get((column.type, kind)) or _CASTS.get((column.type, ""))
    value, comment, note = (
        (known or f"{{0}}::{column.type}").format(column.name, column.default).partition("  -- ")
    )
    return f"{value} AS {column.name}{comment}{note}"
