"""The events that reach a job's Lambda: EventBridge's ticks, and our own calls in the same shape.

Chalice builds a `CloudWatchEvent` from the full envelope and fails on anything less, so a call by
hand sends the full envelope too, with what it asks for in `detail`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

SOURCE = "ponctuel"
WAKE = "Ponctuel Wake"
TICK = "Scheduled Event"
DOORS = ("http", "orchestrator", "continuation", "watchdog")


@dataclass(frozen=True)
class Call:
    """A valid event. `run_id`: the run it is about, if any; a tick has none."""

    door: str
    run_id: UUID | None = None


def envelope(
    job: str, *, door: str = "schedule", run_id: UUID | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """A full event: EventBridge's own tick when `door` is `schedule`, else a call of ours."""
    instant = (now or datetime.now(UTC)).astimezone(UTC)
    tick = door == "schedule"
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": TICK if tick else WAKE,
        "source": "aws.events" if tick else SOURCE,
        "account": "000000000000",
        "time": instant.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "eu-west-3",
        "resources": [f"arn:aws:events:eu-west-3:000000000000:rule/{job}"],
        "detail": {} if tick else {"door": door, "run_id": str(run_id) if run_id else None},
    }


def parse(event: Mapping[str, Any]) -> Call | None:
    """The call in an event, or None when it is not one of ours: foreign source, unknown shape."""
    source, kind, detail = event.get("source"), event.get("detail-type"), event.get("detail")
    if source == "aws.events" and kind == TICK:
        return Call("schedule")
    if source != SOURCE or kind != WAKE or not isinstance(detail, Mapping):
        return None
    door, run_id = detail.get("door"), detail.get("run_id")
    if door not in DOORS:
        return None
    if run_id is None:
        return Call(str(door))
    try:
        return Call(str(door), UUID(str(run_id)))
    except ValueError:
        return None
