"""Tasks and appointments of a file → `ponctuel.tasks` and `appointments`, in one transaction.

One is known by code, which is the id; else by title, user and time (`agenda_index`). An empty cell
keeps what is there. Whom a moved or cancelled appointment is told to, or no longer, is the job's
affair: it reads these relations again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from cli.imports.invoice_line import Reject
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
        for row in table.rows():
            lines.read(row, places, reader)
        stated = lines.identified()
        for start in range(0, len(stated), CHUNK):
            chunk = stated[start : start + CHUNK]
            subject.store(connection, business_id, chunk, lines.result, dry_run=dry_run)
    return lines.result


@dataclass(slots=True)
class _Line:
    number: int
    draft: Draft
    entry: Entry
    id: str


class _Lines:
    """The lines of one file against what is known: which is which, and what is refused.

    Those that say most are looked for first, whatever their order: what they are is then not left
    for those that say less, and the same file is understood in the same way when it comes again.
    """

    def __init__(self, subject: Subject, index: Index) -> None:
        self.result = Counts()
        self._subject = subject
        self._index = index
        self._lines: list[_Line] = []
        self._rejects: list[Reject] = []
        self._taken: dict[str, int] = {}

    def read(self, row: Row, places: Mapping[str, int], reader: Reader) -> None:
        if row.fault:
            self._rejects.append(Reject(row.line, "", (row.fault,)))
            return
        cells = {name: clean(row.cells[place]) for name, place in places.items()}
        if fold(cells.get("type", "")) in NO_TASKS:
            self.result.ignored += 1
            return
        draft = reader.read(cells)
        if draft.reasons:
            reasons = tuple(dict.fromkeys(draft.reasons))
            self._rejects.append(Reject(row.line, shown(cells["title"]), reasons))
        else:
            self._lines.append(_Line(row.line, draft, draft.entry(), draft.code))

    def identified(self) -> list[dict[str, str]]:
        """What good lines state, with their ids. The result has the others, and the remarks."""
        good: list[_Line] = []
        new: list[_Line] = []
        for line in self._in_order():
            reason = self._reason(line)
            # A code that was refused is not free for a later line: the next import would refuse
            # that one.
            self._taken.setdefault(line.id, line.number)
            if reason:
                self._rejects.append(Reject(line.number, shown(line.entry.title), (reason,)))
                continue
            if line.id not in self._index and not line.draft.code:
                new.append(line)
            self._index.put(line.id, self._index.merged(line.id, line.entry))
            good.append(line)
        self._tell_moved(new)
        for reject in sorted(self._rejects, key=lambda reject: reject.line):
            self.result.reject(reject)
        for line in sorted(good, key=lambda line: line.number):
            remarks = tuple(line.draft.remarks)
            self.result.remark(line.number, shown(line.entry.title), remarks)
        return [line.draft.values | {"id": line.id} for line in good]

    def _in_order(self) -> Iterator[_Line]:
        """Those with a code, then those that are there as they say, then the others. Each is
        looked for when those before it are settled."""
        others: list[_Line] = []
        for line in self._lines:
            if line.draft.code:
                yield line
            else:
                others.append(line)
        rest: list[_Line] = []
        for line in others:
            if self._look(line, self._index.same):
                yield line
            else:
                rest.append(line)
        rest.sort(key=lambda line: (not line.entry.moment, not line.entry.day, not line.entry.user))
        for line in rest:
            if not self._look(line, self._index.same) and not self._look(
                line, lambda entry: self._index.near(entry, self._taken)
            ):
                # What was made of the same line before is that one, even if it was moved since;
                # unless another line of the file is it.
                made = hashed_identifier(line.entry.text)
                again = hashed_identifier(line.entry.text + "|")
                line.id = again if made in self._taken else made
            yield line

    def _look(self, line: _Line, find: Callable[[Entry], str | None]) -> bool:
        """Whether the line has been found, or found to be ambiguous."""
        if not line.draft.reasons:
            try:
                line.id = find(line.entry) or ""
            except AmbiguousEntryError as error:
                line.draft.reasons.append(str(error))
        return bool(line.id or line.draft.reasons)

    def _reason(self, line: _Line) -> str:
        if line.draft.reasons:
            return line.draft.reasons[0]
        if line.id in self._taken:
            return f"la même fiche est déjà à la ligne {self._taken[line.id]} du fichier"
        needed = "user_id" in self._subject.columns.required and not line.entry.user
        if needed and line.id not in self._index:
            return f"{self._subject.labels['user_id']} : la case est vide"
        return ""

    def _tell_moved(self, new: Sequence[_Line]) -> None:
        """A new line may be one that was moved, which only a code can tell."""
        of_title = Counter((line.entry.key, line.entry.user) for line in self._lines)
        for line in new:
            if of_title[line.entry.key, line.entry.user] > 1:
                continue
            if other := self._index.left_behind(line.entry, self._taken):
                when = f" ({other.moment or other.day:%d/%m/%Y})" if other.day else ""
                line.draft.remarks.append(
                    f"« {shown(other.title)} » existe aussi à une autre date{when} : si l'une "
                    "remplace l'autre, annulez celle-ci, ou ajoutez une colonne « Code »"
                )


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
