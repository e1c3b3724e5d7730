"""What every trial takes and gives: the same for the quick tests and for `make prove`.

A trial does one thing to one job on a deployment that is as new, draws whatever is random from the
`random.Random` that it is given, and cleans up behind itself, the tables excepted. It raises
`AssertionError` when something other than the verdict is wrong.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from tests.harness import Deployment

# Concurrent calls to the mail server, unless a trial says otherwise.
CONCURRENCY = 2
INHERITED = (
    "DATABASE_URL",
    "MAIL_URL",
    "MAIL_FROM",
    "STORAGE_URL",
    "OPERATOR_EMAIL",
    "WAIT_SECONDS",
    "TEST_LOG",
    "WHATSAPP_URL",
    "PUBLIC_URL",
    "MAILBOX_KEYS",
    "INBOX_PRIVATE_HOSTS",
)


@dataclass(frozen=True)
class Finding:
    """What came of one trial. `wrong`: lost, duplicate, unexpected or false effects; `uncertain`
    messages, of which there may be `bound`; `done`: what was gone through to find out."""

    wrong: Counter[str]
    uncertain: int = 0
    bound: int = 0
    done: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, verdict: Counter[str], *, bound: int = 0, **done: int) -> Finding:
        """From a scenario's verdict; `bound`: the calls that were in flight."""
        wrong = Counter(verdict)
        uncertain = wrong.pop("uncertain", 0)
        return cls(+wrong, uncertain, bound, Counter(done))

    @property
    def passed(self) -> bool:
        return not self.wrong and self.uncertain <= self.bound


class Trial(Protocol):
    """`case` is one of the proof's cases (a point, a fault), empty where it has none."""

    def __call__(
        self, deployment: Deployment, job: str, case: str, draw: random.Random
    ) -> Finding: ...


def child_environment(**more: str) -> dict[str, str]:
    """The deployment's settings, for a process that is started now."""
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return environment | {"SENDING_CONCURRENCY": str(CONCURRENCY)} | more
