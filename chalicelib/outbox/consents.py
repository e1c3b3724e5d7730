"""Who agreed to marketing (CPCE L34-5: before the first message, for a consumer).

Every consent is kept with its date and its source, also after it was withdrawn: it is the proof.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from chalicelib.outbox.suppressions import Channel

_GRANT = text("""
INSERT INTO ponctuel.consents (business_id, channel, contact, person, granted_at, source)
SELECT :business_id, :channel, :contact, :person, ponctuel.clock(), :source
 WHERE NOT EXISTS (SELECT 1 FROM ponctuel.consents
                    WHERE business_id = :business_id AND channel = :channel
                      AND contact = :contact AND withdrawn_at IS NULL)
""")
_WITHDRAW = text("""
UPDATE ponctuel.consents SET withdrawn_at = ponctuel.clock(), withdrawn_by = :by
 WHERE business_id = :business_id AND channel = :channel AND contact = :contact
   AND withdrawn_at IS NULL
""")


def grant(
    connection: Connection,
    *,
    business_id: str,
    channel: Channel,
    contact: str,
    source: str,
    person: str = "",
) -> None:
    """Records that the contact agreed; `source` is where (the form and its wording, the order). One
    that is in force already stays, with its own date."""
    values = {"business_id": business_id, "channel": channel, "contact": contact}
    connection.execute(_GRANT, values | {"source": source, "person": person})


def withdraw(
    connection: Connection, *, business_id: str, channel: Channel, contact: str, by: str
) -> int:
    """Records that the contact agrees no more. Returns how many consents that ended."""
    values = {"business_id": business_id, "channel": channel, "contact": contact, "by": by}
    return max(connection.execute(_WITHDRAW, values).rowcount, 0)
