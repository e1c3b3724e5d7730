"""Which task or appointment each line of a file is, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cli.imports.agenda_index import AmbiguousEntryError, Entry, Index
from cli.imports.agenda_line import Draft, Reader
from cli.imports.csv_file import Row
from cli.imports.folding import clean, fold, shown
from cli.imports.identifiers import hashed_identifier
from cli.imports.invoice_line import Reject
from cli.imports.result import Counts
from cli.imports.subject import Subject

# Of Todoist's lines, those that are no tasks.
NO_TASKS = {"note", "section", "meta", "comment"}
AGAIN = "la même fiche est déjà à la ligne {} du fichier"


@dataclass(slots=True)
class _Line:
    number: int
    draft: Draft
    entry: Entry
    id: str


class Lines:
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
            if line.id:
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
        others: dict[str, _Line] = {}
        for line in self._lines:
            if line.draft.code:
                yield line
            elif (first := others.setdefault(line.entry.text, line)) is not line:
                # Whichever it is: the second would be another the next time.
                line.draft.reasons.append(AGAIN.format(first.number))
                yield line
        rest: list[_Line] = []
        for line in others.values():
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
                line.id = hashed_identifier(line.entry.text)
                if line.id in self._taken:
                    line.id = hashed_identifier(line.entry.text + "|")
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
            return AGAIN.format(self._taken[line.id])
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
                    "remplace l'autre, annulez l'ancienne, ou ajoutez une colonne « Code »"
                )
