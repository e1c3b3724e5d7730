"""What people wrote to the businesses, for an operator, and what the domains made of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

FILTERS = ("business_id", "since")

_LIST = text("""
SELECT i.id, i.business_id, i.channel, i.provider, i.contact, i.person, i.sender, i.kind, i.text,
       i.media_count, i.in_reply_to, i.intent, i.at, i.received_at,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('domain', o.domain, 'outcome', o.outcome,
                 'attempts', o.attempts, 'at', o.at, 'error', o.error) ORDER BY o.domain), '[]')
          FROM ponctuel.inbound_offers o WHERE o.inbound_id = i.id) AS offers
  FROM ponctuel.inbound_messages i
 WHERE (CAST(:business_id AS text) IS NULL OR i.business_id = :business_id)
   AND (CAST(:since AS timestamptz) IS NULL OR i.at >= :since)
   AND (CAST(:before AS bigint) IS NULL OR i.id < :before)
 ORDER BY i.id DESC LIMIT :limit
""")


def inbound(
    connection: Connection,
    where: Mapping[str, object],
    *,
    limit: int,
    before: int | None = None,
) -> list[dict[str, Any]]:
    """The newest of them, with their texts; `offers`: what each domain made of it (`taken`,
    `not_ours`, `failed`, `given_up`). `where` may have what is in `FILTERS`; `since` is aware."""
    values = dict.fromkeys(FILTERS) | dict(where) | {"limit": limit, "before": before}
    return [_read(row) for row in connection.execute(_LIST, values).mappings()]


def _read(row: Mapping[Any, Any]) -> dict[str, Any]:
    offers = [offer | {"at": datetime.fromisoformat(offer["at"])} for offer in row["offers"]]
    return dict(row) | {"offers": offers}
