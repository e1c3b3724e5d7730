"""What providers tell us, in our own terms. Addresses, numbers and texts stay out of `repr`.

`event_key` is the same whenever the provider sends the same event again: keep the keys that were
handled, and a replay changes nothing. `at` is the provider's time (aware UTC), or the time at which
we received the event where the provider gives none, or an absurd one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

State = Literal["accepted", "sent", "delivered", "read", "failed"]


@dataclass(frozen=True)
class StatusEvent:
    """What became of a message of ours. `accepted` and `sent` prove that the provider has it.
    `reference` is our own (see `message_reference`) when the provider echoed it; `code` says why,
    as the provider does."""

    provider: str
    provider_id: str
    reference: str | None
    state: State
    code: str | None
    at: datetime
    event_key: str


@dataclass(frozen=True)
class InboundEvent:
    """Somebody wrote to us. `kind` is the provider's (`text`, `button`, `image`, `reaction`…).

    `from_` is an E.164 number, or a Meta business-scoped user id (`FR.1a2b…`) where the number is
    withheld; `user_id` is that id whenever it is known. `to` is the business's sender as its
    provider calls it: the number at Twilio, the phone number id at Meta; `service` is the group
    of senders that it belongs to, if any (Twilio's messaging service). `in_reply_to` is the
    provider's id of the message that was answered or reacted to. `provider_opt`: the provider
    itself took this as an opt-out or opt-in, and acts on it.
    """

    provider: str
    provider_id: str
    from_: str = field(repr=False)
    to: str
    kind: str
    text: str = field(repr=False)
    media_count: int
    at: datetime
    event_key: str
    in_reply_to: str | None = None
    user_id: str | None = field(default=None, repr=False)
    provider_opt: Literal["out", "in"] | None = None
    service: str | None = None


@dataclass(frozen=True)
class PreferenceEvent:
    """Somebody told the provider, not us, to stop (`wanted` false) or resume a category."""

    provider: str
    from_: str = field(repr=False)
    to: str
    category: str
    wanted: bool
    at: datetime
    event_key: str
    user_id: str | None = field(default=None, repr=False)


# Subtypes of a permanent bounce that say that the address itself takes no mail
# (docs.aws.amazon.com/ses, contents of event data: bounce types). The others are about one message,
# or about one sender (UnsubscribedRecipient).
_DEAD = frozenset({"General", "NoEmail", "Suppressed", "OnAccountSuppressionList"})


@dataclass(frozen=True)
class BounceEvent:
    """A mail came back from these recipients. `reason` is the provider's subtype. `business_id`:
    whose list a dead address goes on; everybody's where a provider vouches for it, by its
    signature."""

    provider: str
    provider_id: str
    reference: str | None
    permanent: bool
    reason: str
    recipients: tuple[str, ...] = field(repr=False)
    feedback_id: str
    at: datetime
    event_key: str
    business_id: str = "*"

    @property
    def dead_address(self) -> bool:
        """Whether nobody should write to these addresses any more: a *hard* bounce."""
        return self.permanent and self.reason in _DEAD


@dataclass(frozen=True)
class ComplaintEvent:
    """These recipients called our mail spam: it is an opt-out. `reason` is the feedback type."""

    provider: str
    provider_id: str
    reference: str | None
    reason: str
    recipients: tuple[str, ...] = field(repr=False)
    feedback_id: str
    at: datetime
    event_key: str


@dataclass(frozen=True)
class Notice:
    """Something else that the provider says about our account or a message: a template's review, a
    quality score, an opening. `name` is a code, for the log and the operations page. `tell`: what
    the operator has to hear of it, in the provider's own codes; None for what nobody has to hear.
    """

    provider: str
    name: str
    event_key: str
    tell: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Unreadable:
    """What was signed and could not be read. `sha256` is that of the whole body, which the caller
    keeps; `where` is the path inside it, empty for all of it; `reason` is a code."""

    provider: str
    sha256: str
    reason: str
    where: str = ""

    @property
    def event_key(self) -> str:
        return f"{self.provider}:unreadable:{self.sha256}:{self.where}"


Event = (
    StatusEvent
    | InboundEvent
    | PreferenceEvent
    | BounceEvent
    | ComplaintEvent
    | Notice
    | Unreadable
)
