"""A history in the tables of a deployment, brought up to date as time goes by."""

from __future__ import annotations

from datetime import UTC, datetime, time

from tests import factories
from tests.domain.agenda.history import History, Row, Thing, User
from tests.harness import Deployment
from tests.jobs.test_overdue_and_reminders import KINDS

BUSINESS = "B1"


class World:
    """The history in the tables of a deployment that is as new."""

    def __init__(self, deployment: Deployment, history: History) -> None:
        self._deployment, self._history = deployment, history
        self._written: dict[tuple[str, str], Row | None] = {}
        self._seen = datetime.min.replace(tzinfo=UTC)
        deployment.open_business(BUSINESS, settings={"followups_enabled": False})
        deployment.go_live(BUSINESS, kinds=KINDS)
        for user in history.users.values():
            self._write_user(user)

    def _write_user(self, user: User) -> None:
        role = "owner" if user.id == "U1" else "member"
        preferences = {"business_id": BUSINESS, "user_id": user.id, "email": user.by_email}
        preferences |= {"digest": user.digest_at is not None, "appointment_offsets": user.offsets}
        preferences |= {"digest_at": user.digest_at or time(8)}
        with self._deployment.database.begin() as connection:
            factories.user(connection, user.id, BUSINESS, role=role, zone=user.zone)
            factories.row(connection, "user_preferences", preferences)

    def come_to(self, instant: datetime) -> None:
        """Brings clock and tables to `instant`, change by change."""
        self._deployment.database.set_clock(instant)
        for thing in self._history.things:
            key = (thing.relation, thing.id)
            for since, row in thing.states:
                if since > instant:
                    break
                if since > self._seen:
                    self._write(thing, row, self._written.get(key))
                    self._written[key] = row
        self._seen = instant

    def _write(self, thing: Thing, row: Row | None, before: Row | None) -> None:
        where = f"ponctuel.{thing.relation} WHERE business_id = :business AND id = :id"
        key = {"business": BUSINESS, "id": thing.id}
        if row is None:
            self._deployment.execute(f"DELETE FROM {where}", **key)
            return
        # The database counts an invoice's cycle.
        columns = {name: value for name, value in row.items() if name != "cycle"}
        if before is None:
            self._insert(thing, columns)
            return
        changed = {name: value for name, value in columns.items() if before.get(name) != value}
        if changed:
            sets = ", ".join(f"{name} = :{name}" for name in changed)
            relation, _, condition = where.partition(" WHERE ")
            self._deployment.execute(
                f"UPDATE {relation} SET {sets} WHERE {condition}", **changed, **key
            )

    def _insert(self, thing: Thing, columns: Row) -> None:
        if thing.relation == "invoices":
            self._deployment.invoice(thing.id, **columns)
            return
        with self._deployment.database.begin() as connection:
            row = {"business_id": BUSINESS, "id": thing.id, **columns}
            factories.row(connection, thing.relation, row)
