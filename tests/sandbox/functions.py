"""Handlers for the tests of the local Lambda."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chalicelib.runner.triggers import trigger


def describe(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Says what an invocation sees."""
    return {
        "event": dict(event),
        "process": os.getpid(),
        "remaining_ms": context.get_remaining_time_in_millis(),
        "function_name": context.function_name,
        "request_id": context.aws_request_id,
        "environment": dict(os.environ),
    }


def fail(event: Mapping[str, Any], context: Any) -> None:
    raise RuntimeError("canary-in-an-exception")


def hang(event: Mapping[str, Any], context: Any) -> None:
    """Ignores what can be ignored, and goes on for ever."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(event["pid_file"]).write_text(str(os.getpid()))
    while True:
        time.sleep(60)


def die(event: Mapping[str, Any], context: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def note(event: Mapping[str, Any], context: Any) -> None:
    """Writes the event where the test looks for it."""
    path = Path(os.environ["NOTES"]) / str(event["id"])
    path.write_text(str(event))


def wake(event: Mapping[str, Any], context: Any) -> None:
    trigger().wake("note", "continuation", None)
