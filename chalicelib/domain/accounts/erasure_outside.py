"""What others keep of an account: documents in the store, the customer at Stripe. What is not there
is gone; what cannot be reached is tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine, text

from chalicelib.domain.accounts import retention
from chalicelib.domain.accounts.archiving import delete_document
from chalicelib.domain.accounts.erasure_lease import LET_GO, Taken
from chalicelib.domain.accounts.retention import WHO
from chalicelib.errors import ProviderError
from chalicelib.providers import stripe
from chalicelib.providers.storage.port import Storage
from chalicelib.runner.deadline import Deadline

_AT_ONCE: Final = 50

_WHOLE = "d.scope = 'business'"
# A key that somebody else's row names is theirs too.
_KEYS = text(f"""
SELECT f.storage_key,
       EXISTS (SELECT 1 FROM ponctuel.stored_files s WHERE s.storage_key = f.storage_key)
       OR EXISTS (SELECT 1 FROM ponctuel.accounting_archive a WHERE a.pdf_key = f.storage_key)
       OR EXISTS (SELECT 1 FROM ponctuel.emails e WHERE e.raw_key = f.storage_key)
       OR EXISTS (SELECT 1 FROM ponctuel.email_attachments p WHERE p.stored_key = f.storage_key)
       OR EXISTS (SELECT 1 FROM ponctuel.invoices i WHERE i.pdf_key = f.storage_key
                     AND (i.business_id <> :business OR CAST(:scope AS text) = 'user')
                     AND NOT {LET_GO.format(step="files", row="i", whose=_WHOLE)})
       OR EXISTS (SELECT 1 FROM ponctuel.quotes q WHERE q.pdf_key = f.storage_key
                     AND (q.business_id <> :business OR CAST(:scope AS text) = 'user')
                     AND NOT {LET_GO.format(step="files", row="q", whose=_WHOLE)})
  FROM ponctuel.erasure_files f WHERE f.deletion_id = :id
 ORDER BY f.storage_key LIMIT :limit
""")
_FILE_GONE = text("""
DELETE FROM ponctuel.erasure_files
 WHERE deletion_id = :id AND storage_key = ANY(CAST(:keys AS text[]))
""")
_WITH_FILES = text("""
SELECT DISTINCT f.deletion_id FROM ponctuel.erasure_files f
 WHERE f.deletion_id = ANY(CAST(:numbers AS bigint[]))
""")
_HIS = "(d.user_id = o.id OR d.scope = 'business')"
# `others`: somebody who stays a customer there by the same number.
_CUSTOMERS = text(f"""
WITH {WHO}
SELECT DISTINCT w.number, u.stripe_customer_id, EXISTS (
         SELECT 1 FROM ponctuel.users o
          WHERE o.stripe_customer_id = u.stripe_customer_id
            AND (o.business_id <> u.business_id
                 OR (o.id <> u.id AND CAST(:scope AS text) = 'user'))
            AND NOT {LET_GO.format(step="stripe", row="o", whose=_HIS)}) AS others
  FROM who w JOIN ponctuel.users u ON u.business_id = w.business
   AND (u.id = w."user" OR CAST(:scope AS text) = 'business')
 WHERE u.stripe_customer_id <> ''
""")


def delete_files(engine: Engine, taken: Taken, storage: Storage | None, deadline: Deadline) -> bool:
    """Whether all of them are gone; False: there was no time for more. Raises `ProviderError`."""
    asked = {
        "id": taken.id,
        "business": taken.business_id,
        "scope": taken.scope,
        "limit": _AT_ONCE,
    }
    while not deadline.near():
        with engine.connect() as connection:
            rows = connection.execute(_KEYS, asked).all()
        if not rows:
            with taken.writing(engine, "files") as connection:
                taken.receipt(connection, "files", {})
            return True
        for key, shared in rows:
            if not shared:
                delete_document(storage, key)
        with taken.writing(engine, "files") as connection:
            gone = {"id": taken.id, "keys": [key for key, _shared in rows]}
            connection.execute(_FILE_GONE, gone)
    return False


def delete_customers(engine: Engine, taken: Taken, api_key: str | None) -> None:
    """Raises `ProviderError`; permanent when no key is set and there is somebody to delete."""
    with engine.connect() as connection:
        customers = _customers(connection, taken)
    if customers and api_key is None:
        raise ProviderError(
            "stripe",
            "STRIPE_API_KEY n'est pas renseigné et le compte est un client chez Stripe : donnez "
            "la clé, la nuit suivante reprend.",
            permanent=True,
            code="stripe_not_configured",
        )
    deleted = sum(
        stripe.delete_customer(one, api_key or "", base_url=stripe.BASE_URL) for one in customers
    )
    with taken.writing(engine, "stripe") as connection:
        taken.receipt(connection, "stripe", {"customers": deleted})


def with_files(engine: Engine, taken: Sequence[Taken]) -> set[int]:
    """Of these, which are of one scope, the numbers of those whose documents are to be deleted."""
    with engine.connect() as connection:
        return set(connection.execute(_WITH_FILES, _values(taken)).scalars())


def with_customers(engine: Engine, taken: Sequence[Taken]) -> set[int]:
    """Of these, which are of one scope, the numbers of those whom Stripe has to be asked about."""
    with engine.connect() as connection:
        return {row.number for row in connection.execute(_CUSTOMERS, _values(taken))}


def _customers(connection: Connection, taken: Taken) -> list[str]:
    rows = connection.execute(_CUSTOMERS, _values([taken]))
    return [row.stripe_customer_id for row in rows if not row.others]


def _values(taken: Sequence[Taken]) -> dict[str, Any]:
    return retention.parameters(taken[0].scope, [one.account for one in taken])
