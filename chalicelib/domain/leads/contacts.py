"""What is known of the contacts of leads, for a whole decision in one query."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, text

from chalicelib.domain.leads import queries
from chalicelib.domain.leads.decisions import Key, Known, Reached


def known_of(connection: Connection, reached: Sequence[Reached]) -> dict[Key, Known]:
    """By the lead."""
    if not reached:
        return {}
    asked = [
        {
            "business_id": lead.key[0],
            "lead_id": lead.key[1],
            "contact": lead.contact,
            "user_id": (lead.row["whatsapp_user_id"] or "").strip() or None,
        }
        for lead in reached
    ]
    found = connection.execute(text(queries.CONTACTS), {"asked": json.dumps(asked)}).mappings()
    return {
        (row["business_id"], row["lead_id"]): Known(
            row["suppressed"], row["consented"], row["taken"]
        )
        for row in found
    }
