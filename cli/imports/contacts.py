"""A list of contacts, as another tool exports those who do not want to be written to any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chalicelib.errors import BadRequest
from chalicelib.outbox.contacts import Channel, normalised
from cli.imports.csv_file import find_table
from cli.imports.decoding import opened
from cli.imports.folding import fold

# The first one that a header has; folded.
NAMES: dict[Channel, Sequence[str]] = {
    "email": ("contact", "email", "e mail", "courriel", "adresse email", "adresse e mail", "mail"),
    "whatsapp": ("contact", "whatsapp", "telephone", "mobile", "portable", "numero", "phone"),
}


@dataclass(frozen=True)
class Contact:
    line: int
    contact: str


@dataclass(frozen=True)
class Reject:
    """A line that names nobody, and why, in French; what it holds is not quoted."""

    line: int
    reason: str


def read(path: Path, channel: Channel) -> Iterator[Contact | Reject]:
    """Every line below the header, in its normal form. Raises `UnreadableFile`."""
    names = NAMES[channel]

    def column(cells: Sequence[str]) -> int | None:
        folded = [fold(cell) for cell in cells]
        return next((folded.index(name) for name in names if name in folded), None)

    with opened(path) as source:
        table = find_table(source, lambda cells: int(column(cells) is not None), names[0])
        position = column(table.header)
        assert position is not None  # the table was found by it
        for row in table.rows():
            if row.fault:
                yield Reject(row.line, row.fault)
                continue
            try:
                yield Contact(row.line, normalised(channel, row.cells[position]))
            except BadRequest as error:
                yield Reject(row.line, str(error).rstrip("."))
