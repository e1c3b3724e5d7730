"""What a run comes to when it closes: totals, results per business, whether it is news."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.runner.job import Run

_MESSAGES = text("""
SELECT business_id, state, count(*) AS n FROM ponctuel.messages
 WHERE run_id = :run_id GROUP BY business_id, state ORDER BY business_id, state
""")

_ERRORS = text("""
SELECT business_id, count(*) AS n, min(error) AS error FROM ponctuel.run_errors
 WHERE run_id = :run_id GROUP BY business_id ORDER BY business_id
""")

_PREVIOUS = text("""
SELECT status FROM ponctuel.runs
 WHERE job = :job AND zone = :zone AND NOT dry_run AND id <> :run_id
   AND status IN ('succeeded','partial','failed')
 ORDER BY finished_at DESC LIMIT 1
""")

# The words of an answer: what providers said, and what is still on its way.
COUNTED_AS = {
    "accepted": "sent",
    "delivered": "sent",
    "refused": "refused",
    "failed": "refused",
    "uncertain": "uncertain",
    "held": "held",
    "cancelled": "cancelled",
    "expired": "expired",
    "planned": "pending",
    "claimed": "pending",
    "submitting": "pending",
}


@dataclass(frozen=True)
class Totals:
    counts: Mapping[str, int]
    results: Sequence[Mapping[str, Any]]
    failed: int

    @property
    def sentence(self) -> str | None:
        """A French sentence when something failed, else None."""
        if not self.failed:
            return None
        return f"{self.failed} élément(s) en erreur : voir le détail par entreprise."


def totals(connection: Connection, run: Run) -> Totals:
    """Counts by outcome and results per business, from the ledgers themselves."""
    counts: Counter[str] = Counter()
    sent: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    errors: dict[str, str] = {}
    for business, state, n in connection.execute(_MESSAGES, {"run_id": run.id}):
        counts[COUNTED_AS[state]] += n
        sent[business] += n if COUNTED_AS[state] == "sent" else 0
        if COUNTED_AS[state] == "refused":
            failed[business] += n
            errors.setdefault(business, "Message refusé par le fournisseur.")
    for business, n, error in connection.execute(_ERRORS, {"run_id": run.id}):
        failed[business] += n
        errors.setdefault(business, error)
    results = [
        {
            "id": business,
            "status": "partial" if failed[business] else "succeeded",
            "count": sent[business],
        }
        | ({"error": errors[business]} if business in errors else {})
        for business in sorted({*sent, *failed})
    ]
    counts["failed"] = failed.total()
    return Totals(+counts, results, failed.total())


def is_news(connection: Connection, run: Run) -> bool:
    """Whether the run before ended well: a failure is told once, not at each tick."""
    previous = connection.execute(
        _PREVIOUS, {"job": run.job, "zone": run.zone, "run_id": run.id}
    ).scalar()
    return previous in (None, "succeeded")
