"""From a message's state and a provider's event to its new state, in whatever order events come.

Events are ranked, and a message never goes down: so the outcome is that of the highest event, and
neither order nor repetition changes it. Per channel:

    WhatsApp  accepted, sent < failed < delivered < read
    e-mail    sent < bounced for now < delivered < bounced for good

WhatsApp: what was delivered cannot fail any more, and a failure that comes first was about another
attempt or device. E-mail: a mail server may accept a message and return it later, so that a
permanent bounce overrules a delivery; a transient one may be an absence notice, that is, the answer
to a message that did arrive (docs.aws.amazon.com/ses, bounce types).
"""

from __future__ import annotations

from chalicelib.webhooks.events import StatusEvent
from chalicelib.webhooks.ses import BOUNCED_FOR_GOOD

# The message has not left, as far as we know; any event proves that it has.
NOT_KNOWN_TO_HAVE_LEFT = frozenset(
    {"planned", "held", "claimed", "submitting", "uncertain", "refused", "cancelled", "expired"}
)
_RANKS = {"accepted": 1, "sent": 1, "failed": 2, "delivered": 3, "read": 4}
_FOR_GOOD = 5


def moved(state: str, event: StatusEvent, *, code: str | None = None) -> str | None:
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
