"""A customer who answers is left in peace: somebody has to read the answer first."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from chalicelib.outbox.inbound import KNOWN_BY_ADDRESS, Inbound, register
from chalicelib.outbox.windows import zone
from chalicelib.settings import settings

_PARIS = ZoneInfo("Europe/Paris")

_HERE = text("""
SELECT ponctuel.clock() AS clock,
       (SELECT b.zone FROM ponctuel.businesses b WHERE b.id = :business_id) AS zone
""")
# `customers` may be somebody's view.
_PAUSE = text("""
UPDATE ponctuel.customers SET paused_until = :until
 WHERE business_id = :business_id AND id = :customer_id
   AND (paused_until IS NULL OR paused_until < :until)
""")


def pause(connection: Connection, message: Inbound) -> bool:
    """Pauses the relances of the customer who answered, REPLY_PAUSE_DAYS days from today in the
    business's zone; a longer pause stays. Not for a STOP or START, which ask for something else,
    nor for a reaction, which says nothing to read; nor when the person is not a customer of ours:
    an id is only billing's when it comes from a message of billing's, or from an address of the
    customer's file; nor where the business does not want it (`pauses`)."""
    days = settings().reply_pause_days
    ours = message.known_by == KNOWN_BY_ADDRESS or message.known_by.startswith("billing.")
    if not days or not ours or not message.person or not message.pauses:
        return False
    if message.intent or message.kind == "reaction":
        return False
    here = connection.execute(_HERE, {"business_id": message.business_id}).one()
    today = here.clock.astimezone(zone(here.zone or "") or _PARIS).date()
    connection.execute(
        _PAUSE,
        {
            "until": today + timedelta(days=days),
            "business_id": message.business_id,
            "customer_id": message.person,
        },
    )
    return True


register("billing", pause)
