"""Leads by their e-mail addresses, as the inbox asks for them."""

from __future__ import annotations

import json
from collections.abc import Collection

from sqlalchemy import Connection, text

# The index of our own table has the same expression.
ADDRESS = "lower(btrim(l.email))"

_KNOWN = text(f"""
SELECT DISTINCT {ADDRESS} AS address FROM ponctuel.leads l
 WHERE l.business_id = :business_id
   AND {ADDRESS} IN (SELECT value FROM jsonb_array_elements_text(CAST(:addresses AS jsonb)))
""")


def known(connection: Connection, business_id: str, addresses: Collection[str]) -> frozenset[str]:
    """Those of the addresses (in lower case) that a lead of the business has."""
    if not addresses:
        return frozenset()
    values = {"business_id": business_id, "addresses": json.dumps(sorted(addresses))}
    return frozenset(connection.execute(_KNOWN, values).scalars())
