"""Rows of an export → invoices with their customers, and rejects with every reason.

A line is taken or refused as a whole. What whoever exports the file would want to know is in
docs/import.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cli.imports import columns
from cli.imports.amounts import decimal_mark_of
from cli.imports.csv_file import Row, Table, find_table
from cli.imports.dates import is_month_first
from cli.imports.decoding import Source
from cli.imports.folding import clean, fold
from cli.imports.invoice_line import AMOUNTS, DATES, Conventions, Invoice, Reject, read_line

CONFLICTING = (
    "numéro : il est sur plusieurs lignes avec des montants différents ; exportez la liste des "
    "factures, une ligne par facture"
)


@dataclass(frozen=True, slots=True)
class Ignored:
    """A line that is no invoice and does not pretend to be one: a total."""

    line: int


@dataclass(slots=True)
class InvoiceFile:
    """A file whose columns are known and whose conventions were read from all of its values."""

    table: Table
    fields: dict[str, int]
    conventions: Conventions = field(default_factory=Conventions)
    customer_codes: set[str] = field(default_factory=set)
    conflicting_numbers: set[str] = field(default_factory=set)

    @classmethod
    def survey(cls, source: Source) -> InvoiceFile:
        """Finds the header and reads the file once for its conventions. Raises `UnreadableFile`
        and `MissingColumns`."""
        table = find_table(source, columns.INVOICES.score)
        file = cls(table, columns.INVOICES.require(table.header))
        marks: set[str] = set()
        month_first_seen = False
        totals: dict[str, str] = {}
        for row in table.rows():
            if row.fault:
                continue
            cells = file._cells(row)
            marks.update(mark for name in AMOUNTS if (mark := decimal_mark_of(cells[name])))
            month_first_seen |= any(is_month_first(cells[name]) for name in DATES)
            if code := clean(cells["customer_code"]):
                file.customer_codes.add(code)
            number, total = clean(cells["number"]), clean(cells["total"])
            if totals.setdefault(number, total) != total:
                file.conflicting_numbers.add(number)
        mark = marks.pop() if len(marks) == 1 else None
        file.conventions = Conventions(mark, month_first_seen)
        return file

    def read(self) -> Iterator[Invoice | Reject | Ignored]:
        """Every line, in order. Of several good ones with the same number the first is kept, or
        none when their totals differ: they are lines of an invoice, or two invoices."""
        taken: dict[str, int] = {}
        for row in self.table.rows():
            if row.fault:
                yield Reject(row.line, "", (row.fault,))
                continue
            cells = self._cells(row)
            if _is_total(row, cells):
                yield Ignored(row.line)
                continue
            outcome = read_line(row.line, cells, self.conventions)
            if isinstance(outcome, Invoice):
                first = taken.setdefault(outcome.number, row.line)
                if outcome.number in self.conflicting_numbers:
                    outcome = Reject(row.line, outcome.number, (CONFLICTING,))
                elif first != row.line:
                    reason = f"numéro : il est déjà à la ligne {first} du fichier"
                    outcome = Reject(row.line, outcome.number, (reason,))
            yield outcome

    def _cells(self, row: Row) -> dict[str, str]:
        """Field → its cell; an absent column is an empty cell."""
        cells = dict.fromkeys(columns.NAMES, "")
        for name, position in self.fields.items():
            cells[name] = row.cells[position]
        return cells


def _is_total(row: Row, cells: dict[str, str]) -> bool:
    """No date, and either no number and no customer, or a first cell that says "Total…"."""
    number, customer = cells["number"].strip(), cells["customer_name"].strip()
    if any(cells[name].strip() for name in DATES) or (number and not _says_total(number)):
        return False
    return not customer or _says_total(next(cell for cell in row.cells if cell.strip()))


def _says_total(text: str) -> bool:
    return fold(text).startswith(("total", "totaux", "sous total"))
