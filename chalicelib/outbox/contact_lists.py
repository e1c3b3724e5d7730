"""What an operator does with the lists of who may be written to: suppressions and consents.

Contacts are taken as they are typed, and answered in their normal form. That a business exists is
asked by whoever calls: the outbox knows no domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from chalicelib.errors import BadRequest
from chalicelib.outbox import consents, kinds, suppressions
from chalicelib.outbox.contacts import CHANNELS, Channel, normalised
from chalicelib.outbox.operator import needed
from chalicelib.outbox.suppressions import EVERYTHING, MARKETING, Suppression

# Contacts of one call: of a file there are several.
MOST = 500


def known_category(given: str) -> str:
    """`*`, `marketing` or a kind of message. Raises `NotFound`."""
    if given not in (EVERYTHING, MARKETING):
        kinds.load(given)
    return given


def searched(
    business_id: str | None, channel: Channel | None, contact: str | None
) -> dict[str, str | None]:
    """The filters of a list. Without a channel the contact says which one it can be; one that is
    neither an address nor a number is looked for as it is (Meta's id of a user)."""
    if contact is not None:
        for candidate in CHANNELS if channel is None else (channel,):
            try:
                contact = normalised(candidate, contact)
            except BadRequest:
                continue
            break
    return {"business_id": business_id, "channel": channel, "contact": contact}


def suppress(
    connection: Connection,
    business_id: str,
    channel: Channel,
    contacts: Sequence[str],
    *,
    category: str,
    person: str,
    by: str,
    reason: str,
) -> dict[str, Any]:
    """Enters the contacts; `added`: how many are new. Raises `BadRequest` for one that is none, and
    `NotFound` for an unknown category: then nothing is entered."""
    known_category(category)
    entered = list(dict.fromkeys(normalised(channel, contact) for contact in contacts))
    common = {"channel": channel, "reason": "manual", "category": category}
    common |= {"person": person, "source": by, "note": reason}
    entries = [
        Suppression(business_id=business_id, contact=contact, **common)  # type: ignore[arg-type]  # as its fields
        for contact in entered
    ]
    added = suppressions.suppress(connection, entries)
    return {"business_id": business_id, "contacts": entered, **common, "added": added}


def lift(connection: Connection, ids: Sequence[int], *, by: str, reason: str) -> dict[str, Any]:
    """Lifts the entries; `left`: the ids of those that were not in force. Raises `BadRequest` for a
    blank reason."""
    lifted = suppressions.lift_entries(connection, ids, by=by, why=needed(reason))
    return {"lifted": lifted, "left": sorted(set(ids) - set(lifted))}


def grant(
    connection: Connection,
    business_id: str,
    channel: Channel,
    contact: str,
    *,
    source: str,
    person: str,
    by: str,
) -> dict[str, Any]:
    """Records a consent; `suppressions`: the entries that stand in its way all the same. Raises
    `BadRequest`."""
    whom = _whom(business_id, channel, contact)
    told = f"{source} ({by})"
    granted = consents.grant(connection, **whom, source=told, person=person)
    entries = suppressions.listed(connection, whom, limit=50)
    against = [e["id"] for e in entries if e["category"] in (EVERYTHING, MARKETING)]
    return whom | {"granted": granted, "suppressions": against}


def withdraw(
    connection: Connection, business_id: str, channel: Channel, contact: str, *, by: str
) -> dict[str, Any]:
    """Records that the contact agrees no more; `withdrawn`: how many consents that ended. Raises
    `BadRequest`."""
    whom = _whom(business_id, channel, contact)
    return whom | {"withdrawn": consents.withdraw(connection, **whom, by=by)}


def _whom(business_id: str, channel: Channel, contact: str) -> dict[str, Any]:
    found = normalised(channel, contact)
    return {"business_id": business_id, "channel": channel, "contact": found}
