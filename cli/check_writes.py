"""Whether this role could write where a job has to, without writing anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from sqlalchemy import Connection

from chalicelib.domain.relation import Relation
from cli.check_finding import Finding, Reader, Verdict

TOPIC = "tables"


def writes(reader: Reader, relation: Relation, role: str) -> list[Finding]:
    """Plans each write, without executing it: PostgreSQL itself says whether it could."""
    found: list[Finding] = []
    for right, columns in (relation.writes or {}).items():
        found += reader.look(
            partial(_planned, _statement(relation, right, columns)),
            partial(_unwritable, relation, right, columns, role),
        )
    return found


def _planned(statement: str, connection: Connection) -> Iterable[Finding]:
    connection.exec_driver_sql(f"EXPLAIN {statement}")
    return ()


def _statement(relation: Relation, right: str, columns: Sequence[str]) -> str:
    if right == "INSERT":
        columns = [column.name for column in relation.columns]
    return statement(f"ponctuel.{relation.name}", right, columns)


def statement(name: str, right: str, columns: Sequence[str]) -> str:
    """A write of no row. `columns`: of an INSERT or an UPDATE."""
    if right == "UPDATE":
        values = ", ".join(f"{column} = {column}" for column in columns)
        return f"UPDATE {name} SET {values} WHERE false"
    if right == "INSERT":
        listed = ", ".join(columns)
        return f"INSERT INTO {name} ({listed}) SELECT {listed} FROM {name} WHERE false"
    return f"DELETE FROM {name} WHERE false"


def grant(relation: str, right: str, columns: Sequence[str], role: str) -> str:
    """The SQL that gives the right."""
    return f"GRANT {_of(right, columns)} ON ponctuel.{relation} TO {role};"


def trigger(relation: str, right: str) -> str:
    """The SQL by which a view takes such a write."""
    return (
        f"CREATE TRIGGER {relation}_{right.lower()} INSTEAD OF {right} ON ponctuel.{relation}\n"
        "  FOR EACH ROW EXECUTE FUNCTION …();"
    )


def _of(right: str, columns: Sequence[str]) -> str:
    return f"{right} ({', '.join(columns)})" if columns else right


def _unwritable(
    relation: Relation, right: str, columns: Sequence[str], role: str, code: str, why: str
) -> Finding:
    name = f"ponctuel.{relation.name}"
    verdict: Verdict = "note" if relation.without else "problem"
    then = f" : {relation.without}" if relation.without else ""
    if code == "42501":
        return Finding(
            TOPIC,
            verdict,
            f"le rôle {role}, ou le propriétaire de la vue, n'a pas le droit "
            f"{_of(right, columns)} sur {name} ou ce qu'elle lit{then}",
            grant(relation.name, right, columns, role),
        )
    return Finding(
        TOPIC,
        verdict,
        f"{name} ne se laisse pas écrire ({right}){then} ; {why} : il lui faut un déclencheur "
        "INSTEAD OF (docs/bring-your-own-tables.md)",
        trigger(relation.name, right),
    )
