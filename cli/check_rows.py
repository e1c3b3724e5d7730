"""The rows of the domain's relations: missing and double keys, unknown codes, unknown zones.

A table of ours has constraints; somebody's view has whatever its tables hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial

from sqlalchemy import Connection, text

from chalicelib.domain.relation import Column, Relation
from chalicelib.outbox.windows import zone
from cli import output
from cli.check_finding import Finding, Reader

TOPIC = "données"
EXAMPLES = 5
# What is shown of a code that is none of ours: it could be anything, a name too.
_SHOWN = re.compile(r"[\w.-]{1,30}")

_ZONES = text("""
SELECT zone, count(*) FROM ponctuel.businesses WHERE active AND zone IS NOT NULL
 GROUP BY zone ORDER BY zone
""")


def rows(reader: Reader, relations: Sequence[Relation]) -> list[Finding]:
    """Looks at every row of these relations, whose structure is sound. Raises
    `DatabaseUnavailable`."""
    found: list[Finding] = []
    for relation in relations:
        found += reader.look(partial(_rows, relation), partial(_unreadable, relation))
    return found


def _unreadable(relation: Relation, code: str, why: str) -> Finding:
    slow = code == "57014"
    said = "n'a pas été lue en entier" if slow else "ne peut pas être lue"
    return Finding(
        TOPIC,
        "note" if slow else "problem",
        f"ponctuel.{relation.name} {said} : {why}",
        f"SELECT * FROM ponctuel.{relation.name};",
    )


def _rows(relation: Relation, connection: Connection) -> Iterator[Finding]:
    yield from _missing(connection, relation)
    for key in filter(None, (relation.key, relation.unique)):
        yield from _double(connection, relation, key)
    for column in relation.columns:
        if column.values:
            yield from _codes(connection, relation, column)
    if relation.name == "businesses":
        yield from _zones(connection)


def _missing(connection: Connection, relation: Relation) -> Iterator[Finding]:
    needed = {
        column.name: column.name in relation.key or bool(column.values)
        for column in relation.columns
        if column.read and not column.nullable
    }
    counts = ", ".join(f"count(*) FILTER (WHERE {name} IS NULL) AS {name}" for name in needed)
    row = connection.exec_driver_sql(f"SELECT {counts} FROM ponctuel.{relation.name}").one()
    for (name, stops), count in zip(needed.items(), row, strict=True):
        if count:
            yield Finding(
                TOPIC,
                "problem" if stops else "note",
                f"ponctuel.{relation.name}.{name} est vide dans "
                f"{output.plural(count, 'ligne', 'lignes')}",
                f"SELECT * FROM ponctuel.{relation.name} WHERE {name} IS NULL;",
            )


def _double(connection: Connection, relation: Relation, key: Sequence[str]) -> Iterator[Finding]:
    listed = ", ".join(key)
    double = (
        f"SELECT {listed}, count(*) FROM ponctuel.{relation.name}\n"
        f" WHERE ({listed}) IS NOT NULL GROUP BY {listed} HAVING count(*) > 1"
    )
    count = connection.exec_driver_sql(f"SELECT count(*) FROM ({double}) d").scalar_one()
    if count:
        keys = output.plural(count, "clé", "clés")
        yield Finding(
            TOPIC,
            "problem" if key == relation.key else "note",
            f"ponctuel.{relation.name} : {keys} en double ({listed})",
            f"{double};",
        )


def _codes(connection: Connection, relation: Relation, column: Column) -> Iterator[Finding]:
    known = ", ".join(f"'{value}'" for value in column.values)
    unknown = f"{column.name} NOT IN ({known})"
    found = connection.exec_driver_sql(
        f"SELECT left({column.name}, 31) AS code, sum(count(*)) OVER () AS total "
        f"FROM ponctuel.{relation.name} WHERE {unknown} "
        f"GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT {EXAMPLES}"
    ).all()
    if found:
        examples = ", ".join(f"« {row.code} »" for row in found if _SHOWN.fullmatch(row.code))
        yield Finding(
            TOPIC,
            "problem",
            f"ponctuel.{relation.name}.{column.name} a un code inconnu dans "
            f"{output.plural(int(found[0].total), 'ligne', 'lignes')}"
            f"{f' ({examples})' if examples else ''} ; les codes sont "
            f"{', '.join(column.values)}",
            f"SELECT {column.name}, count(*) FROM ponctuel.{relation.name}\n WHERE {unknown} "
            "GROUP BY 1;",
        )


def _zones(connection: Connection) -> Iterator[Finding]:
    for name, count in connection.execute(_ZONES):
        if zone(name) is None:
            yield Finding(
                TOPIC,
                "problem",
                f"« {name[:60]} » n'est pas un fuseau horaire IANA "
                f"({output.plural(count, 'entreprise', 'entreprises')}) : Europe/Paris, "
                "Indian/Reunion…",
                "SELECT id, zone FROM ponctuel.businesses WHERE active;",
            )
