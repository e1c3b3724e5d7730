"""`archive`: the accounting records of businesses that were erased. Each access is logged.

Only with the database: over HTTPS, whoever may run a job could read it.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from chalicelib.domain.accounts.archive_reading import Reader
from chalicelib.errors import BadRequest
from chalicelib.outbox.formats import montant
from cli import output
from cli.arguments import add_business, add_reason, command, group, positive
from cli.caller import user
from cli.source import database

# Column of the CSV → where it is in a document.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "numero": ("number",),
    "date_emission": ("issued_on",),
    "date_echeance": ("content", "due_on"),
    "etat": ("content", "status"),
    "devise": ("content", "currency"),
    "total": ("content", "total"),
    "reste_du": ("content", "balance"),
    "client_id": ("content", "customer", "id"),
    "client_nom": ("content", "customer", "name"),
    "client_type": ("content", "customer", "type"),
    "client_emails": ("content", "customer", "emails"),
    "emetteur_nom": ("content", "issuer", "name"),
    "emetteur_adresse": ("content", "issuer", "address"),
    "emetteur_siret": ("content", "issuer", "siret"),
    "document": ("pdf_key",),
    "conserve_jusqu_au": ("keep_until",),
}
# A spreadsheet would compute what begins so.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def register(subparsers: Any) -> None:
    actions = group(subparsers, "archive", "les pièces comptables d'entreprises effacées")
    parser = command(actions, "list", "ce qui est gardé de chaque entreprise", _list)
    add_business(parser)
    add_reason(parser, required=True)
    parser = command(actions, "show", "une pièce", _show_one)
    parser.add_argument("number", metavar="NUMÉRO", type=positive, help="de la pièce, de l'export")
    add_reason(parser, required=True)
    parser = command(
        actions, "export", "les factures d'une entreprise, pour l'administration fiscale", _export,
        json=False,
    )  # fmt: skip
    add_business(parser, required=True)
    parser.add_argument("--year", metavar="ANNÉE", type=positive, help="émises cette année-là")
    parser.add_argument(
        "--format",
        choices=("csv", "jsonl"),
        default="csv",
        help="csv (séparé par des points-virgules) ou jsonl (une pièce par ligne)",
    )
    parser.add_argument(
        "--output", metavar="FICHIER", type=Path, help="nouveau fichier, lisible de vous seul"
    )
    add_reason(parser, required=True)


def _list(arguments: Namespace) -> int:
    with _reader(arguments) as reader:
        found = reader.businesses(arguments.business)
    output.answer(arguments, found, _show_list)
    return 0


def _show_one(arguments: Namespace) -> int:
    with _reader(arguments) as reader:
        found = reader.document(arguments.number)
    output.answer(arguments, found, _show)
    return 0


def _export(arguments: Namespace) -> int:
    write = _csv if arguments.format == "csv" else _lines
    with _reader(arguments) as reader:
        documents = iter(list(reader.export(arguments.business, arguments.year)))
        if arguments.output is None:
            write(sys.stdout, documents)
            return 0
        with _created(arguments.output) as file:
            count = write(file, documents)
    pieces = output.plural(count, "pièce", "pièces")
    output.line(output.console(), f"{pieces} dans {arguments.output}.")
    return 0


@contextmanager
def _reader(arguments: Namespace) -> Iterator[Reader]:
    with database() as source:
        yield Reader(source.engine, user(), arguments.reason)


@contextmanager
def _created(path: Path) -> Iterator[IO[str]]:
    """A new file that nobody else may read. Raises `BadRequest`."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BadRequest(
            f"{path} ne peut pas être créé ({type(error).__name__}) : donnez un nouveau fichier."
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        yield file


def _csv(file: IO[str], documents: Iterable[Mapping[str, Any]]) -> int:
    # The mark by which spreadsheets know UTF-8.
    file.write("\ufeff")
    rows = csv.writer(file, delimiter=";", lineterminator="\r\n")
    rows.writerow(COLUMNS)
    count = 0
    for count, document in enumerate(documents, 1):  # noqa: B007 - the count is the answer
        rows.writerow([_cell(_at(document, path)) for path in COLUMNS.values()])
    return count


def _lines(file: IO[str], documents: Iterable[Mapping[str, Any]]) -> int:
    count = 0
    for count, document in enumerate(documents, 1):  # noqa: B007 - the count is the answer
        file.write(json.dumps(document, ensure_ascii=False, default=_plain) + "\n")
    return count


def _at(document: Any, path: Iterable[str]) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal | int | float):
        return str(value).replace(".", ",")
    if isinstance(value, date):
        return value.isoformat()
    shown = output.plain(str(value))
    return f"'{shown}" if shown.startswith(_FORMULAS) else shown


def _plain(value: object) -> Any:
    """Amounts as text: a JSON number is a float to most who read it."""
    return value.isoformat() if isinstance(value, date) else str(value)


def _show_list(screen: Console, rows: list[dict[str, Any]]) -> None:
    if not rows:
        output.line(screen, "L'archive est vide.")
    output.table(
        screen,
        ("entreprise", "raison sociale", "pièces", "de", "à", "gardées jusqu'au"),
        [
            (
                row["business_id"],
                row["issuer"],
                row["documents"],
                row["first_on"],
                row["last_on"],
                row["keep_until"],
            )
            for row in rows
        ],
        shorten=("entreprise", "raison sociale"),
    )


def _show(screen: Console, row: dict[str, Any]) -> None:
    content = row["content"]
    customer, issuer = content["customer"], content["issuer"]
    output.line(screen, f"Facture {row['number']}, pièce n° {row['id']} de l'archive", "bold")
    output.facts(
        screen,
        {
            "entreprise": row["business_id"],
            "émetteur": ", ".join(filter(None, (issuer["name"], issuer["siret"]))),
            "client": ", ".join(filter(None, (customer["name"], customer["emails"]))),
            "émise le": row["issued_on"],
            "état": content["status"],
            "total": _money(content["total"], content["currency"]),
            "reste dû": _money(content["balance"], content["currency"]),
            "document": row["pdf_key"],
            "archivée le": row["archived_at"],
            "gardée jusqu'au": row["keep_until"],
        },
    )


def _money(amount: object, currency: str) -> str:
    try:
        return montant(str(amount), currency)
    except ValueError:
        return f"{amount} {currency}"
