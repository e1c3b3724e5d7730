"""Notifications whose cause is gone are resolved; and a change of a relation that may not be ours
to write, which must not keep the rest of a run from being done."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from chalicelib import logs
from chalicelib.db.sqlstate import database_error
from chalicelib.domain.agenda.telling import notification_id
from chalicelib.runner.change import Change
from chalicelib.runner.job import Batch, ItemError, Outcome, Preview, Run

_IDS = "(SELECT item::bigint FROM batch)"
_SETTLE = f"UPDATE ponctuel.agenda_told SET resolved_at = ponctuel.clock() WHERE id IN {_IDS}"
_RESOLVE = f"""
UPDATE ponctuel.notifications SET resolved_at = ponctuel.clock()
 WHERE resolved_at IS NULL AND (business_id, id) IN (
   SELECT d.business_id, {notification_id("d.kind", "d")}
     FROM ponctuel.agenda_told d WHERE d.id IN {_IDS})
"""


@dataclass(frozen=True)
class Tolerated:
    """`change`, or an error of the step where the relation cannot be written. `why`: French."""

    change: Change
    why: str

    def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome:
        try:
            with connection.begin_nested():
                return self.change.apply(run, connection, batch)
        except DBAPIError as error:
            if database_error(error) is not None:
                raise
            logs.warning("change_not_written", run_id=str(run.id), error=error)
            return Outcome({}, [ItemError("", self.change.counted_as, "not_writable", self.why)])

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        return self.change.preview(run, connection, batch)


@dataclass(frozen=True)
class Resolve:
    """The effect of the step that resolves what `queries.SETTLED` yields."""

    notifications: Tolerated = Tolerated(
        Change(write=_RESOLVE, counted_as="resolved"),
        "Les notifications réglées n'ont pas pu être marquées : vérifiez les droits sur "
        "ponctuel.notifications avec `./ponctuel check`.",
    )

    def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome:
        outcome = self.notifications.apply(run, connection, batch)
        connection.execute(text(f"WITH batch AS ({batch.cte}) {_SETTLE}"), batch.parameters)
        return outcome

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        return self.notifications.preview(run, connection, batch)
