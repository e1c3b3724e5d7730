"""Items that killed the process at each attempt: left out until somebody releases them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from chalicelib.errors import NotFound

_LIST = text("""
SELECT q.job, q.step, q.business_id, q.item, q.at, q.reason, q.run_id, r.number AS run_number
  FROM ponctuel.quarantine q LEFT JOIN ponctuel.runs r ON r.id = q.run_id
 WHERE q.released_at IS NULL ORDER BY q.at DESC, q.job, q.business_id, q.item LIMIT :limit
""")
_RELEASE = text("""
UPDATE ponctuel.quarantine SET released_at = ponctuel.clock(), released_by = :by
 WHERE job = :job AND business_id = :business_id AND item = :item AND released_at IS NULL
RETURNING step
""")


def waiting(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """The items that are set aside, the newest first."""
    return [dict(row) for row in connection.execute(_LIST, {"limit": limit}).mappings()]


def release(connection: Connection, job: str, business_id: str, item: str, *, by: str) -> list[str]:
    """The item counts again from the next run on. Returns its steps. Raises `NotFound`."""
    values = {"job": job, "business_id": business_id, "item": item, "by": by}
    steps = list(connection.execute(_RELEASE, values).scalars())
    if not steps:
        raise NotFound("Cet élément n'est pas mis de côté (`./ponctuel quarantine list`).")
    return steps
