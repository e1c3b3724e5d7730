"""Invoices of a file → `ponctuel.invoices`, `customers` and `customer_phones`, in one transaction.

Set-based: a chunk of invoices is one UPDATE and one INSERT, whatever its size. What the file does
not say is kept (relances on or off, dispute, promise, cycle, an empty cell's column).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection, text

from cli.imports import statements
from cli.imports.customers import AmbiguousCustomerError, Directory
from cli.imports.decoding import opened
from cli.imports.identifiers import hashed_identifier, identifier
from cli.imports.invoice_line import Invoice, Reject
from cli.imports.invoices import Ignored, InvoiceFile
from cli.imports.result import CHUNK, Counts, require_business, store_chunk, transaction


@dataclass(slots=True)
class ImportResult(Counts):
    """The first counts are invoices."""

    customers_created: int = 0


def import_invoices(
    connection: Connection, business_id: str, source: BinaryIO | Path, *, dry_run: bool = False
) -> ImportResult:
    """Creates and updates the business's invoices and customers from an exported file.

    Invoices are recognised by number. All good lines are stored or, when the database fails, none:
    in a transaction of its own, or under a savepoint of the caller's. `dry_run` only reads the
    database and answers the same. The file is read twice, in bounded memory apart from the invoice
    numbers and the customers. Raises `NotFound` (no such business), `UnreadableFile` and
    `MissingColumns`; database errors pass through.
    """
    result = ImportResult()
    with opened(source) as stream, transaction(connection):
        require_business(connection, business_id)
        file = InvoiceFile.survey(stream)
        known = connection.execute(text(statements.KNOWN_CUSTOMERS), {"business": business_id})
        directory = Directory(
            ((row.id, row.name, row.emails) for row in known), file.customer_codes
        )
        for chunk in _chunks(file, directory, result):
            _store_invoices(connection, business_id, chunk, result, dry_run=dry_run)
        _store_customers(connection, business_id, directory, result, dry_run=dry_run)
    return result


def _chunks(
    file: InvoiceFile, directory: Directory, result: ImportResult
) -> Iterator[list[tuple[Invoice, str]]]:
    """Good lines with their customer's id, some at a time; the others go to `result`."""
    chunk: list[tuple[Invoice, str]] = []
    for outcome in file.read():
        match outcome:
            case Reject():
                result.reject(outcome)
            case Ignored():
                result.ignored += 1
            case Invoice():
                try:
                    chunk.append((outcome, directory.resolve(outcome.customer)))
                except AmbiguousCustomerError as error:
                    result.reject(Reject(outcome.line, outcome.number, (str(error),)))
                else:
                    result.remark(outcome.line, outcome.number, outcome.remarks)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _store_invoices(
    connection: Connection,
    business_id: str,
    chunk: Sequence[tuple[Invoice, str]],
    result: ImportResult,
    *,
    dry_run: bool,
) -> None:
    rows = [
        (
            identifier(invoice.number),
            hashed_identifier(invoice.number),
            invoice.number,
            customer_id,
            invoice.status,
            str(invoice.disputed),
            invoice.issued_on and invoice.issued_on.isoformat(),
            invoice.due_on and invoice.due_on.isoformat(),
            invoice.currency,
            str(invoice.total),
            str(invoice.balance),
            invoice.pdf and f"{business_id}/factures/{invoice.pdf}",
        )
        for invoice, customer_id in chunk
    ]
    arrays = dict(zip(statements.INVOICE_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    parameters = {"business": business_id, **arrays}
    store_chunk(
        connection,
        parameters,
        result,
        lines=len(chunk),
        count=statements.COUNT,
        update=statements.UPDATE,
        insert=statements.INSERT,
        dry_run=dry_run,
    )


def _store_customers(
    connection: Connection,
    business_id: str,
    directory: Directory,
    result: ImportResult,
    *,
    dry_run: bool,
) -> None:
    entries = directory.stated()
    result.customers_created = sum(entry.is_new for entry in entries)
    for start in range(0, 0 if dry_run else len(entries), CHUNK):
        chunk = entries[start : start + CHUNK]
        parameters = {
            "business": business_id,
            "id": [entry.id for entry in chunk],
            "name": [entry.name for entry in chunk],
            "stated_name": [entry.stated_name or None for entry in chunk],
            "emails": [entry.stated_emails or None for entry in chunk],
            "customer_type": [entry.stated_type for entry in chunk],
        }
        connection.execute(text(statements.UPDATE_CUSTOMERS), parameters)
        connection.execute(text(statements.INSERT_CUSTOMERS), parameters)
        called = [entry for entry in chunk if entry.stated_phone]
        if called:
            phones = {
                "business": business_id,
                "id": [entry.id for entry in called],
                "phone": [entry.stated_phone for entry in called],
            }
            connection.execute(text(statements.UPDATE_PHONES), phones)
            connection.execute(text(statements.INSERT_PHONES), phones)
