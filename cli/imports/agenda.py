"""Tasks and appointments of a file → `ponctuel.tasks` and `appointments`, in one transaction.

One is known by code, which is the id; else by title, user and time (`agenda_index`). An empty cell
keeps what is there. Whom a moved or cancelled appointment is told to, or no longer, is the job's
affair: it reads these relations again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from chalicelib.domain.agenda.people import ELSEWHERE
from chalicelib.errors import BadRequest
from chalicelib.outbox import windows
from cli.imports.agenda_columns import APPOINTMENTS, TASKS
from cli.imports.agenda_index import AmbiguousEntryError, Entry, Index
from cli.imports.agenda_line import DAYS, Draft, People, Reader
from cli.imports.csv_file import Row, Table, find_table
from cli.imports.dates import is_month_first
from cli.imports.decoding import opened
from cli.imports.folding import clean, fold, shown
from cli.imports.identifiers import hashed_identifier
from cli.imports.invoice_line import BLANK, Reject
from cli.imports.known import Known, UnknownPersonError
from cli.imports.moments import day_part
from cli.imports.result import CHUNK, Counts, require_business, transaction
from cli.imports.subject import Subject

# Of Todoist's lines, those that are no tasks.
NO_TASKS = {"note", "section", "meta", "comment"}

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
        index = _index(connection, subject, business_id, people)
        reader = Reader(subject, people, index.user_of, _month_first(table, places))
        lines = _Lines(subject, index)
        chunk: list[dict[str, str]] = []
        for row in table.rows():
            if values := lines.take(row, places, reader):
                chunk.append(values)
            if len(chunk) == CHUNK:
                subject.store(connection, business_id, chunk, lines.result, dry_run=dry_run)
                chunk = []
        if chunk:
            subject.store(connection, business_id, chunk, lines.result, dry_run=dry_run)
        lines.tell_moved()
    return lines.result


@dataclass
class _Lines:
    """The lines of one file against what is known: which is which, and what is refused."""

    subject: Subject
    index: Index
    result: Counts = field(default_factory=Counts)
    _taken: dict[str, int] = field(default_factory=dict)
    _titles: Counter[tuple[str, str]] = field(default_factory=Counter)
    _new: list[tuple[int, Entry]] = field(default_factory=list)

    def take(self, row: Row, places: dict[str, int], reader: Reader) -> dict[str, str] | None:
        """What a good line states, with its id; None when it goes to the result."""
        if row.fault:
            self.result.reject(Reject(row.line, "", (row.fault,)))
            return None
        cells = {name: clean(row.cells[place]) for name, place in places.items()}
        if fold(cells.get("type", "")) in NO_TASKS:
            self.result.ignored += 1
            return None
        draft = reader.read(cells)
        title = shown(cells["title"])
        id = self._identify(draft)
        if id in self._taken:
            draft.reasons.append(f"la même fiche est déjà à la ligne {self._taken[id]} du fichier")
        elif id and id not in self.index and self._lacks_user(cells, draft):
            draft.reasons.append(f"{self.subject.labels['user_id']} : la case est vide")
        if draft.reasons:
            self.result.reject(Reject(row.line, title, tuple(dict.fromkeys(draft.reasons))))
            return None
        entry = draft.entry()
        self._titles[entry.key, entry.user] += 1
        if id not in self.index and not draft.code:
            self._new.append((row.line, entry))
        self.index.put(id, self.index.merged(id, entry))
        self._taken[id] = row.line
        self.result.remark(row.line, title, tuple(draft.remarks))
        return draft.values | {"id": id}

    def _lacks_user(self, cells: dict[str, str], draft: Draft) -> bool:
        return (
            "user_id" in self.subject.columns.required
            and "user_id" not in draft.values
            and cells.get("user_id", "") in BLANK
        )

    def _identify(self, draft: Draft) -> str:
        """The id of what the line describes, made of what it says where it is new."""
        if draft.code or draft.reasons:
            return draft.code
        entry = draft.entry()
        try:
            found = self.index.find(entry, self._taken)
        except AmbiguousEntryError as error:
            draft.reasons.append(str(error))
            return ""
        # What was made of the same line before is that one, even if it was moved since; unless
        # another line of the file is it.
        made = hashed_identifier(entry.text)
        return found or (hashed_identifier(entry.text + "|") if made in self._taken else made)

    def tell_moved(self) -> None:
        """A new line may be one that was moved, which only a code can tell."""
        for line, entry in self._new:
            if self._titles[entry.key, entry.user] > 1:
                continue
            if other := self.index.left_behind(entry, self._taken):
                when = f" ({other.moment or other.day:%d/%m/%Y})" if other.day else ""
                self.result.remark(
                    line,
                    shown(entry.title),
                    (
                        f"« {shown(other.title)} » existe aussi à une autre date{when} : si l'une "
                        "remplace l'autre, annulez celle-ci, ou ajoutez une colonne « Code »",
                    ),
                )


def _month_first(table: Table, places: dict[str, int]) -> bool:
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


def _index(connection: Connection, subject: Subject, business_id: str, people: People) -> Index:
    index = Index()
    found = connection.execute(text(_ENTRIES[subject.relation]), {"business": business_id})
    for row in found:
        user, day = row.user_id or "", row.day
        if row.moment:
            day = row.moment.astimezone(people.zones.get(user, people.zone)).date()
        settled = row.status in ("done", "cancelled")
        index.put(row.id, Entry(clean(row.title), user, day, row.moment, settled))
    return index
