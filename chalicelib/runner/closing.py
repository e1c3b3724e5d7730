"""How a run ends: totals, results per business, whether it is news, three attempts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, text

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.db.sqlstate import sqlstate
from chalicelib.errors import PonctuelError
from chalicelib.runner import progress
from chalicelib.runner.bench import DELIVERY_STEP, Work
from chalicelib.runner.job import Run
from chalicelib.runner.progress import Closed

ATTEMPTS = 3
FIRST_RETRY_S = 30.0
SCHEMA_WAIT = timedelta(minutes=5)
# A failure that old is not the same one any more.
NEWS_AFTER = timedelta(hours=26)
# Types that do not match, values that no type holds, statements too slow: what `check` explains.
DATA_AT_FAULT = ("428", "22", "57014")
SEVERITY = {"succeeded": 0, "partial": 1, "failed": 2}

# Messages by state, and the items that failed, per business.
_TOTALS = text("""
SELECT business_id, state, count(*) AS n, NULL AS error FROM ponctuel.messages
 WHERE run_id = :run_id GROUP BY business_id, state
UNION ALL
SELECT business_id, NULL, count(*), min(error) FROM ponctuel.run_errors
 WHERE run_id = :run_id GROUP BY business_id
 ORDER BY business_id, state
""")

_PREVIOUS = text("""
SELECT status FROM ponctuel.runs
 WHERE job = :job AND zone = :zone AND NOT dry_run AND id <> :run_id
   AND status IN ('succeeded','partial','failed')
   AND finished_at > ponctuel.clock() - CAST(:news_after AS interval)
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
    "proved": "proved",
    "resent": "pending",
}


def counted(states: Mapping[str, int]) -> Mapping[str, int]:
    """Numbers of messages by state, in the words of an answer."""
    counts: Counter[str] = Counter()
    for state, number in states.items():
        counts[COUNTED_AS[state]] += number
    return counts


@dataclass(frozen=True)
class Ending:
    """The status in which an invocation left a run, and what is known once it is closed."""

    status: str
    closed: Closed | None = None


@dataclass(frozen=True)
class Totals:
    """`messages`: how many the run has planned."""

    counts: Mapping[str, int]
    results: Sequence[Mapping[str, Any]]
    failed: int
    messages: int = 0

    @property
    def sentence(self) -> str | None:
        """A French sentence when something failed, else None."""
        if not self.failed:
            return None
        items = "élément" if self.failed == 1 else "éléments"
        return f"{self.failed} {items} en erreur : voir le détail par entreprise."


def totals(connection: Connection, run: Run) -> Totals:
    """Counts by outcome and results per business, from the ledgers themselves."""
    counts: Counter[str] = Counter()
    sent: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    errors: dict[str, str] = {}
    for business, state, n, error in connection.execute(_TOTALS, {"run_id": run.id}):
        if state is None:
            failed[business] += n
            errors.setdefault(business, error)  # this row comes last
            continue
        counts[COUNTED_AS[state]] += n
        sent[business] += n if COUNTED_AS[state] == "sent" else 0
        if COUNTED_AS[state] == "refused":
            failed[business] += n
            errors[business] = "Message refusé par le fournisseur."
    results = [
        {
            "id": business,
            "status": "partial" if failed[business] else "succeeded",
            "count": sent[business],
        }
        | ({"error": errors[business]} if business in errors else {})
        for business in sorted({*sent, *failed})
    ]
    messages = counts.total()
    counts["failed"] = failed.total()
    return Totals(+counts, results, failed.total(), messages)


def is_news(connection: Connection, run: Run, status: str) -> bool:
    """Whether this is worse than the run before: the same trouble is told once."""
    previous = connection.execute(
        _PREVIOUS,
        {"job": run.job, "zone": run.zone, "run_id": run.id, "news_after": NEWS_AFTER},
    ).scalar()
    return SEVERITY[status] > SEVERITY.get(previous or "succeeded", 0)


def failed_attempt(work: Work, run: Run, error: Exception) -> Ending:
    """One attempt ended in an error: three of them close the run as *failed*."""
    run.failures += 1
    code, message = described(error)
    logs.error(
        "run_attempt_failed",
        job=run.job,
        run_id=str(run.id),
        step=run.step,
        code=code,
        failures=run.failures,
        error=error,
    )
    if run.failures >= ATTEMPTS:
        return close(work, run, error_code=code, error=message)
    jitter = random.uniform(0.8, 1.2)  # noqa: S311 - not a secret
    wait = timedelta(seconds=FIRST_RETRY_S * 2 ** (run.failures - 1) * jitter)
    with transaction(work.engine) as connection:
        progress.release(connection, run, wait, code, message)
    return Ending("continued")


def postponed(work: Work, run: Run, error: PonctuelError) -> Ending:
    """The schema is not (yet) what this code needs: nobody's fault in the run, so no attempt is
    counted. The operator is told once."""
    logs.error("run_postponed", job=run.job, run_id=str(run.id), code=error.code, error=error)
    with transaction(work.engine) as connection:
        if work.bench.alert:
            work.bench.alert(connection, work.job, run, "continued", str(error))
        progress.release(connection, run, SCHEMA_WAIT, error.code, str(error))
    return Ending("continued")


def review(work: Work, connection: Connection, run: Run) -> int:
    """Looks at what was planned, once, before any of it may be claimed. Returns how many messages
    wait for approval with that."""
    if run.step in (None, DELIVERY_STEP) or work.bench.review is None:
        return 0
    held = work.bench.review(connection, run)
    run.counts = dict(Counter(run.counts) + Counter(held_for_approval=held))
    return held


def described(error: Exception) -> tuple[str, str]:
    """(code, French sentence) for the ledger. A foreign error's own text may hold personal data."""
    if isinstance(error, PonctuelError):
        return error.code, str(error)
    code = sqlstate(error) or "unexpected"
    if code == "42501" or code.startswith(DATA_AT_FAULT):
        return code, (
            f"La base a refusé une lecture ou une écriture (SQLSTATE {code}) : `./ponctuel check` "
            "dit quelle table ou vue corriger, et comment."
        )
    return code, (
        f"Erreur inattendue ({type(error).__name__}, {code}) : le journal technique a le détail."
    )


def close(work: Work, run: Run, error_code: str | None = None, error: str | None = None) -> Ending:
    """Closes the run, covers its slots and opens the one that was asked for meanwhile."""
    with transaction(work.engine) as connection:
        # A run that never had a worklist has no messages and no items of its own.
        found = totals(connection, run) if run.step else Totals({}, (), 0)
        if found.messages and review(work, connection, run):
            found = totals(connection, run)
        run.counts = {**run.counts, **found.counts}
        status = "failed" if error_code else "partial" if found.failed else "succeeded"
        if work.bench.alert and status != "succeeded" and is_news(connection, run, status):
            work.bench.alert(connection, work.job, run, status, error or found.sentence or "")
        error = error or found.sentence
        closed = end(connection, work, run, status, found.results, error_code, error)
    return told(run, status, closed)


def end(
    connection: Connection,
    work: Work,
    run: Run,
    status: str,
    results: Sequence[Mapping[str, Any]] = (),
    error_code: str | None = None,
    error: str | None = None,
) -> Closed:
    """The row of a run that has ended; none for a tick of a quiet job that found nothing."""
    found_nothing = status == "succeeded" and not run.counts
    if work.job.quiet and found_nothing and run.door == "schedule":
        return progress.forget(connection, run)
    return progress.close(
        connection, run, status, results=results, error_code=error_code, error=error
    )


def told(run: Run, status: str, closed: Closed) -> Ending:
    """Logs how a run ended, once that is committed."""
    logs.info("run_finished", job=run.job, run_id=str(run.id), status=status, counts=run.counts)
    logs.metric("runs_finished", 1, job=run.job, status=status)
    for counted in ("sent", "refused", "uncertain", "failed"):
        if run.counts.get(counted):
            logs.metric("run_items", run.counts[counted], job=run.job, outcome=counted)
    return Ending(status, closed)
