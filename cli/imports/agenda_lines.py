"""The lines of a file about tasks or appointments: what they state, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cli.imports.agenda_draft import Draft
from cli.imports.agenda_index import Entry
from cli.imports.agenda_line import Reader
from cli.imports.agenda_matching import AmbiguousEntryError, Matching
from cli.imports.csv_file import Row
from cli.imports.folding import clean, fold, shown
from cli.imports.invoice_line import Reject
from cli.imports.result import Counts
from cli.imports.subject import Subject

# Of Todoist's lines, those that are no tasks.
NO_TASKS = {"note", "section", "meta", "comment"}
AGAIN = "la même fiche est déjà à la ligne {} du fichier"


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    draft: Draft
    entry: Entry


class Lines:
    """The lines of one file against what is `stored`, id → entry. Those with a code go first: what
    they are, no other line is."""

    def __init__(self, subject: Subject, stored: Mapping[str, Entry]) -> None:
        self.result = Counts()
        self._subject = subject
        self._stored = stored
        self._lines: list[_Line] = []
        self._rejects: list[Reject] = []
        self._codes: set[str] = set()
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
        if draft.code:
            # Of a line that is refused too: what it is about is no other line's.
            self._codes.add(draft.code)
        if draft.reasons:
            reasons = tuple(dict.fromkeys(draft.reasons))
            self._rejects.append(Reject(row.line, shown(cells["title"]), reasons))
        else:
            self._lines.append(_Line(row.line, draft, reader.entry(draft)))

    def identified(self) -> list[dict[str, str]]:
        """What good lines state, with their ids. The result has the others, and the remarks."""
        good = {line.number: (line, id) for line, id in self._identified()}
        for reject in sorted(self._rejects, key=lambda reject: reject.line):
            self.result.reject(reject)
        for number, (line, _) in sorted(good.items()):
            remarks = tuple(line.draft.remarks)
            self.result.remark(number, shown(line.entry.title), remarks)
        return [line.draft.values | {"id": id} for line, id in good.values()]

    def _identified(self) -> Iterator[tuple[_Line, str]]:
        # Title, user and time → the first line that is about them.
        about: dict[object, int] = {}
        for line in self._lines:
            id = line.draft.code
            if not id or not self._accepted(line, id):
                continue
            entry = self._stored[id].merged(line.entry) if id in self._stored else line.entry
            about.setdefault(entry.identity, line.number)
            yield line, id
        others: dict[int, _Line] = {}
        for line in self._lines:
            if line.draft.code:
                continue
            if (first := about.setdefault(line.entry.identity, line.number)) == line.number:
                others[line.number] = line
            else:
                self._refuse(line, AGAIN.format(first))
        entries = {number: line.entry for number, line in others.items()}
        matching = Matching(self._stored, entries, self._codes)
        new: list[_Line] = []
        for number, line in others.items():
            try:
                id = matching.id_of(number)
            except AmbiguousEntryError as error:
                self._refuse(line, str(error))
                continue
            if self._accepted(line, id):
                if id not in self._stored:
                    new.append(line)
                yield line, id
        self._tell_moved(new, matching)

    def _accepted(self, line: _Line, id: str) -> bool:
        if id in self._taken:
            self._refuse(line, AGAIN.format(self._taken[id]))
            return False
        # A code that is refused is not free for a later line.
        self._taken[id] = line.number
        needed = "user_id" in self._subject.columns.required and not line.entry.user
        if needed and id not in self._stored:
            self._refuse(line, f"{self._subject.labels['user_id']} : la case est vide")
            return False
        return True

    def _refuse(self, line: _Line, reason: str) -> None:
        self._rejects.append(Reject(line.number, shown(line.entry.title), (reason,)))

    def _tell_moved(self, new: Sequence[_Line], matching: Matching) -> None:
        """A new line may be one that was moved, which only a code can tell."""
        of_title = Counter((line.entry.key, line.entry.user) for line in self._lines)
        for line in new:
            if of_title[line.entry.key, line.entry.user] > 1:
                continue
            if other := matching.left_behind(line.number, self._taken):
                when = f" ({other.days[0]:%d/%m/%Y})" if other.days else ""
                line.draft.remarks.append(
                    f"« {shown(other.title)} » existe aussi à une autre date{when} : si l'une "
                    "remplace l'autre, annulez l'ancienne, ou ajoutez une colonne « Code »"
                )
