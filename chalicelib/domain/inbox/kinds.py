"""The messages of the inbox."""

from __future__ import annotations

from chalicelib.domain.inbox.trouble import LATE_AFTER, MAILBOX_TROUBLE, still_in_trouble
from chalicelib.outbox.kinds import Kind, register

register(
    Kind(
        name=MAILBOX_TROUBLE,
        title="Boîte aux lettres en panne",
        template="mailbox_trouble",
        guard=still_in_trouble,
        late_after=LATE_AFTER,
        # To a colleague, about something of their own; and a rare one.
        capped=False,
    ),
)
