"""Notifications whose cause is gone are resolved."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from chalicelib.domain.agenda.telling import notification_id
from chalicelib.runner.change import Change, Tolerated
from chalicelib.runner.job import Batch, Outcome, Preview, Run

_IDS = "(SELECT item::bigint FROM batch)"
_SETTLE = f"UPDATE ponctuel.agenda_told SET resolved_at = ponctuel.clock() WHERE id IN {_IDS}"
_RESOLVE = f"""
UPDATE ponctuel.notifications SET resolved_at = ponctuel.clock()
 WHERE resolved_at IS NULL AND (business_id, id) IN (
   SELECT d.business_id, {notification_id("d.kind", "d")}
     FROM ponctuel.agenda_told d WHERE d.id IN {_IDS})
"""


_NOTIFICATIONS = Tolerated(
    Change(write=_RESOLVE, counted_as="resolved"),
    "Les notifications réglées n'ont pas pu être marquées : vérifiez les droits sur "
    "ponctuel.notifications avec `./ponctuel check`.",
)


@dataclass(frozen=True)
class Resolve:
    """The effect of the step that resolves what `queries.SETTLED` yields."""

    notifications: Tolerated = _NOTIFICATIONS

    def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome:
        outcome = self.notifications.apply(run, connection, batch)
        connection.execute(text(f"WITH batch AS ({batch.cte}) {_SETTLE}"), batch.parameters)
        return outcome

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        return self.notifications.preview(run, connection, batch)
