"""The messages to the operator of a deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from chalicelib.outbox.kinds import Claimed, Kind, Send, Verdict, register

RUN_ALERT = "operations.run_alert"
MESSAGES_ALERT = "operations.messages_alert"


def still_wanted(
    _connection: Connection, messages: Sequence[Claimed], _now: datetime
) -> Mapping[int, Verdict]:
    """An alert is always wanted."""
    return {
        message.id: Send(
            content=message.content,
            recipients=message.recipient or "",
            sender_name="Ponctuel",
        )
        for message in messages
    }


register(
    Kind(
        name=RUN_ALERT,
        title="Alerte à l'exploitant",
        template="operator_alert",
        guard=still_wanted,
        late_after=timedelta(days=2),
        operational=True,
    ),
    Kind(
        name=MESSAGES_ALERT,
        title="Messages à examiner",
        template="operator_messages",
        guard=still_wanted,
        late_after=timedelta(days=2),
        operational=True,
    ),
)
