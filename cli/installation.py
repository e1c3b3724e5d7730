"""What commands ask of the database and of a deployed stage alike.

Instants are aware, days are dates, amounts Decimals. Each method raises `PonctuelError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from chalicelib.outbox.contacts import Channel

Row = dict[str, Any]


class Installation(Protocol):
    """Either of them."""

    def jobs(self) -> list[Row]:
        """As `runner.overview` has them."""
        ...

    def runs(self, job: str | None, limit: int) -> list[Row]: ...

    def run(self, wanted: str) -> Row:
        """As `runner.run_detail` has it, by its number or id."""
        ...

    def messages(self, where: Mapping[str, object], limit: int) -> Row:
        """As `outbox.reading` has them."""
        ...

    def message(self, number: int) -> Row:
        """As `outbox.letter` has it."""
        ...

    def explain(
        self, document: str, number: str, business_id: str | None, *, force: bool
    ) -> list[Row]:
        """As `domain.billing.explain` has it."""
        ...

    def explain_lead(self, id: str, business_id: str | None, *, force: bool) -> list[Row]:
        """As `domain.leads.explain` has it."""
        ...

    def leads(
        self, where: Mapping[str, str | None], *, due: bool, paused: bool, limit: int
    ) -> list[Row]:
        """As `domain.leads.listing` has them."""
        ...

    def pause_lead(self, id: str, business_id: str | None, until: date | None, reason: str) -> Row:
        """As `domain.leads.pauses.Paused`."""
        ...

    def resume_lead(self, id: str, business_id: str | None, reason: str) -> Row: ...

    def closer_link(self, closer: str, business_id: str | None) -> Row:
        """As `domain.leads.closer_links` gives it."""
        ...

    def revoke_closer_links(self, closer: str, business_id: str | None) -> Row: ...

    def pending(self, business_id: str | None, limit: int) -> Row:
        """As `domain.billing.decisions` has it."""
        ...

    def quarantine(self, limit: int) -> list[Row]: ...

    def pause(self, job: str, reason: str) -> list[str]:
        """The zones that are paused now."""
        ...

    def resume(self, job: str) -> list[str]:
        """The zones that are not, any more."""
        ...

    def act(self, verb: str, ids: Sequence[int], reason: str) -> Row:
        """`release`, `cancel`, `resend`, `arrived`: as `outbox.operator.Acted`."""
        ...

    def release_kind(self, business_id: str, kind: str, reason: str) -> Row: ...

    def go_live(
        self, business_id: str | None, kind: str | None, reason: str, *, discard: bool
    ) -> Row:
        """As `outbox.go_live.WentLive`."""
        ...

    def decide(
        self, decision: str, document: str, number: str, business_id: str | None, reason: str
    ) -> Row:
        """As `domain.billing.decisions.Decided`."""
        ...

    def deletions(self, where: Mapping[str, object], limit: int) -> list[Row]:
        """As `domain.accounts.reading` has them."""
        ...

    def deletion(self, user_id: str, business_id: str | None) -> Row: ...

    def request_deletion(self, user_id: str, business_id: str | None) -> Row: ...

    def cancel_deletion(self, user_id: str, business_id: str | None) -> Row: ...

    def approve_deletions(self, ids: Sequence[int]) -> Row:
        """`approved` and `left`, ids."""
        ...

    def holds(self, where: Mapping[str, object], limit: int) -> list[Row]:
        """As `domain.accounts.holds` has them."""
        ...

    def place_hold(self, business_id: str, user_id: str | None, reason: str) -> Row: ...

    def lift_hold(self, number: int, reason: str) -> Row: ...

    def suppressions(
        self, where: Mapping[str, str | None], *, lifted: bool, limit: int
    ) -> list[Row]:
        """As `outbox.suppressions` has them."""
        ...

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
        """This and what follows, as `outbox.contact_lists` has them."""
        ...

    def lift_suppressions(self, ids: Sequence[int], reason: str) -> Row: ...

    def consents(self, where: Mapping[str, str | None], limit: int) -> list[Row]: ...

    def grant_consent(
        self, business_id: str, channel: Channel, contact: str, *, source: str, person: str
    ) -> Row: ...

    def withdraw_consent(self, business_id: str, channel: Channel, contact: str) -> Row: ...

    def inbound(self, where: Mapping[str, object], limit: int) -> list[Row]:
        """As `outbox.inbound_reading` has them."""
        ...

    def channels(self) -> list[Row]:
        """As `outbox.channel_reading` has them."""
        ...

    def limits(self, business_id: str | None) -> list[Row]:
        """As `outbox.sending_limits` has them."""
        ...

    def set_limits(
        self, business_id: str, channel: str, changed: Mapping[str, int | None]
    ) -> list[Row]: ...
