"""What the WhatsApp sandboxes do wrong, and when: rules of a test or of a control file."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

FaultKind = Literal[
    "cut_before",  # closes once it has the head of the request: not accepted
    "cut_in",  # closes in the middle of the content: not accepted
    "refuse",  # the provider's error `code`, with its usual HTTP status or `status`
    "throttle",  # 429 with Retry-After: `seconds`
    "server_error",  # `status` (500), not accepted
    "redirect",  # 302 to another host, not accepted
    "error_inside",  # 200 with the error `code` inside, not accepted
    "accept_then_server_error",  # accepted and in the journal, but answered with `status` (500)
    "accept_then_close",  # accepted, closes instead of answering
    "accept_then_cut",  # accepted, closes in the middle of the answer
    "accept_then_silence",  # accepted, never answers
    "accept_then_drip",  # accepted, one byte of the answer each `seconds`
    "accept_then_html",  # accepted, 200 with a page of HTML
    "accept_then_empty",  # accepted, 200 with nothing
    "slow",  # accepted, answers after `seconds`
]
BEFORE_THE_CONTENT: tuple[FaultKind, ...] = ("cut_before", "cut_in")
OF_A_MESSAGE: tuple[FaultKind, ...] = tuple(
    kind for kind in get_args(FaultKind) if kind not in BEFORE_THE_CONTENT
)


@dataclass(frozen=True)
class Fault:
    """One rule. It concerns the recipients whose address contains `recipient` (all when empty; the
    recipient is not known before the content), and goes off `count` times (always when None), each
    time with the probability `rate`."""

    kind: FaultKind
    recipient: str = ""
    count: int | None = None
    rate: float = 1.0
    seconds: float = 1.0
    code: int = 0
    status: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"unknown fault: {self.kind}")


@dataclass
class _Rule:
    fault: Fault
    left: int | None  # how often it may still go off, None for always


class FaultPlan:
    """The rules in force, in order: at each point of a call the first one that concerns that point
    and the recipient goes off. For several threads; the draws come from `seed`.

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

    def pick(self, kinds: Iterable[FaultKind], recipient: str = "") -> Fault | None:
        """The fault that goes off now, its count used up by one; None to behave."""
        wanted = frozenset(kinds)
        with self._lock:
            for rule in self._rules:
                fault = rule.fault
                if fault.kind not in wanted or fault.recipient not in recipient or rule.left == 0:
                    continue
                if fault.rate < 1 and self._random.random() >= fault.rate:
                    continue
                if rule.left is not None:
                    rule.left -= 1
                return fault
        return None
