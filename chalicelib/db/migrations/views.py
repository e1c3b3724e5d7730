"""Domain relations that somebody keeps in tables of their own, and shows to Ponctuel as views.

Every statement of a domain migration is about one relation and asks first: where the owner has put
a view, nothing is created, altered or indexed (docs/decisions/0006-views-stay-their-owners.md).
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

# View, materialised view, foreign table: what holds rows elsewhere.
_STANDS_IN = text("""
SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'ponctuel' AND c.relname = :relation AND c.relkind IN ('v', 'm', 'f')
""")


def stands_in(relation: str) -> bool:
    """Whether `ponctuel.<relation>` is the owner's view, on the connection being migrated."""
    return op.get_bind().execute(_STANDS_IN, {"relation": relation}).first() is not None
