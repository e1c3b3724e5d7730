"""Notifications whose cause is gone are resolved."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from chalicelib.domain.agenda.telling import notification_id
from chalicelib.domain.people import notifications
from chalicelib.runner.change import Tolerated
from chalicelib.runner.job import Batch, Outcome, Preview, Run

_IDS = "(SELECT item::bigint FROM batch)"
_SETTLE = f"UPDATE ponctuel.agenda_told SET resolved_at = ponctuel.clock() WHERE id IN {_IDS}"
_SETTLED = f"""(business_id, id) IN (
   SELECT d.business_id, {notification_id("d.kind", "d")}
     FROM ponctuel.agenda_told d WHERE d.id IN {_IDS})"""
_NOTIFICATIONS = notifications.resolving(_SETTLED, counted_as="resolved")


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
