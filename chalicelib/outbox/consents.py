"""Who agreed to marketing (CPCE L34-5: before the first message, for a consumer).

Every consent is kept with its date and its source, also after it was withdrawn: it is the proof.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.outbox.contacts import Channel

_GRANT = text("""
INSERT INTO ponctuel.consents (business_id, channel, contact, person, granted_at, source)
SELECT :business_id, x.channel, x.contact, :person, ponctuel.clock(), :source
  FROM jsonb_to_recordset(CAST(:contacts AS jsonb)) AS x(channel text, contact text)
 WHERE NOT EXISTS (SELECT 1 FROM ponctuel.consents c
                    WHERE c.business_id = :business_id AND c.channel = x.channel
                      AND c.contact = x.contact AND c.withdrawn_at IS NULL)
RETURNING id
""")
_WITHDRAW = text("""
UPDATE ponctuel.consents c SET withdrawn_at = ponctuel.clock(), withdrawn_by = :by
 WHERE c.business_id = :business_id AND c.withdrawn_at IS NULL
   AND ((c.person <> '' AND c.person = :person)
        OR (c.channel, c.contact) IN (SELECT x.channel, x.contact
              FROM jsonb_to_recordset(CAST(:contacts AS jsonb)) AS x(channel text, contact text)))
RETURNING id
""")
_LISTED = text("""
SELECT c.id, c.business_id, c.channel, c.contact, c.person, c.granted_at, c.source,
       c.withdrawn_at, c.withdrawn_by
  FROM ponctuel.consents c
 WHERE (CAST(:business_id AS text) IS NULL OR c.business_id = :business_id)
   AND (CAST(:channel AS text) IS NULL OR c.channel = :channel)
   AND (CAST(:contact AS text) IS NULL OR c.contact = :contact)
   AND (CAST(:before AS bigint) IS NULL OR c.id < :before)
 ORDER BY c.id DESC LIMIT :limit
""")


def grant(
    connection: Connection,
    *,
    business_id: str,
    channel: Channel,
    contact: str,
    source: str,
    person: str = "",
) -> bool:
    """Records that the contact agreed; `source` is where (the form and its wording, the order). One
    that is in force already stays, with its own date. Returns whether it is new."""
    values = {"business_id": business_id, "source": source, "person": person}
    contacts = _contacts([(channel, contact)])
    return bool(connection.execute(_GRANT, values | contacts).all())


def withdraw(
    connection: Connection, *, business_id: str, channel: Channel, contact: str, by: str
) -> int:
    """Records that the contact agrees no more. Returns how many consents that ended."""
    return withdraw_all(
        connection, business_id=business_id, person="", contacts=[(channel, contact)], by=by
    )


def withdraw_all(
    connection: Connection,
    *,
    business_id: str,
    person: str,
    contacts: Sequence[tuple[Channel, str]],
    by: str,
) -> int:
    """The same for these contacts, and for whatever else the person agreed to on any channel."""
    values = {"business_id": business_id, "person": person, "by": by}
    return len(connection.execute(_WITHDRAW, values | _contacts(contacts)).all())


def listed(
    connection: Connection,
    where: Mapping[str, str | None],
    *,
    limit: int,
    before: int | None = None,
) -> list[dict[str, Any]]:
    """The newest consents, withdrawn ones included; those with a smaller id than `before` where it
    is given. `where` may have `business_id`, `channel` and `contact`."""
    values = dict.fromkeys(("business_id", "channel", "contact")) | dict(where)
    found = connection.execute(_LISTED, values | {"limit": limit, "before": before})
    return [dict(row) for row in found.mappings()]


def _contacts(contacts: Sequence[tuple[Channel, str]]) -> dict[str, str]:
    rows = [{"channel": channel, "contact": contact} for channel, contact in contacts]
    return {"contacts": json.dumps(rows)}
