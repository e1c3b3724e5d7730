"""What the SMTP sandbox does wrong, and when: rules set by a test or read from a control file."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

FaultKind = Literal[
    "drop_at_connect",  # closes instead of greeting
    "refuse_auth",  # 535
    "refuse_permanent",  # 550 to the recipient
    "refuse_temporary",  # 451 to the recipient
    "throttle",  # 421 to the recipient, and closes
    "drop_before_data",  # closes instead of asking for the content
    "drop_in_data",  # closes in the middle of the content: not accepted
    "too_large",  # 552 once the content has come
    "disk_full",  # 452 once the content has come
    "accept_then_silence",  # accepted and in the journal, but the answer never comes
    "accept_then_close",  # accepted and in the journal, closes instead of answering
    "slow",  # accepted and in the journal, answers after `seconds`
]


@dataclass(frozen=True)
class Fault:
    """One rule. It concerns the recipients whose address contains `recipient` (all when empty), and
    goes off `count` times (always when None), each time with the probability `rate`."""

    kind: FaultKind
    recipient: str = ""
    count: int | None = None
    rate: float = 1.0
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"unknown fault: {self.kind}")


@dataclass
class _Rule:
    fault: Fault
    left: int | None  # how often it may still go off, None for always


class FaultPlan:
    """The rules in force, in order: at each point of a session the first one that concerns that
    point and the recipient goes off. For several threads; the draws come from `seed`. Before the
    recipients are known, only rules without a recipient can go off.

    `control`, if it exists, is a JSON list of rules (the fields of `Fault`) that replaces the
    others whenever its text has changed.
    """

    def __init__(
        self, faults: Iterable[Fault] = (), *, seed: int = 0, control: Path | None = None
    ) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._control = control
        self._control_text = ""
        self._rules: list[_Rule] = []
        self.replace(faults)

    def replace(self, faults: Iterable[Fault]) -> None:
        with self._lock:
            self._rules = [_Rule(fault, fault.count) for fault in faults]

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._rules.append(_Rule(fault, fault.count))

    def reread(self) -> None:
        """Takes the control file's rules if they have changed; a half-written file is left for the
        next time."""
        if self._control is None:
            return
        try:
            text = self._control.read_text()
            if text == self._control_text:
                return
            faults = [Fault(**rule) for rule in json.loads(text)]
        except (OSError, ValueError, TypeError):
            return
        self._control_text = text
        self.replace(faults)

    def pick(self, kinds: Iterable[FaultKind], recipients: Iterable[str] = ("",)) -> Fault | None:
        """The fault that goes off now, its count used up by one; None to behave."""
        wanted, people = frozenset(kinds), [address.lower() for address in recipients]
        with self._lock:
            for rule in self._rules:
                fault = rule.fault
                concerned = any(fault.recipient.lower() in address for address in people)
                if fault.kind not in wanted or not concerned or rule.left == 0:
                    continue
                if fault.rate < 1 and self._random.random() >= fault.rate:
                    continue
                if rule.left is not None:
                    rule.left -= 1
                return fault
        return None
