"""Processes that stop before each transaction and wait while their calls are on the way, so that a
test decides what happens in between. One of them runs at a time, in a thread of its own.

What a process runs is the real thing. It sees the database, the time and its provider through what
is here.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, Engine

from chalicelib.errors import DatabaseUnavailable
from chalicelib.outbox import lane
from chalicelib.outbox.senders import Flight, Senders
from chalicelib.outbox.settle import News
from chalicelib.outbox.submission import Submission

HANGS_S = 60
Trouble = Literal["", "refused", "answer_lost"]


class Killed(BaseException):
    """The process is no more: nothing that it was about to do is done."""


class SimulatedTime:
    """In place of the module `time`: hours pass when the test says so, and nobody sleeps."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.passed

    def sleep(self, _seconds: float) -> None:
        """Whoever waits stops at the transaction that follows."""


@dataclass
class Call:
    """A call to a provider. Nothing has happened to it while `news` is None."""

    submission: Submission
    latest: float
    make: Callable[[], News]
    news: News | None = None


class Process:
    """`at` is where it stands: before a `transaction`, waiting for some of its `calls` or for a
    `search`, or at its `end`; `error` is what it has raised there. `until`: when it is given up for
    dead (simulated, monotonic)."""

    def __init__(self, engine: Engine, work: Callable[[Process], object], *, until: float) -> None:
        self.until = until
        self.at = "start"
        self.calls: list[Call] = []
        self.awaited: list[Call] = []
        self.error: BaseException | None = None
        self.result: object = None
        self._engine = engine
        self._work = work
        self._killed = False
        self._trouble: Trouble = ""
        self._owed: dict[UUID, set[int]] = {}
        self._may_go = threading.Semaphore(0)
        self._stands = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether it can go on now."""
        waits = self.at == "calls" and any(call.news is None for call in self.awaited)
        return self.at != "end" and not waits

    @property
    def unmade(self) -> list[Call]:
        """The calls that are on their way."""
        return [call for call in self.calls if call.news is None]

    def go(self, trouble: Trouble = "") -> None:
        """On to where it stops next. `trouble`: the database cannot be reached, or what it has
        committed is not told to the process."""
        assert self.ready
        self._trouble = trouble
        # What a process owes is in its memory, and here they share one.
        lane.OWED.clear()
        lane.OWED.update(self._owed)
        self._may_go.release()
        assert self._stands.acquire(timeout=HANGS_S), f"a process hangs after {self.at}"
        self._owed = dict(lane.OWED)
        if self.at == "end":
            self._thread.join()

    def kill(self) -> list[Call]:
        """Ends it; returns the calls that may still arrive."""
        left, self.calls, self.awaited = self.unmade, [], []
        if self.at != "end":
            self._killed = True
            self.go()
        return left

    def reach(self, place: str) -> None:
        """Called by the process itself: it stands there until it may go on."""
        if self._killed:
            raise Killed
        self.at = place
        self._stands.release()
        self._may_go.acquire()
        if self._killed:
            raise Killed

    # What it takes for an engine.

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        self.reach("transaction")
        trouble, self._trouble = self._trouble, ""
        if trouble == "refused":
            raise DatabaseUnavailable("essai : base coupée")
        with self._engine.begin() as connection:
            yield connection
        if trouble == "answer_lost":
            raise DatabaseUnavailable("essai : réponse perdue")

    def dispose(self) -> None:
        """Its connection is everybody's."""

    def _run(self) -> None:
        self._may_go.acquire()
        _here.process = self
        try:
            if not self._killed:
                self.result = self._work(self)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error
        self.at = "end"
        self._stands.release()


_here = threading.local()


class SteppedSenders(Senders):
    """The channel's senders without threads: a call is made when the test says so."""

    def depart(self, ready: Sequence[Submission], latest: float) -> Flight:
        process: Process = _here.process
        calls = [Call(one, latest, partial(self._one, one, latest)) for one in ready]
        process.calls += calls
        return _SteppedFlight(ready, process, calls)


class _SteppedFlight(Flight):
    def __init__(
        self, submissions: Sequence[Submission], process: Process, calls: Sequence[Call]
    ) -> None:
        super().__init__(submissions, ())
        self._process = process
        self._made = calls

    def land(self) -> list[News]:
        if any(call.news is None for call in self._made):
            self._process.awaited = [*self._made]
            self._process.reach("calls")
        landed = set(map(id, self._made))
        self._process.calls = [call for call in self._process.calls if id(call) not in landed]
        answers = [call.news for call in self._made]
        return [news for news in answers if news is not None]


class ScriptedProvider:
    """Answers with what the test has put into `script`: a function of the letter."""

    def __init__(self, name: str, script: deque[Callable[[Any], Any]]) -> None:
        self.name = name
        self._script = script

    def send(self, letter: Any, /) -> Any:
        return self._script.popleft()(letter)

    def close(self) -> None:
        """There is nothing to end."""
