"""The accounting archive, for those who may read it: each access is logged before it is answered.

The log says who, when, why and which rows, and nothing of what is in them. It is kept three years,
the most that the CNIL accepts where a log serves internal control (délibération 2021-122 of 14
October 2021): an access that should not have been is found late in what nobody reads every day.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Engine, text

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.domain.accounts.reasons import lasting
from chalicelib.errors import NotFound
from chalicelib.runner.job import Batch, Outcome, Preview, Run

LOG_KEPT: Final = timedelta(days=3 * 366)
PAGE: Final = 1000

_LOG = text("""
INSERT INTO ponctuel.archive_accesses (at, accessed_by, action, business_id, archive_id, reason)
VALUES (ponctuel.clock(), :by, :action, :business, :id, :reason)
""")
_BUSINESSES = text("""
SELECT a.business_id, min(a.content->'issuer'->>'name') AS issuer, count(*) AS documents,
       min(a.issued_on) AS first_on, max(a.issued_on) AS last_on, max(a.keep_until) AS keep_until
  FROM ponctuel.accounting_archive a
 WHERE CAST(:business AS text) IS NULL OR a.business_id = :business
 GROUP BY a.business_id ORDER BY a.business_id
""")
_COLUMNS = """a.id, a.business_id, a.document, a.document_id, a.number, a.issued_on, a.keep_until,
       a.archived_at, a.pdf_key, a.content::text AS content"""
_ONE = text(f"SELECT {_COLUMNS} FROM ponctuel.accounting_archive a WHERE a.id = :id")
# The same invoice may have been archived twice: by an erasing, and by its replay after a restore.
_PAGE = text(f"""
SELECT {_COLUMNS} FROM ponctuel.accounting_archive a
 WHERE a.business_id = :business
   AND (CAST(:year AS int) IS NULL OR extract(year FROM a.issued_on) = :year)
   AND (CAST(:day AS date) IS NULL OR (a.issued_on, a.id) > (CAST(:day AS date), :after))
   AND a.id IN (SELECT max(o.id) FROM ponctuel.accounting_archive o
                 WHERE o.business_id = :business GROUP BY o.document, o.document_id)
 ORDER BY a.issued_on, a.id LIMIT {PAGE}
""")
OLD_ACCESSES: Final = f"""
SELECT COALESCE(t.business_id, '') AS business_id, t.id::text AS item
  FROM ponctuel.archive_accesses t
 WHERE t.at < CAST(:now AS timestamptz) - interval '{LOG_KEPT.days} days'
"""
_FORGET = f"""
DELETE FROM ponctuel.archive_accesses
 WHERE id::text IN (SELECT item FROM ({{batch}}) b(business_id, item))
   AND at < ponctuel.clock() - interval '{LOG_KEPT.days} days'
"""


@dataclass(frozen=True)
class Reader:
    """Who asks, and why. Everything raises `BadRequest` for a reason that is none, and then reads
    nothing."""

    engine: Engine
    by: str
    reason: str

    def businesses(self, business_id: str | None = None) -> list[dict[str, Any]]:
        """What is kept of each business: how much, from when to when, until when."""
        self._log("list", business_id)
        with transaction(self.engine) as connection:
            rows = connection.execute(_BUSINESSES, {"business": business_id}).mappings()
            return [dict(row) for row in rows]

    def document(self, number: int) -> dict[str, Any]:
        """One, with its content. Raises `NotFound`."""
        self._log("show", None, number)
        with transaction(self.engine) as connection:
            row = connection.execute(_ONE, {"id": number}).mappings().first()
        if row is None:
            raise NotFound("L'archive n'a pas de pièce de ce numéro.")
        return _read(row)

    def export(self, business_id: str, year: int | None = None) -> Iterator[dict[str, Any]]:
        """All of a business, by the date of issue; of one year, where it is given. Raises
        `NotFound` when there is none."""
        self._log("export", business_id)
        wanted: dict[str, Any] = {"business": business_id, "year": year, "day": None, "after": 0}
        while True:
            with transaction(self.engine) as connection:
                rows = connection.execute(_PAGE, wanted).mappings().all()
            if not rows and wanted["day"] is None:
                raise NotFound("L'archive n'a pas de pièce de cette entreprise pour cette période.")
            yield from map(_read, rows)
            if len(rows) < PAGE:
                return
            wanted |= {"day": rows[-1]["issued_on"], "after": rows[-1]["id"]}

    def _log(self, action: str, business_id: str | None, number: int | None = None) -> None:
        """Committed before anything is read: an answer that is lost was an access too."""
        values = {"by": self.by, "action": action, "business": business_id, "id": number}
        with transaction(self.engine) as connection:
            connection.execute(_LOG, values | {"reason": lasting(self.reason)})
        logs.info("archive_accessed", action=action, business=business_id, document=number)


def _read(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Amounts are exact: Decimals."""
    content = json.loads(row["content"], parse_float=Decimal)
    return dict(row) | {"content": content}


@dataclass(frozen=True)
class ForgetAccesses:
    """Items are accesses whose time is up."""

    def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome:
        statement = text(_FORGET.replace("{batch}", batch.cte))
        gone = connection.execute(statement, batch.parameters).rowcount
        return Outcome({"accesses_forgotten": gone} if gone else {})

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        rows = connection.execute(text(batch.cte), batch.parameters)
        return Preview(
            [
                {"change": "accesses_forgotten", "business_id": row[0], "subject": row[1]}
                for row in rows
            ]
        )
