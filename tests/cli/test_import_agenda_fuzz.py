"""Any file in: what can be read is stored once, and importing it again changes nothing."""

from __future__ import annotations

import io
from dataclasses import asdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from cli.imports.agenda import import_appointments, import_tasks
from cli.imports.columns import MissingColumns
from cli.imports.decoding import UnreadableFile
from cli.imports.result import Counts
from tests.cli.test_import_agenda import DIARY, TODO, open_business
from tests.cli.test_import_fuzz import SHARDS
from tests.database import Database

IMPORTS = {"tasks": (import_tasks, TODO), "appointments": (import_appointments, DIARY)}
relations = st.sampled_from(sorted(IMPORTS))


def empty(connection: Connection) -> None:
    for relation in ("tasks", "appointments", "users", "businesses"):
        connection.execute(text(f"DELETE FROM ponctuel.{relation}"))
    open_business(connection)


def stored(connection: Connection, relation: str) -> list[object]:
    found = connection.execute(text(f"SELECT * FROM ponctuel.{relation} ORDER BY id"))
    return [tuple(row) for row in found]


@st.composite
def damaged(draw: st.DrawFn, content: str) -> bytes:
    """A real export with pieces cut out and others put in, in any encoding."""
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16"]))
    found = content.encode(encoding, "replace")
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(found)))
        end = start + draw(st.integers(0, 12))
        found = found[:start] + draw(SHARDS | st.binary(max_size=8)) + found[end:]
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(relations, st.data())
def test_a_damaged_file_is_read_or_refused_and_the_second_time_changes_nothing(
    database: Database, relation: str, data: st.DataObject
) -> None:
    sound = IMPORTS[relation][1]
    content = data.draw(damaged(sound) | st.binary(max_size=200))
    with database.begin() as connection:
        empty(connection)
        twice(connection, relation, content)


lines_of_tasks = st.tuples(
    st.sampled_from(["", "", "", "T1", "T2"]),
    st.sampled_from(["Relance", "RELANCE", "Pose"]),
    st.sampled_from(["", "15/12/2026", "15/12/2026 09:00", "15/12/2026 14:00", "16/12/2026"]),
    st.sampled_from(["", "ZOE", "ALI"]),
    st.sampled_from(["", "", "Terminée", "À faire"]),
)
lines_of_appointments = st.tuples(
    st.sampled_from(["", "", "", "R1", "R2"]),
    st.sampled_from(["Pose", "POSE", "Mesures"]),
    st.sampled_from(["15/12/2026 09:00", "15/12/2026 14:00", "16/12/2026 09:00"]),
    st.sampled_from(["", "ZOE", "ALI"]),
    st.sampled_from(["", "", "Annulé", "Prévu"]),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(relations, st.data())
def test_lines_alike_are_told_apart_the_same_way_each_time(
    database: Database, relation: str, data: st.DataObject
) -> None:
    two_files(database, relation, data)


@pytest.mark.slow
@settings(
    max_examples=1200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(relations, st.data())
def test_many_lines_alike_are_told_apart_the_same_way_each_time(
    database: Database, relation: str, data: st.DataObject
) -> None:
    two_files(database, relation, data)


def two_files(database: Database, relation: str, data: st.DataObject) -> None:
    """What the first one left is part of the question that the second one asks."""
    lines = lines_of_tasks if relation == "tasks" else lines_of_appointments
    when = "Échéance" if relation == "tasks" else "Début"
    head = f"Code;Titre;{when};Assignée à;Statut\n"
    files = [data.draw(st.lists(lines, max_size=5)) for _ in range(2)]
    with database.begin() as connection:
        empty(connection)
        for file in files:
            content = head + "\n".join(";".join(line) for line in file)
            twice(connection, relation, content.encode())


def twice(connection: Connection, relation: str, content: bytes) -> None:
    """Blank, in earnest, and in earnest again."""
    read = IMPORTS[relation][0]

    def attempt(*, dry_run: bool) -> Counts | None:
        try:
            return read(connection, "B1", io.BytesIO(content), dry_run=dry_run)
        except (UnreadableFile, MissingColumns) as error:
            message = str(error)
        assert message.isprintable()
        return None

    before = stored(connection, relation)
    rehearsed = attempt(dry_run=True)
    assert stored(connection, relation) == before
    first = attempt(dry_run=False)
    kept = stored(connection, relation)
    second = attempt(dry_run=False)
    assert (first is None) == (rehearsed is None) == (second is None)
    if first is None or second is None or rehearsed is None:
        assert kept == before
        return
    assert asdict(rehearsed) == asdict(first)
    assert len(kept) == len(before) + first.created
    assert stored(connection, relation) == kept
    assert (second.created, second.updated) == (0, 0)
    assert second.unchanged == first.created + first.updated + first.unchanged
    assert [each.line for each in second.rejects] == [each.line for each in first.rejects]
    for each in first.rejects + first.remarks:
        assert each.reasons
        assert all(reason.isprintable() for reason in each.reasons)
