"""The due items of a run: numbered once, when it begins, for all of its steps in one statement.

No step reads what another step of the same run wrote, so that all can be numbered together, and a
dry run shows what the real one does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from chalicelib.runner.job import Run, Step

# Businesses alternate within a step.
_ENTER = """
WITH due AS ({due}),
numbered AS (
  SELECT d.step, d.business_id, d.item,
         row_number() OVER (PARTITION BY d.step, d.business_id ORDER BY d.item) AS nth
    FROM due d
   WHERE NOT EXISTS (SELECT 1 FROM ponctuel.quarantine q
                      WHERE q.job = :job AND q.step = d.step AND q.business_id = d.business_id
                        AND q.item = d.item AND q.released_at IS NULL)
), inserted AS (
  INSERT INTO ponctuel.run_items (run_id, step, position, business_id, item)
  SELECT :run_id, step, row_number() OVER (PARTITION BY step ORDER BY nth, business_id),
         business_id, item
    FROM numbered
  RETURNING step
) SELECT step, count(*) FROM inserted GROUP BY step
"""
_OF_STEP = (
    "SELECT CAST(:{name} AS text) AS step, {name}.business_id, {name}.item FROM ({items}) {name}"
)

_SIZES = text("SELECT step, count(*) FROM ponctuel.run_items WHERE run_id = :run_id GROUP BY step")

_ITEM = text("""
SELECT business_id, item FROM ponctuel.run_items
 WHERE run_id = :run_id AND step = :step AND position = :position
""")

# The items of one batch, for a `Batch`.
BATCH_CTE = """SELECT business_id, item FROM ponctuel.run_items
 WHERE run_id = :run_id AND step = :step AND position > :after AND position <= :upto"""


@dataclass(frozen=True)
class Worklist:
    """The steps of a run that have items, in order, with the number of items of each; and the
    parameters of their SQL."""

    steps: Sequence[tuple[Step, int]]
    parameters: Mapping[str, Any]
    # The first batch's, where they were read when it was numbered.
    items: Sequence[tuple[str, str]] = ()

    def current(self, run: Run) -> tuple[Step, int] | None:
        """The step in which the run is, with its number of items; None when all is done."""
        return next(
            (
                (step, size)
                for step, size in self.steps
                if step.name == run.step and run.position < size
            ),
            None,
        )

    def settle(self, run: Run) -> None:
        """Moves the cursor of a run that has done a step on to the next one that has items."""
        names = [step.name for step, _ in self.steps]
        at = names.index(run.step) if run.step in names else -1
        if at >= 0 and run.position < self.steps[at][1]:
            return
        if at + 1 < len(names):
            run.step, run.position, run.batch_limit = names[at + 1], 0, None


def enter(
    connection: Connection, run: Run, steps: Sequence[Step], parameters: Mapping[str, Any]
) -> Worklist:
    """Numbers what is due, and puts the cursor of the run on the first item."""
    names = {f"step{n}": step.name for n, step in enumerate(steps)}
    due = "\nUNION ALL\n".join(
        _OF_STEP.format(name=name, items=step.items)
        for name, step in zip(names, steps, strict=True)
    )
    statement = text(_ENTER.replace("{due}", due))
    sizes = _sizes(connection.execute(statement, {**parameters, **names}))
    entered = _worklist(steps, sizes, parameters)
    run.step = steps[0].name
    entered.settle(run)
    return entered


def read(
    connection: Connection, run: Run, steps: Sequence[Step], parameters: Mapping[str, Any]
) -> Worklist:
    """The worklist of a run that has been entered before. A step that has gone from the code since
    then is passed over."""
    sizes = _sizes(connection.execute(_SIZES, {"run_id": run.id}))
    entered = _worklist(steps, sizes, parameters)
    entered.settle(run)
    return entered


def item_at(connection: Connection, run_id: UUID, step: str, position: int) -> tuple[str, str]:
    """(business_id, item) at a position, from 1."""
    where = {"run_id": run_id, "step": step, "position": position}
    row = connection.execute(_ITEM, where).one()
    return row[0], row[1]


def items_of(connection: Connection, parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(business_id, item) of one batch, in order."""
    statement = text(f"{BATCH_CTE} ORDER BY position")
    return [(row[0], row[1]) for row in connection.execute(statement, parameters)]


def _sizes(rows: Iterable[Any]) -> dict[str, int]:
    return {row[0]: row[1] for row in rows}


def _worklist(
    steps: Sequence[Step], sizes: Mapping[str, int], parameters: Mapping[str, Any]
) -> Worklist:
    found = [(step, sizes[step.name]) for step in steps if sizes.get(step.name)]
    return Worklist(found, parameters)
