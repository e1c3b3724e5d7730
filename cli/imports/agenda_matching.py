"""Which task or appointment a line without a code is.

It is the one of its title, user and time; else the only one of its title that it does not
contradict, if no other line of the file fits either of the two. One that fits none, or only those
that other lines say in full, is new; any other is refused. Whatever has another time is another,
because taking it for one that was moved could take away somebody's reminder.

So a file means the same the second time, whatever the order of its lines. A line that changes an
entry fits nothing else, line or entry, and what it says the entry says afterwards: that contradicts
whatever the line contradicts, and no other line finds more or less than before. A new entry says
exactly what its line says, which was there the first time.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from itertools import chain, islice

from cli.imports.agenda_index import Entry, Index
from cli.imports.folding import shown
from cli.imports.identifiers import hashed_identifier

# How many codes a message names.
NAMED = 3


class AmbiguousEntryError(ValueError):
    """Nothing tells which one is meant. Its text is French."""


class Matching:
    """The lines of one file that have no code, against what is stored.

    `stored`: id → entry, `lines`: number in the file → what it says, no two the same; `codes`: the
    ids that lines with a code have. What these are, nothing else is."""

    def __init__(
        self, stored: Mapping[str, Entry], lines: Mapping[int, Entry], codes: Container[str]
    ) -> None:
        self._stored = Index((id, entry) for id, entry in stored.items() if id not in codes)
        self._lines = Index(lines.items())
        self._made: dict[int, str] = {}
        self._makers: dict[str, int] = {}
        for number, line in lines.items():
            id = self._free_id(line, codes)
            self._made[number] = id
            self._makers[id] = number

    def id_of(self, number: int) -> str:
        """The id of the entry that the line is, or will be. Raises `AmbiguousEntryError`."""
        line, made = self._lines[number], self._made[number]
        same = self._stored.same(line)
        if made in same:
            return made
        if same:
            return _only(line, same)
        unclaimed = list(islice(self._unclaimed(line, made), NAMED + 1))
        if not unclaimed:
            return made
        id = _only(line, unclaimed)
        rivals = (rival for rival in self._rivals(line, id) if rival != number)
        if (rival := next(rivals, None)) is not None:
            raise AmbiguousEntryError(
                f"elle est peut-être la fiche {shown(id, longest=64)}, mais la ligne {rival} lui "
                "ressemble : ajoutez une colonne « Code », avec ce code sur la bonne ligne, ou un "
                "nouveau"
            )
        return id

    def left_behind(self, number: int, taken: Container[str]) -> Entry | None:
        """The only entry of that title and user that is neither settled nor among those `taken`: a
        new line of another time may be meant to move it."""
        line = self._lines[number]
        entries = (self._stored[id] for id in self._stored.of_title(line) if id not in taken)
        left = (entry for entry in entries if not entry.settled and entry.user == line.user)
        first = next(left, None)
        return first if next(left, None) is None else None

    def _free_id(self, line: Entry, codes: Container[str]) -> str:
        """The id that a line gets when it is new. What was made of the same line before has it,
        even if it was moved since, unless that is now what another line says."""
        text = line.text
        while True:
            id = hashed_identifier(text)
            if not (id in codes or id in self._makers or self._is_another(id, line)):
                return id
            text += "|"

    def _is_another(self, id: str, line: Entry) -> bool:
        """Whether that is what another line says, and the only one: of several, that line may be
        any."""
        if id not in self._stored or self._stored[id].identity == line.identity:
            return False
        entry = self._stored[id]
        return bool(self._lines.same(entry)) and len(self._stored.same(entry)) == 1

    def _unclaimed(self, line: Entry, made: str) -> Iterator[str]:
        """The entries that the line may be, and that no line is exactly."""
        if made in self._stored:
            yield made
        for id in self._stored.fitting(line):
            if id != made and not self._lines.same(self._stored[id]):
                yield id

    def _rivals(self, line: Entry, id: str) -> Iterator[int]:
        """The lines that may be meant by what the line says, or by the entry."""
        yield from chain(self._lines.fitting(self._stored[id]), self._lines.fitting(line))
        if id in self._makers:
            yield self._makers[id]


def _only(line: Entry, ids: list[str]) -> str:
    if len(ids) > 1:
        codes = ", ".join(shown(id, longest=64) for id in ids[:NAMED])
        more = ", …" if len(ids) > NAMED else ""
        raise AmbiguousEntryError(
            f"plusieurs fiches correspondent à « {shown(line.title)} » ({codes}{more}) : ajoutez "
            "une colonne « Code », avec le code de la bonne, ou un nouveau"
        )
    return ids[0]
