"""Whether this role could erase an account, without erasing anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from sqlalchemy import Connection

from chalicelib.domain.accounts import retention
from chalicelib.domain.relation import Relation
from cli.check_finding import Finding, Reader
from cli.check_writes import TOPIC, grant, statement, trigger

Write = tuple[str, str, str]

# Scope → whose account it is about.
_WHOSE = {
    "user": "le compte d'un utilisateur",
    "business": "le compte du dernier utilisateur d'une entreprise",
}


def erasing(reader: Reader, relations: Sequence[Relation], role: str) -> list[Finding]:
    """One note per scope and cause: an application may erase its own tables before, and nothing is
    written where there is nothing to do. What other jobs write too is a finding already."""
    known = {relation.name: relation for relation in relations}
    asked: set[Write] = {
        (relation.name, right, column)
        for relation in relations
        for right, columns in (relation.writes or {}).items()
        for column in columns or ("",)
    }
    found: list[Finding] = []
    for scope, whose in _WHOSE.items():
        wanted = [one for one in retention.writes(scope) if one[0] in known and one not in asked]
        asked.update(wanted)
        found += _refused(reader, wanted, whose, role)
    return found


def _refused(reader: Reader, wanted: Sequence[Write], whose: str, role: str) -> list[Finding]:
    # All at once, as it is nearly everywhere; one by one where something is refused.
    if not reader.look(partial(_planned, wanted), _code):
        return []
    refused = {
        one: codes[0].text
        for one in wanted
        if (codes := reader.look(partial(_planned, [one]), _code))
    }
    forbidden = [one for one, code in refused.items() if code == "42501"]
    unwritable = [one for one in refused if one not in forbidden]
    then = f"effacer {whose} s'y arrêterait (erasing_failed), sauf si votre application le fait"
    found = []
    if forbidden:
        text = (
            f"le rôle {role}, ou le propriétaire de la vue, n'a pas le droit d'écrire dans "
            f"{_names(forbidden)} : {then}"
        )
        grants = "\n".join(grant(*_as_right(one), role) for one in forbidden)
        found.append(Finding(TOPIC, "note", text, grants))
    if unwritable:
        text = f"{_names(unwritable)} ne se laissent pas écrire : {then}"
        triggers = "\n".join(trigger(name, right) for name, right, _ in unwritable)
        found.append(Finding(TOPIC, "note", text, triggers))
    return found


def _planned(wanted: Iterable[Write], connection: Connection) -> Iterable[Finding]:
    for name, right, column in wanted:
        columns = (column,) if column else ()
        connection.exec_driver_sql(f"EXPLAIN {statement(f'ponctuel.{name}', right, columns)}")
    return ()


def _code(code: str, _why: str) -> Finding:
    return Finding(TOPIC, "note", code)


def _as_right(one: Write) -> tuple[str, str, tuple[str, ...]]:
    name, right, column = one
    return name, right, (column,) if column else ()


def _names(wanted: Iterable[Write]) -> str:
    return ", ".join(
        f"{name} ({right}{f' de {column}' if column else ''})" for name, right, column in wanted
    )
