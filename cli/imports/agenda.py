"""Tasks and appointments of a file → `ponctuel.tasks` and `appointments`, in one transaction.

One is known by code, which is the id; else by title, user and time (`agenda_matching`). An empty
cell keeps what is there. Whom a moved or cancelled appointment is told to, or no longer, is the
job's affair: it reads these relations again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from chalicelib.domain.agenda.people import ELSEWHERE
from chalicelib.errors import BadRequest
from chalicelib.outbox import windows
from cli.imports.agenda_columns import APPOINTMENTS, TASKS
from cli.imports.agenda_draft import People
from cli.imports.agenda_index import Entry
from cli.imports.agenda_line import DAYS, Reader
from cli.imports.agenda_lines import Lines
from cli.imports.csv_file import Table, find_table
from cli.imports.dates import is_month_first
from cli.imports.decoding import opened
from cli.imports.folding import clean
from cli.imports.known import Known, UnknownPersonError
from cli.imports.moments import day_part
from cli.imports.result import CHUNK, Counts, require_business, transaction
from cli.imports.subject import Subject

_USERS = "SELECT id, name, email, zone FROM ponctuel.users WHERE business_id = :business"
_CUSTOMERS = "SELECT id, name FROM ponctuel.customers WHERE business_id = :business"
_ZONE = "SELECT zone FROM ponctuel.businesses WHERE id = :business"


def _between(moment: str) -> str:
    # `infinity`, which an application may write, is no Python date.
    return f"CASE WHEN {moment} BETWEEN '1900-01-01' AND '2200-01-01' THEN {moment} END"


_ENTRIES = {
    "tasks": f"""
SELECT id, title, user_id, status, {_between("due_at")} AS moment, {_between("due_on")} AS day
  FROM ponctuel.tasks WHERE business_id = :business ORDER BY id""",
    "appointments": f"""
SELECT id, title, user_id, status, {_between("starts_at")} AS moment, CAST(NULL AS date) AS day
  FROM ponctuel.appointments WHERE business_id = :business ORDER BY id""",
}


def import_tasks(
    connection: Connection,
    business_id: str,
    source: BinaryIO | Path,
    *,
    user: str = "",
    dry_run: bool = False,
) -> Counts:
    """Creates and updates the business's tasks; as `import_appointments`."""
    return _import(connection, TASKS, business_id, source, user, dry_run=dry_run)


def import_appointments(
    connection: Connection,
    business_id: str,
    source: BinaryIO | Path,
    *,
    user: str = "",
    dry_run: bool = False,
) -> Counts:
    """Creates and updates the business's appointments. `user`: id, address or name of whose they
    all are, "" where the file says it. All good lines are stored or, when the database fails,
    none; `dry_run` only reads and answers the same. Raises `NotFound` (no such business),
    `BadRequest` (no such user), `UnreadableFile` and `MissingColumns`; database errors pass
    through."""
    return _import(connection, APPOINTMENTS, business_id, source, user, dry_run=dry_run)


def _import(
    connection: Connection,
    subject: Subject,
    business_id: str,
    source: BinaryIO | Path,
    user: str,
    *,
    dry_run: bool,
) -> Counts:
    with opened(source) as stream, transaction(connection):
        require_business(connection, business_id)
        people = _people(connection, business_id, user)
        table = find_table(stream, subject.columns.score, subject.sample)
        places = subject.columns.require(table.header, without="user_id" if people.owner else "")
        stored = _stored(connection, subject, business_id, people)
        reader = Reader(subject, people, stored, _month_first(table, places))
        lines = Lines(subject, stored)
        for row in table.rows():
            lines.read(row, places, reader)
        stated = lines.identified()
        for start in range(0, len(stated), CHUNK):
            chunk = stated[start : start + CHUNK]
            subject.store(connection, business_id, chunk, lines.result, dry_run=dry_run)
    return lines.result


def _month_first(table: Table, places: Mapping[str, int]) -> bool:
    positions = [places[name] for name in DAYS if name in places]
    return any(
        is_month_first(day_part(row.cells[position][:100]))
        for row in table.rows()
        if not row.fault
        for position in positions
    )


def _people(connection: Connection, business_id: str, user: str) -> People:
    parameters = {"business": business_id}
    users, customers = Known(), Known()
    zones: dict[str, ZoneInfo] = {}
    for row in connection.execute(text(_USERS), parameters):
        users.add(row.id, {"name": row.name or "", "email": row.email or ""})
        if found := windows.zone(row.zone or ""):
            zones[row.id] = found
    for row in connection.execute(text(_CUSTOMERS), parameters):
        customers.add(row.id, {"name": row.name or ""})
    zone = windows.zone(connection.execute(text(_ZONE), parameters).scalar_one() or "")
    try:
        owner = users.user(user) if user else ""
    except UnknownPersonError as error:
        raise BadRequest(f"--user : {error}") from error
    return People(users, zones, zone or ZoneInfo(ELSEWHERE), customers, owner)


def _stored(
    connection: Connection, subject: Subject, business_id: str, people: People
) -> dict[str, Entry]:
    found = connection.execute(text(_ENTRIES[subject.relation]), {"business": business_id})
    return {
        row.id: people.entry(clean(row.title), row.user_id or "", row.moment, row.day, row.status)
        for row in found
    }
