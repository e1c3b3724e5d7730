"""Whom the inbox's notices go to: addresses, some of which are those of users."""

from __future__ import annotations


def person_at(business: str, address: str) -> str:
    """SQL: who the outbox takes the reader at this address for. A user of the business, or `''`
    where the address is nobody's of them: the business's own, a colleague's without an account."""
    return f"""COALESCE((
         SELECT 'user:' || min(u.id) FROM ponctuel.users u
          WHERE u.business_id = {business}
            AND lower(btrim(u.email)) = lower(btrim({address}))), '')"""
