"""What became of one event."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """`outcome` is a value of `webhook_events.outcome`; `message_id` the message it is about."""

    event_key: str
    outcome: str
    message_id: int | None = None
