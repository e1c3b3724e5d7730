"""One run with all that went wrong in it: items that failed, messages that did not arrive."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from chalicelib.runner import ledger

LIMIT = 100

_MESSAGES = text("""
SELECT m.id, m.business_id, COALESCE(m.content->>'number', m.subject) AS subject, m.state,
       m.error_code, m.error
  FROM ponctuel.messages m
 WHERE m.run_id = :run_id AND m.state IN ('refused','failed','uncertain')
 ORDER BY m.id LIMIT :limit
""")


def detail(connection: Connection, run_id: UUID) -> dict[str, Any] | None:
    """The columns of a run, with its first errors (`errors`) and the first of its messages that
    were refused, failed or are uncertain (`message_errors`)."""
    row = ledger.read(connection, run_id, errors=LIMIT)
    if row is None:
        return None
    found = connection.execute(_MESSAGES, {"run_id": run_id, "limit": LIMIT}).mappings()
    return row | {"message_errors": [dict(message) for message in found]}
