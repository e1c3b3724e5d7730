"""Users and leads of a file → `ponctuel.users` and `leads`, in one transaction.

A line is somebody known by code, which is the id; else by e-mail address; else, for a lead, by
telephone number, unless both address and name are others; else by name, unless the addresses or
numbers contradict. An empty cell keeps what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection, text

from chalicelib.outbox import windows
from cli.imports.csv_file import find_table
from cli.imports.decoding import opened
from cli.imports.folding import clean, fold, shown
from cli.imports.identifiers import hashed_identifier, identifier
from cli.imports.invoice_line import BLANK, Reject
from cli.imports.known import CHANNELS, Known, UnknownPersonError, contact, keys
from cli.imports.people_columns import LEADS, USERS
from cli.imports.result import CHUNK, Counts, require_business, transaction
from cli.imports.subject import Subject


def import_users(
    connection: Connection, business_id: str, source: BinaryIO | Path, *, dry_run: bool = False
) -> Counts:
    """Creates and updates the business's users; as `import_leads`."""
    return _import(connection, USERS, business_id, source, dry_run=dry_run)


def import_leads(
    connection: Connection, business_id: str, source: BinaryIO | Path, *, dry_run: bool = False
) -> Counts:
    """Creates and updates the business's leads. All good lines are stored or, when the database
    fails, none; `dry_run` only reads and answers the same. Raises `NotFound` (no such business),
    `UnreadableFile` and `MissingColumns`; database errors pass through."""
    return _import(connection, LEADS, business_id, source, dry_run=dry_run)


def _import(
    connection: Connection,
    subject: Subject,
    business_id: str,
    source: BinaryIO | Path,
    *,
    dry_run: bool,
) -> Counts:
    result = Counts()
    with opened(source) as stream, transaction(connection):
        require_business(connection, business_id)
        table = find_table(stream, subject.columns.score, subject.sample)
        places = subject.columns.require(table.header)
        known = _known(connection, subject, business_id)
        users = known if subject is USERS else _known(connection, USERS, business_id)
        lines: dict[str, int] = {}
        stated: list[dict[str, str]] = []
        for row in table.rows():
            if row.fault:
                result.reject(Reject(row.line, "", (row.fault,)))
                continue
            cells = {name: clean(row.cells[place]) for name, place in places.items()}
            values, reasons, remarks = _read(subject, cells, users)
            name = shown(cells["name"])
            who = _identity(subject, values)
            try:
                id = identifier(code) if (code := values.pop("code", "")) else known.find(who)
            except UnknownPersonError as error:
                id, reasons = None, [*reasons, str(error)]
            id = id or hashed_identifier("|".join(keys(who).values()))
            if not reasons and id in lines:
                reasons = [f"la même fiche est déjà à la ligne {lines[id]} du fichier"]
            if reasons:
                result.reject(Reject(row.line, name, tuple(reasons)))
                continue
            lines[id] = row.line
            if id not in known.by_id:
                known.add(id, who)
            result.remark(row.line, name, tuple(remarks))
            stated.append(values | {"id": id})
        for start in range(0, len(stated), CHUNK):
            chunk = stated[start : start + CHUNK]
            subject.store(connection, business_id, chunk, result, dry_run=dry_run)
    return result


def _identity(subject: Subject, values: Mapping[str, str]) -> dict[str, str]:
    """What tells somebody from others: colleagues share a telephone."""
    names = ("name", "email") if subject is USERS else ("name", "email", "phone")
    return {name: values[name] for name in names if values.get(name)}


def _known(connection: Connection, subject: Subject, business_id: str) -> Known:
    known = Known()
    found = connection.execute(
        text(
            f"SELECT id, name, email, phone FROM ponctuel.{subject.relation}"
            " WHERE business_id = :business ORDER BY id"
        ),
        {"business": business_id},
    )
    for row in found.mappings():
        known.add(row["id"], _identity(subject, {k: row[k] or "" for k in row}))
    return known


def _read(
    subject: Subject, cells: Mapping[str, str], users: Known
) -> tuple[dict[str, str], list[str], list[str]]:
    """What the line states, why it is refused, and what it is imported without."""
    values: dict[str, str] = {}
    reasons: list[str] = []
    remarks: list[str] = []
    for name, cell in cells.items():
        label = subject.labels[name]
        if cell in BLANK:
            if name in subject.columns.required:
                reasons.append(f"{label} : la case est vide")
        elif fault := subject.fault(name, cell):
            reasons.append(fault)
        elif name in subject.words:
            values[name] = subject.words[name][fold(cell)]
        elif name == "zone" and windows.zone(cell) is None:
            reasons.append(f"{label} : « {shown(cell)} » n'est pas un fuseau (Europe/Paris…)")
        elif name == "closer_id":
            try:
                values[name] = users.user(cell)
            except UnknownPersonError as error:
                reasons.append(f"{label} : {error}")
        elif name in CHANNELS and not contact(CHANNELS[name], cell):
            remarks.append(f"{label} : personne ne peut être joint ainsi")
        else:
            values[name] = cell
    return values, reasons, remarks
