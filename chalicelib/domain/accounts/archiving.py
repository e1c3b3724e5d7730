"""Accounting records outlive their business: for ten years after the year of their issue, away from
everything else (Code de commerce, L123-22). Then they are purged, document and all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, text

from chalicelib import logs
from chalicelib.domain.accounts.retention import WHO
from chalicelib.errors import AttachmentUnavailable, ProviderError
from chalicelib.providers.storage.port import Storage
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.job import Batch, ItemError, Outcome, Preview, Run

KEPT_YEARS: Final = 10

# Of invoices `t`: when it was issued, as far as is known, and until when it is kept.
_TODAY = "(ponctuel.clock() AT TIME ZONE 'Europe/Paris')::date"
_ISSUED = f"COALESCE(t.issued_on, t.due_on, {_TODAY})"
_UNTIL = f"make_date(extract(year FROM {_ISSUED})::int + {KEPT_YEARS}, 12, 31)"
# A draft is no accounting record. Neither is what has been kept for long enough.
KEPT: Final = f"(t.status <> 'draft' AND {_UNTIL} >= {_TODAY})"

# Of the businesses of `retention.WHO`; answers with (number of the deletion, documents).
ARCHIVE: Final = text(f"""
WITH {WHO}, archived AS (
INSERT INTO ponctuel.accounting_archive
       (deletion_id, business_id, document, document_id, number, issued_on, content, pdf_key,
        keep_until, archived_at)
SELECT w.number, t.business_id, 'invoice', t.id, t.number, {_ISSUED},
       jsonb_build_object(
         'status', t.status, 'issued_on', t.issued_on, 'due_on', t.due_on,
         'currency', t.currency, 'total', t.total, 'balance', t.balance,
         'customer', jsonb_build_object('id', t.customer_id, 'name', c.name,
                                        'type', c.customer_type, 'emails', c.emails),
         'issuer', jsonb_build_object('name', b.name, 'address', b.address, 'siret', b.siret)),
       NULLIF(t.pdf_key, ''), {_UNTIL}, ponctuel.clock()
  FROM who w JOIN ponctuel.invoices t ON t.business_id = w.business
  LEFT JOIN ponctuel.customers c ON c.business_id = t.business_id AND c.id = t.customer_id
  LEFT JOIN ponctuel.businesses b ON b.id = t.business_id
 WHERE {KEPT}
ON CONFLICT (deletion_id, document, document_id) DO NOTHING
RETURNING deletion_id
) SELECT deletion_id, count(*) FROM archived GROUP BY deletion_id
""")

_PAST = "t.keep_until < ({clock} AT TIME ZONE 'Europe/Paris')::date"
TO_PURGE: Final = f"""
SELECT t.business_id, t.id::text AS item FROM ponctuel.accounting_archive t
 WHERE {_PAST.format(clock="CAST(:now AS timestamptz)")}
"""
_ONE = text(f"""
SELECT t.pdf_key, NOT EXISTS (
         SELECT 1 FROM ponctuel.accounting_archive o WHERE o.pdf_key = t.pdf_key AND o.id <> t.id)
         AND NOT EXISTS (SELECT 1 FROM ponctuel.invoices i WHERE i.pdf_key = t.pdf_key)
         AND NOT EXISTS (SELECT 1 FROM ponctuel.quotes q WHERE q.pdf_key = t.pdf_key)
         AND NOT EXISTS (SELECT 1 FROM ponctuel.stored_files s WHERE s.storage_key = t.pdf_key)
  FROM ponctuel.accounting_archive t
 WHERE t.id = :id AND {_PAST.format(clock="ponctuel.clock()")}
   AND NOT EXISTS (SELECT 1 FROM ponctuel.legal_holds h
                    WHERE h.business_id = t.business_id AND h.lifted_at IS NULL)
""")
_PURGE = text("DELETE FROM ponctuel.accounting_archive WHERE id = :id")


def delete_document(storage: Storage | None, key: str) -> bool:
    """The store does not have it any more; whether the store could have had it at all. Raises
    `ProviderError` when that cannot be said now."""
    if storage is None:
        raise ProviderError(
            "storage",
            "STORAGE_URL n'est pas renseigné : des documents restent à effacer.",
            permanent=True,
            code="storage_not_configured",
        )
    try:
        storage.delete(key)
    except AttachmentUnavailable:
        return False  # not a place in the store
    return True


@dataclass(frozen=True)
class Purge:
    """Items are rows of the archive. The document first: its row is what knows of it."""

    def run_errand(
        self, run: Run, engine: Engine, deadline: Deadline, items: Sequence[tuple[str, str]]
    ) -> Outcome:
        from chalicelib.runner.invocation import open_store
        from chalicelib.settings import settings

        storage = open_store(settings())
        purged, errors = 0, []
        for business, item in items:
            if deadline.near():
                break
            try:
                purged += _purged(engine, storage, int(item))
            except ProviderError as error:
                errors.append(ItemError(business, item, error.code, str(error)))
        if purged:
            logs.info("archive_purged", count=purged)
        return Outcome({"archive_purged": purged} if purged else {}, errors)

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        rows = connection.execute(text(batch.cte), batch.parameters)
        return Preview([_as_change(row) for row in rows.mappings()])


def _purged(engine: Engine, storage: Storage | None, number: int) -> int:
    with engine.connect() as connection:
        row = connection.execute(_ONE, {"id": number}).first()
    if row is None:
        return 0
    key, alone = row
    if key is not None and alone:
        delete_document(storage, key)
    with engine.begin() as connection:
        return connection.execute(_PURGE, {"id": number}).rowcount


def _as_change(row: Mapping[Any, Any]) -> Mapping[str, Any]:
    return {
        "change": "archive_purged",
        "business_id": row["business_id"],
        "subject": row["item"],
    }
