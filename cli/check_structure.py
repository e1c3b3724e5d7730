"""Relations and columns: are they there, of the right type, and may this role use them?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from chalicelib.db.engine import snapshot
from chalicelib.domain.relation import ACCEPTED, Relation
from cli.check_erasing import erasing
from cli.check_finding import Finding, Reader
from cli.check_sql import cast, column_of, view
from cli.check_writes import writes

TOPIC = "tables"
_KINDS = {"r": "table", "p": "table", "v": "vue", "m": "vue", "f": "table externe"}
# has_…_privilege knows nothing of a schema that may not be entered, hence the schema's own line.
_SCHEMA = text("""
SELECT quote_ident(current_user) AS role, to_regnamespace('ponctuel') IS NOT NULL AS exists,
       COALESCE(has_schema_privilege(to_regnamespace('ponctuel'), 'USAGE'), false) AS usage
""")
_COLUMNS = text("""
SELECT c.relname, c.relkind, a.attname,
       format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL) AS type,
       format_type(a.atttypid, a.atttypmod) AS shown,
       has_column_privilege(c.oid, a.attnum, 'SELECT') AS readable
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_attribute a
         ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
 WHERE n.nspname = 'ponctuel' AND c.relname = ANY (CAST(:names AS text[]))
   AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
""")


@dataclass(frozen=True)
class Structure:
    """What was found. `entered`: this role may look into the schema; `sound`: the relations whose
    rows can be looked at."""

    findings: Sequence[Finding]
    entered: bool
    sound: Sequence[Relation]


def structure(reader: Reader, relations: Sequence[Relation]) -> Structure:
    """Compares the relations of the database with what they have to be. Raises
    `DatabaseUnavailable`."""
    found: list[Finding] = []
    sound: list[Relation] = []
    kinds: dict[str, list[str]] = {}
    with snapshot(reader.engine) as connection:
        schema = connection.execute(_SCHEMA).one()
        if not (schema.exists and schema.usage):
            return Structure([_no_schema(schema.role, schema.exists)], False, [])
        rows = connection.execute(_COLUMNS, {"names": [relation.name for relation in relations]})
        present: dict[str, list[Any]] = {}
        for row in rows:
            present.setdefault(row.relname, []).append(row)
    for relation in relations:
        columns = present.get(relation.name)
        if columns is None:
            found.append(_missing(relation))
            continue
        wrong = list(_columns(relation, {row.attname: row for row in columns}, schema.role))
        found += wrong or writes(reader, relation, schema.role)
        kinds.setdefault(_KINDS[columns[0].relkind], []).append(relation.name)
        if not wrong:
            sound.append(relation)
    found += erasing(reader, sound, schema.role)
    return Structure([*_summary(kinds), *found], True, sound)


def _no_schema(role: str, exists: bool) -> Finding:
    if not exists:
        said = "le schéma ponctuel n'existe pas : lancez `./ponctuel migrate`"
        return Finding(TOPIC, "problem", said)
    said = f"le rôle {role} n'a pas accès au schéma ponctuel"
    return Finding(TOPIC, "problem", said, f"GRANT USAGE, CREATE ON SCHEMA ponctuel TO {role};")


def _summary(kinds: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    for kind, names in sorted(kinds.items()):
        yield Finding(TOPIC, "ok", f"en {kind} : {', '.join(names)}")


def _missing(relation: Relation) -> Finding:
    return Finding(
        TOPIC,
        "problem",
        f"il manque ponctuel.{relation.name} : créez la vue, ou une table (une base qui n'a pas "
        "encore la branche domain la reçoit de `./ponctuel migrate`)",
        view(relation),
    )


def _columns(relation: Relation, present: Mapping[str, Any], role: str) -> Iterator[Finding]:
    unreadable = []
    for column in relation.columns:
        row = present.get(column.name)
        if row is None:
            if column.read:
                yield Finding(
                    TOPIC,
                    "problem",
                    f"ponctuel.{relation.name} n'a pas de colonne {column.name} ({column.type})",
                    column_of(column),
                )
            continue
        if column.read and not row.readable:
            unreadable.append(column.name)
        if row.type not in ACCEPTED[column.type] and column.read:
            yield Finding(
                TOPIC,
                "problem",
                f"ponctuel.{relation.name}.{column.name} est de type {row.shown} ; il faut "
                f"{column.type}",
                cast(column, row.type),
            )
    if unreadable:
        yield Finding(
            TOPIC,
            "problem",
            f"le rôle {role} n'a pas le droit de lire {', '.join(unreadable)} dans "
            f"ponctuel.{relation.name}",
            f"GRANT SELECT ON ponctuel.{relation.name} TO {role};",
        )
