"""What a business may send, where an operator wants something else than the account's quota and the
usual caps: messages in 24 hours over everybody, and to one person in 24 hours and in 7 days. How
they are counted: `allowance`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.errors import BadRequest

NAMES = ("per_day", "person_per_day", "person_per_week")
# As the column holds it.
MOST = 2**31 - 1

_COLUMNS = "business_id, channel, per_day, person_per_day, person_per_week, set_at, set_by"
_LIST = text(f"""
SELECT {_COLUMNS} FROM ponctuel.sending_limits
 WHERE CAST(:business_id AS text) IS NULL OR business_id = :business_id
 ORDER BY business_id, channel
""")
# A limit that is not said stays as it was.
_KEPT = ", ".join(
    f"{name} = CASE WHEN jsonb_exists(CAST(:limits AS jsonb), '{name}') THEN excluded.{name}"
    f" ELSE l.{name} END"
    for name in NAMES
)
_SET = text(f"""
INSERT INTO ponctuel.sending_limits AS l ({_COLUMNS})
SELECT :business_id, :channel, s.per_day, s.person_per_day, s.person_per_week, ponctuel.clock(), :by
  FROM jsonb_to_record(CAST(:limits AS jsonb))
    AS s(per_day integer, person_per_day integer, person_per_week integer)
    ON CONFLICT (business_id, channel) DO UPDATE
   SET {_KEPT},
       set_at = excluded.set_at, set_by = excluded.set_by
RETURNING {_COLUMNS}
""")


def limits(connection: Connection, business_id: str | None = None) -> list[dict[str, Any]]:
    """The businesses that have limits of their own, per channel; null: as usual."""
    found = connection.execute(_LIST, {"business_id": business_id}).mappings()
    return [dict(row) for row in found]


def set_limits(
    connection: Connection,
    business_id: str,
    channel: str,
    changed: Mapping[str, int | None],
    *,
    by: str,
) -> dict[str, Any]:
    """Sets the limits that are given (see `NAMES`), None for the usual one, and returns all of the
    business's on that channel. Raises `BadRequest`."""
    if not changed:
        raise BadRequest(f"Donnez au moins une limite : {', '.join(NAMES)}.")
    values = {
        "business_id": business_id,
        "channel": channel,
        "limits": json.dumps(dict(changed)),
        "by": by,
    }
    return dict(connection.execute(_SET, values).mappings().one())
