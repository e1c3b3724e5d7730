"""From a message's state and a provider's event to its new state, in whatever order events come.

Events are ranked, and a message never goes down: so the outcome is that of the highest event, and
neither order nor repetition changes it. Per channel:

    WhatsApp  accepted, sent < failed < delivered < read
    e-mail    sent < bounced for now < delivered < bounced for good

WhatsApp: what was delivered cannot fail any more, and a failure that comes first was about another
attempt or device. E-mail: a mail server may accept a message and return it later, so that a
permanent bounce overrules a delivery; a transient one may be an absence notice, that is, the answer
to a message that did arrive (docs.aws.amazon.com/ses, bounce types).

A message whose answer was lost may have been taken twice: then it has several *copies*, each with
a provider's id of its own. Among them the most fortunate one counts, failed < on its way <
delivered < read, because what the person has is what the message came to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from chalicelib.webhooks.ses import BOUNCED_FOR_GOOD

# The message has not left, as far as we know; any event proves that it has.
NOT_KNOWN_TO_HAVE_LEFT = frozenset(
    {"planned", "held", "claimed", "submitting", "uncertain", "refused", "cancelled", "expired"}
)
_RANKS = {"accepted": 1, "sent": 1, "failed": 2, "delivered": 3, "read": 4}
_FOR_GOOD = 5
_FORTUNES = {"failed": 1, "accepted": 2, "delivered": 3, "read": 4}


class Told(Protocol):
    """What one event says of one copy: `StatusEvent` has it."""

    @property
    def state(self) -> str: ...
    @property
    def code(self) -> str | None: ...


@dataclass(frozen=True)
class Known:
    """The same, of an event that came before. `provider_id` says of which copy."""

    provider_id: str
    state: str
    code: str | None


@dataclass(frozen=True)
class Standing:
    """Where a message stands: its state, why it failed, and the copy that this is about (None: not
    known yet)."""

    state: str
    code: str | None
    provider_id: str | None


def settled(now: Standing, before: Iterable[Known], event: Known) -> Standing | None:
    """Where `event` brings the message; None when it says nothing new of its copy. `before` are the
    earlier events, of all copies. The order in which a set of events comes changes nothing."""
    if now.state not in NOT_KNOWN_TO_HAVE_LEFT | _FORTUNES.keys():
        return None
    copies: dict[str, Standing] = {}
    if now.provider_id is not None and now.state not in NOT_KNOWN_TO_HAVE_LEFT:
        copies[now.provider_id] = now
    for told in before:
        copies[told.provider_id] = _after(copies, now, told) or copies[told.provider_id]
    news = _after(copies, now, event)
    if news is None:
        return None
    copies[event.provider_id] = news
    # Of two equally fortunate copies the message keeps its own.
    return max(
        copies.values(),
        key=lambda copy: (_FORTUNES.get(copy.state, 0), copy.provider_id == now.provider_id),
    )


def _after(copies: dict[str, Standing], now: Standing, told: Known) -> Standing | None:
    """Where a copy stands after what was told of it; None: where it stood."""
    if told.provider_id not in copies:
        # No copy was named yet: what is known of the message is known of this one.
        state = now.state if now.provider_id is None else "submitting"
        copies[told.provider_id] = Standing(state, now.code, told.provider_id)
    copy = copies[told.provider_id]
    state_after = moved(copy.state, told, code=copy.code)
    if state_after is None:
        return None
    return Standing(state_after, told.code if state_after == "failed" else None, told.provider_id)


def moved(state: str, event: Told, *, code: str | None = None) -> str | None:
    """The state that `event` brings a message to, or None when it stays as it is.

    `state` and `code` are `messages.state` and `messages.error_code` now; a caller that writes the
    new state writes `event.code` with it, else a later call cannot tell the bounces apart. An event
    is proof that the provider took the message: it moves one that is *uncertain*, still being
    submitted, or planned again after an answer that was lost. `event` has to be about the attempt
    at hand: compare its `provider_id` with the message's, where that is known. A state that this
    code does not know stays.
    """
    if state in NOT_KNOWN_TO_HAVE_LEFT:
        now = 0
    elif state in _RANKS:
        now = _rank(state, code)
    else:
        return None
    if _rank(event.state, event.code) <= now:
        return None
    return "accepted" if event.state == "sent" else event.state


def _rank(state: str, code: str | None) -> int:
    return _FOR_GOOD if state == "failed" and code == BOUNCED_FOR_GOOD else _RANKS[state]
