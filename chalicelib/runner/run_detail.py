"""Runs as an operator reads them, and all that went wrong in one of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from chalicelib.errors import NotFound
from chalicelib.runner import ledger

LIMIT = 100
# Without what only the engine reads (attempts, batches, hops).
FIELDS = (
    "id",
    "number",
    "job",
    "zone",
    "door",
    "requested_by",
    "reason",
    "slot_from",
    "slot_to",
    "as_of",
    "dry_run",
    "force",
    "status",
    "created_at",
    "started_at",
    "heartbeat_at",
    "finished_at",
    "step",
    "position",
    "counts",
    "results",
    "error_code",
    "error",
)

_MESSAGES = text("""
SELECT m.id, m.business_id, COALESCE(m.content->>'number', m.subject) AS subject, m.state,
       m.error_code, m.error
  FROM ponctuel.messages m
 WHERE m.run_id = :run_id AND m.state IN ('refused','failed','uncertain')
 ORDER BY m.id LIMIT :limit
""")
_BY_NUMBER = text("SELECT id FROM ponctuel.runs WHERE number = :number")


def listed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the ledger as a list of runs has it."""
    return {name: row[name] for name in FIELDS}


def detail(connection: Connection, run_id: UUID) -> dict[str, Any] | None:
    """One run with `items` (of its current step), its `report`, its first errors (`errors`) and the
    first of its messages that were refused, failed or are uncertain (`message_errors`)."""
    row = ledger.read(connection, run_id, errors=LIMIT)
    if row is None:
        return None
    found = connection.execute(_MESSAGES, {"run_id": run_id, "limit": LIMIT}).mappings()
    return listed(row) | {
        "items": row["items"],
        "report": row["report"],
        "errors": row["errors"],
        "message_errors": [dict(message) for message in found],
    }


def find(connection: Connection, wanted: str) -> dict[str, Any]:
    """`detail` of the run with that number or id. Raises `NotFound`."""
    run_id: UUID | None = None
    if wanted.lstrip("#").isdecimal() and wanted.isascii():
        number = min(int(wanted.lstrip("#")[:20]), 2**63 - 1)
        run_id = connection.execute(_BY_NUMBER, {"number": number}).scalar()
    else:
        with suppress(ValueError):
            run_id = UUID(wanted)
    found = None if run_id is None else detail(connection, run_id)
    if found is None:
        raise NotFound("Aucune exécution ne porte ce numéro ou cet identifiant.")
    return found
