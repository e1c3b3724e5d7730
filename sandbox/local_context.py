"""A Lambda context for this machine."""

from __future__ import annotations

import time
from uuid import uuid4


class LocalContext:
    """What a handler reads of Lambda's context; the time runs from now."""

    def __init__(self, function: str, timeout_s: float) -> None:
        self.function_name = f"ponctuel-local-{function}"
        self.aws_request_id = str(uuid4())
        self._end = time.monotonic() + timeout_s

    def get_remaining_time_in_millis(self) -> int:
        return int((self._end - time.monotonic()) * 1000)
