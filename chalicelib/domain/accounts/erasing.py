"""Accounts that are locked are erased, a hundred at a time.

docs/erasing.md tells operators what goes and what stays; `retention` says it to the machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, text

from chalicelib.domain.accounts import erasure_groups, erasure_lease, erasure_steps, retention
from chalicelib.domain.accounts.erasure_lease import Taken
from chalicelib.domain.accounts.letters import last_letter
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.job import Batch, ItemError, Outcome, Preview, Run

LOCKED: Final = erasure_lease.WAITING

# One transaction for the step of so many accounts: enough for what each statement costs to be
# shared by many, few enough for a step to end in seconds.
TOGETHER: Final = 100

_PREVIEWED: Final = 20
_SUBJECTS = text("""
SELECT d.id, d.lease, d.business_id, d.user_id, d.scope FROM ponctuel.account_deletions d
 WHERE d.id = ANY(CAST(:ids AS bigint[])) ORDER BY d.id
""")


@dataclass(frozen=True)
class Erase:
    """Items are numbers of deletions."""

    def run_errand(
        self, run: Run, engine: Engine, deadline: Deadline, items: Sequence[tuple[str, str]]
    ) -> Outcome:
        from chalicelib.runner.invocation import open_store
        from chalicelib.settings import settings

        current = settings()
        tools = erasure_groups.Tools(
            open_store(current), current.stripe_api_key, current.link_secret, current
        )
        with engine.connect() as connection:
            ready = last_letter(connection, [int(item) for _business, item in items])
        counts: Counter[str] = Counter()
        errors: list[ItemError] = []
        wanted = [int(item) for _business, item in items if ready.get(int(item), False)]
        counts["erasures_waiting"] += len(items) - len(wanted)
        for first in range(0, len(wanted), TOGETHER):
            if deadline.near():
                break
            taken = erasure_lease.take_all(engine, wanted[first : first + TOGETHER])
            for group in erasure_groups.groups(taken):
                for ended in erasure_groups.erased(engine, group, tools, deadline):
                    counts[ended.counted] += 1
                    if ended.error is not None:
                        one, error = ended.taken, ended.error
                        errors.append(
                            ItemError(one.business_id, str(one.id), error.code, str(error))
                        )
        return Outcome(+counts, errors)

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        """How many rows of each table, of the first accounts."""
        ids = [int(row[1]) for row in connection.execute(text(batch.cte), batch.parameters)]
        rows = [Taken(*row) for row in connection.execute(_SUBJECTS, {"ids": ids})]
        counted: dict[int, dict[str, int]] = {}
        for group in erasure_groups.groups(rows[:_PREVIEWED]):
            counted |= _counted(connection, group)
        return Preview([_as_change(row, counted.get(row.id)) for row in rows])


def _counted(connection: Connection, group: Sequence[Taken]) -> dict[int, dict[str, int]]:
    """Of each, how many rows of which table go, or are changed."""
    tables, selects = zip(*retention.remains(group[0].scope), strict=True)
    values = erasure_steps.parameters(connection, group)
    found: dict[int, dict[str, int]] = {one.id: {} for one in group}
    for nth, number, rows in connection.execute(text(retention.at_once(selects)), values):
        found[number][tables[nth]] = rows
    return found


def _as_change(taken: Taken, rows: Mapping[str, int] | None) -> Mapping[str, Any]:
    change = {
        "change": "deletions_erased",
        "business_id": taken.business_id,
        "subject": taken.user_id,
        "scope": taken.scope,
    }
    return change if rows is None else change | {"rows": rows}
