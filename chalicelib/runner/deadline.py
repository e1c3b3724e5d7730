"""How long this invocation may still work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# A batch that is begun may take one statement's time-out (30 s); closing needs the rest.
RESERVE_S = 35.0


@dataclass(frozen=True)
class Deadline:
    """`remaining` gives the seconds until the process is killed; it may be zero or negative."""

    remaining: Callable[[], float]
    reserve: float = RESERVE_S

    def near(self, needed: float = 0.0) -> bool:
        """Whether less than the reserve, plus `needed` seconds, is left."""
        return self.remaining() < self.reserve + needed

    @classmethod
    def of_lambda(cls, context: Any) -> Deadline:
        """From a Lambda context: `get_remaining_time_in_millis()`."""
        return cls(lambda: context.get_remaining_time_in_millis() / 1000)

    @classmethod
    def after(cls, seconds: float, *, reserve: float = RESERVE_S) -> Deadline:
        """That many seconds from now, on the monotonic clock."""
        end = time.monotonic() + seconds
        return cls(lambda: end - time.monotonic(), reserve=reserve)
