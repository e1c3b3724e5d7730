"""What any import counts and refuses, and the transaction it runs in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.errors import NotFound
from cli.imports.invoice_line import Reject

CHUNK = 5000
# Of a file that is wrong throughout, the first lines say enough.
MAX_REJECTS_KEPT = 10_000


@dataclass(slots=True)
class Counts:
    """What an import did, or would do. `ignored`: lines that are nothing of the kind (totals,
    notes). `rejects` holds the first 10,000 of the `rejected` lines; `remarks`: lines that were
    imported and of which something is to be told, 10,000 at most."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    ignored: int = 0
    rejects: list[Reject] = field(default_factory=list)
    remarks: list[Reject] = field(default_factory=list)

    def reject(self, reject: Reject) -> None:
        self.rejected += 1
        if len(self.rejects) < MAX_REJECTS_KEPT:
            self.rejects.append(reject)

    def remark(self, line: int, name: str, remarks: tuple[str, ...]) -> None:
        if remarks and len(self.remarks) < MAX_REJECTS_KEPT:
            self.remarks.append(Reject(line, name, remarks))


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """A transaction of its own, or a savepoint of the caller's."""
    with connection.begin_nested() if connection.in_transaction() else connection.begin():
        # It is idle while a huge file is read, for longer than the engine's sessions may be.
        connection.execute(
            text("SELECT set_config('idle_in_transaction_session_timeout', :none, true)"),
            {"none": "0"},
        )
        yield


def require_business(connection: Connection, business_id: str) -> None:
    """Raises `NotFound` when there is no such business."""
    found = connection.execute(
        text("SELECT 1 FROM ponctuel.businesses WHERE id = :business"), {"business": business_id}
    )
    if found.first() is None:
        raise NotFound(
            f"L'entreprise « {business_id} » n'existe pas : créez-la, ou vérifiez son identifiant."
        )


def store_chunk(
    connection: Connection,
    parameters: Mapping[str, Any],
    result: Counts,
    *,
    lines: int,
    count: str,
    update: str,
    insert: str,
    dry_run: bool,
) -> None:
    """Writes a chunk of so many lines by these statements, and counts; `dry_run` only counts, by
    `count`, which tells how many exist and how many of them would change."""
    if dry_run:
        counts = connection.execute(text(count), parameters).one()
        created, updated = lines - counts.existing, counts.changed
    else:
        updated = connection.execute(text(update), parameters).rowcount
        created = connection.execute(text(insert), parameters).rowcount
    result.created += created
    result.updated += updated
    result.unchanged += lines - created - updated
