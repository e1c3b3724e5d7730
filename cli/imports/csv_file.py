"""Lines of an exported file → rows of cells, whatever the separator, titles and stray quotes.

Not Python's `csv`: there, one quote that is never closed swallows the rest of the file. Here such
a line is one faulty row, and reading goes on with the next line.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import islice

from cli.imports.decoding import SINGLE_BYTE_ENCODINGS, Line, Source, UnreadableFile
from cli.imports.folding import shown

SEPARATORS = (";", "\t", "|", ",")
HEADER_WITHIN_ROWS = 30
INVOICE_COLUMNS = "numéro, client, date, échéance, montant TTC…"
# A text in quotes may hold line breaks (an address, a note); more of them is a quote left open.
MAX_LINES_OF_A_ROW = 50
MAX_ROW_CHARACTERS = 100_000

QUOTE_LEFT_OPEN = "un guillemet est ouvert et jamais refermé"
QUOTE_MISPLACED = (
    "un guillemet est mal placé : un texte qui contient des guillemets doit être entre "
    "guillemets, et les siens doublés"
)
TOO_LONG = f"la ligne est trop longue (plus de {MAX_ROW_CHARACTERS} caractères)"
NUL = "la ligne contient un caractère nul : le fichier est abîmé"
TOO_MANY_CELLS = (
    "la ligne a {found} colonnes au lieu de {expected} : un texte contient sans doute le "
    "séparateur, mettez-le entre guillemets"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A record. `line` is where it starts in the file; `fault`, in French, why it has no cells."""

    line: int
    cells: tuple[str, ...]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A file whose header row was found: `rows()` reads what follows it, as often as asked."""

    source: Source
    encoding: str
    separator: str
    header: tuple[str, ...]
    header_line: int

    def rows(self) -> Iterator[Row]:
        """The rows below the header, without blank ones and repeated headers. Missing last cells
        are empty; superfluous ones, even empty, make the row faulty: a separator inside a text may
        have shifted the others."""
        width = len(self.header)
        for row in records(self.source.lines(self.encoding), self.separator, width):
            if row.line <= self.header_line or row.cells == self.header:
                continue
            if row.fault:
                yield row
            elif not any(cell.strip() for cell in row.cells):
                continue
            elif len(row.cells) > width:
                fault = TOO_MANY_CELLS.format(found=len(row.cells), expected=width)
                yield Row(row.line, (), fault)
            else:
                yield Row(row.line, row.cells + ("",) * (width - len(row.cells)))


def find_table(
    source: Source, score: Callable[[tuple[str, ...]], int], columns: str = INVOICE_COLUMNS
) -> Table:
    """The table in `source`: its header is the row, among the first 30 and over all separators and
    encodings, to which `score` gives most (the number of columns it knows). Raises
    `UnreadableFile`, which names the `columns`, when no row has a score."""
    best: tuple[int, Table] | None = None
    for encoding in SINGLE_BYTE_ENCODINGS:
        for separator in SEPARATORS:
            rows = records(source.lines(encoding), separator)
            for row in islice(rows, HEADER_WITHIN_ROWS):
                points = score(row.cells)
                if points > (best[0] if best else 0):
                    best = points, Table(source, encoding, separator, row.cells, row.line)
    if best is None:
        raise UnreadableFile(
            "Aucune ligne d'en-tête n'a été reconnue : la première ligne du fichier doit nommer "
            f"les colonnes ({columns}). "
            f"Début du fichier : « {_beginning(source)} »."
        )
    return best[1]


def records(lines: Iterator[Line], separator: str, width: int | None = None) -> Iterator[Row]:
    """Every record of the file, faulty ones included, blank lines excluded. `width`, when it is
    known, is the number of columns: a line that has them all is a row of its own, even after a
    quote that was left open."""
    following: deque[Line] = deque()

    def take() -> Line | None:
        return following.popleft() if following else next(lines, None)

    while (first := take()) is not None:
        text, held = first.text or "", [first]
        cells = split(text, separator) if len(text) <= MAX_ROW_CHARACTERS else Fault.TOO_LONG
        while cells is Fault.LEFT_OPEN and len(held) < MAX_LINES_OF_A_ROW:
            more = take()
            if more is None:
                break
            held.append(more)
            if more.text is None or (width and more.text.count(separator) >= width - 1 > 0):
                break
            text += "\n" + more.text
            if len(text) > MAX_ROW_CHARACTERS:
                break
            if '"' in more.text:
                cells = split(text, separator)
        if first.text is None:
            cells = Fault.TOO_LONG
        if isinstance(cells, Fault):
            if len(held) > 1:
                cells = Fault.LEFT_OPEN
                following.extendleft(reversed(held[1:]))
            yield Row(first.number, (), cells.value)
        elif "\0" in text:
            yield Row(first.number, (), NUL)
        elif text.strip():
            yield Row(first.number, cells)


class Fault(Enum):
    """Why a record cannot be split into cells."""

    LEFT_OPEN = QUOTE_LEFT_OPEN
    MISPLACED = QUOTE_MISPLACED
    TOO_LONG = TOO_LONG


def split(text: str, separator: str) -> tuple[str, ...] | Fault:
    """The cells of one record. LEFT_OPEN: it may go on with the next line."""
    if '"' not in text:
        return tuple(text.split(separator))
    quoted, bare = _cell_patterns(separator)
    cells: list[str] = []
    position = 0
    while True:
        if match := quoted.match(text, position):
            if not match["closed"]:
                return Fault.LEFT_OPEN
            cells.append(match["content"].replace('""', '"'))
        else:
            match = bare.match(text, position)
            assert match is not None  # it matches the empty text
            cells.append(match[0])
        position = match.end()
        if position == len(text):
            return tuple(cells)
        if text[position] != separator:
            return Fault.MISPLACED
        position += 1


@lru_cache(maxsize=len(SEPARATORS))
def _cell_patterns(separator: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    # Possessive (*+): an unclosed quote must not be retried from each of its characters.
    quoted = re.compile(r' *"(?P<content>(?:[^"]|"")*+)(?P<closed>"?) *')
    return quoted, re.compile(rf"[^{re.escape(separator)}]*")


def _beginning(source: Source) -> str:
    for line in islice(source.lines(), HEADER_WITHIN_ROWS):
        if line.text and line.text.strip():
            return shown(line.text, longest=120)
    return "vide"
