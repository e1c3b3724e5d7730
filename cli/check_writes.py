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
        statement = _statement(relation, right, columns)
        found += reader.look(
            partial(_planned, statement), partial(_unwritable, relation, right, columns, role)
        )
    return found


def _planned(statement: str, connection: Connection) -> Iterable[Finding]:
    connection.exec_driver_sql(f"EXPLAIN {statement}")
    return ()


def _statement(relation: Relation, right: str, columns: Sequence[str]) -> str:
    name = f"ponctuel.{relation.name}"
    if right == "UPDATE":
        values = ", ".join(f"{column} = {column}" for column in columns)
        return f"UPDATE {name} SET {values} WHERE false"
    if right == "INSERT":
        listed = ", ".join(column.name for column in relation.columns)
        return f"INSERT INTO {name} ({listed}) SELECT {listed} FROM {name} WHERE false"
    return f"DELETE FROM {name} WHERE false"


def _unwritable(
    relation: Relation, right: str, columns: Sequence[str], role: str, code: str, why: str
) -> Finding:
    name = f"ponctuel.{relation.name}"
    verdict: Verdict = "note" if relation.without else "problem"
    then = f" : {relation.without}" if relation.without else ""
    if code == "42501":
        some = f" ({', '.join(columns)})" if columns else ""
        return Finding(
            TOPIC,
            verdict,
            f"le rôle {role}, ou le propriétaire de la vue, n'a pas le droit {right}{some} sur "
            f"{name} ou ce qu'elle lit{then}",
            f"GRANT {right}{some} ON {name} TO {role};",
        )
    return Finding(
        TOPIC,
        verdict,
        f"{name} ne se laisse pas écrire ({right}){then} ; {why} : il lui faut un déclencheur "
        "INSTEAD OF (docs/bring-your-own-tables.md)",
        f"CREATE TRIGGER {relation.name}_{right.lower()} INSTEAD OF {right} ON {name}\n"
        "  FOR EACH ROW EXECUTE FUNCTION …();",
    )
