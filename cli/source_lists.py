"""The database's lists of who may be written to, as a part of `Source`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection

from chalicelib.domain import businesses
from chalicelib.outbox import consents, contact_lists, suppressions
from chalicelib.outbox.contacts import Channel
from chalicelib.outbox.suppressions import EVERYBODY
from cli.caller import user
from cli.installation import Row


class ContactLists(ABC):
    """As `Installation` has them."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Connection]: ...

    def suppressions(
        self, where: Mapping[str, str | None], *, lifted: bool, limit: int
    ) -> list[Row]:
        with self.transaction() as connection:
            return suppressions.listed(connection, where, lifted=lifted, limit=limit)

    def suppress(
        self,
        business_id: str,
        channel: Channel,
        contacts: Sequence[str],
        *,
        category: str,
        person: str,
        reason: str,
    ) -> Row:
        with self.transaction() as connection:
            if business_id != EVERYBODY:
                businesses.require(connection, business_id)
            return contact_lists.suppress(
                connection,
                business_id,
                channel,
                contacts,
                category=category,
                person=person,
                by=user(),
                reason=reason,
            )

    def lift_suppressions(self, ids: Sequence[int], reason: str) -> Row:
        with self.transaction() as connection:
            return contact_lists.lift(connection, ids, by=user(), reason=reason)

    def consents(self, where: Mapping[str, str | None], limit: int) -> list[Row]:
        with self.transaction() as connection:
            return consents.listed(connection, where, limit=limit)

    def grant_consent(
        self, business_id: str, channel: Channel, contact: str, *, source: str, person: str
    ) -> Row:
        with self.transaction() as connection:
            businesses.require(connection, business_id)
            return contact_lists.grant(
                connection, business_id, channel, contact, source=source, person=person, by=user()
            )

    def withdraw_consent(self, business_id: str, channel: Channel, contact: str) -> Row:
        with self.transaction() as connection:
            return contact_lists.withdraw(connection, business_id, channel, contact, by=user())
