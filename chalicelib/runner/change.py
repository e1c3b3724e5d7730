"""The effects of a step that changes a domain relation by one plain statement."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from chalicelib.db.refusals import unless_refused
from chalicelib.runner.job import Batch, ItemError, Outcome, Preview, Run


@dataclass(frozen=True)
class Change:
    """`write` is a single-relation UPDATE, INSERT or DELETE that takes its rows from the CTE
    `batch`: the relation may be a view. A dry run lists the items."""

    write: str
    counted_as: str

    def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome:
        statement = text(f"WITH batch AS ({batch.cte}) {self.write}")
        changed = connection.execute(statement, batch.parameters).rowcount
        return Outcome({self.counted_as: max(changed, 0)})

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        rows = connection.execute(text(batch.cte), batch.parameters)
        return Preview(
            changes=[
                {"change": self.counted_as, "business_id": row[0], "subject": row[1]}
                for row in rows
            ]
        )


@dataclass(frozen=True)
class Tolerated:
    """`change`; where the relation cannot be written, as somebody's view may not be, one error of
    the step, and the rest of the run goes on. `why`: French."""

    change: Change
    why: str

    def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome:
        outcome = unless_refused(
            connection,
            lambda: self.change.apply(run, connection, batch),
            "change",
            run_id=str(run.id),
        )
        if outcome is not None:
            return outcome
        return Outcome({}, [ItemError("", self.change.counted_as, "not_writable", self.why)])

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        return self.change.preview(run, connection, batch)
