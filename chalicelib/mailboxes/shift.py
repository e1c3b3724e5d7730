"""Many mailboxes side by side: so many threads, so many of them at one host, and the rest in turn.

Each thread has one mailbox at a time and reads it until there is no more, or until its turn is
over: then it waits behind the others. Mailboxes over which processes have died come last, one at a
time, with nobody beside them.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from chalicelib import logs
from chalicelib.errors import (
    DatabaseUnavailable,
    LeaseLost,
)
from chalicelib.mailboxes import lease
from chalicelib.mailboxes.attempt import Ended, attempt, condemned, host_down
from chalicelib.mailboxes.crew import GROUP, Crew
from chalicelib.mailboxes.lease import Candidate, Held
from chalicelib.mailboxes.report import Outcome, Recorded, Report
from chalicelib.mailboxes.turn import Tools
from chalicelib.providers.imap.port import MailSession
from chalicelib.runner.deadline import Deadline

# After that many failures of a host's connections in a row nobody else is sent there in this run.
HOST_FAILURES = 2
# A turn that has less time than that left is not begun.
LEAST_S = 5.0

# What could not be given back because the database was away: this process's next run does it, or a
# few outages would look like as many deaths.
OWED: list[Held] = []

# Logs in to a mailbox, whose row in `mailboxes` it is given; everything ends after so many seconds.
# Raises `ImapError`.
OpenSession = Callable[[Mapping[str, Any], float], MailSession]
# Writes how mailboxes' turns ended, in the caller's transaction.
Ending = Callable[[Connection, Sequence[Outcome]], Recorded]


class Shift:
    """One run's work on these mailboxes."""

    def __init__(
        self,
        tools: Tools,
        deadline: Deadline,
        open_session: OpenSession,
        record: Ending,
        crew: Crew,
    ) -> None:
        self._tools = tools
        self._deadline = deadline
        self._open_session = open_session
        self._record = record
        self._crew = crew
        self._report = Report()
        # All of these are touched with `_turn` only.
        self._turn = threading.Condition()
        self._queue: deque[Candidate] = deque()
        self._ready: list[Held] = []
        self._ended: list[tuple[Held, Outcome]] = []
        self._busy: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._error: BaseException | None = None
        self._dead_at: datetime | None = None
        # What is taken and not given back yet.
        self._taken: dict[int, Held] = {}

    def run(self, mailbox_ids: Sequence[int]) -> Report:
        with self._tools.desk.transaction() as connection:
            if OWED:
                lease.give_back(connection, OWED)
            candidates, clock = lease.survey(connection, mailbox_ids)
            self._dead_at = clock and clock + self._lifetime()
            self._queue.extend(one for one in candidates if not one.suspect)
            first = [] if self._deadline.near(LEAST_S) else self._group()
            held = self._taken_by(connection, first)
        OWED.clear()
        self._add(first, held)
        found = {one.id for one in candidates}
        self._report.elsewhere += [one for one in mailbox_ids if one not in found]
        for one in candidates:
            if one.condemned:
                self._report.failed.append(condemned(one))
        self._side_by_side()
        for one in candidates:
            if one.suspect and not one.condemned:
                self._queue.append(one)
                self._side_by_side()
        if self._error is not None:
            self._clear_away()
            raise self._error
        return self._report

    def _lifetime(self) -> timedelta:
        return timedelta(seconds=max(0.0, self._deadline.remaining())) + lease.GRACE

    def _clear_away(self) -> None:
        """This process lives on: nobody has died of what it had."""
        left = list(self._taken.values())
        try:
            with self._tools.desk.transaction() as connection:
                lease.give_back(connection, left)
        except (DatabaseUnavailable, DBAPIError) as error:
            OWED.extend(left)
            logs.warning("mailboxes_not_given_back", error=error)

    def _side_by_side(self) -> None:
        if self._error is not None or not (self._queue or self._ready):
            return
        count = min(self._crew.overall, len(self._queue) + len(self._ready))
        threads = [
            threading.Thread(target=copy_context().run, args=(self._work,), name=f"inbox-{n}")
            for n in range(count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with self._turn:
            self._report.unreached += [one.id for one in self._ready]
            self._report.unreached += [one.id for one in self._queue]
            self._queue.clear()
            self._give_back(self._ready)
            self._ready.clear()

    def _work(self) -> None:
        try:
            while (held := self._next()) is not None:
                try:
                    ended = self._one(held)
                except LeaseLost as error:
                    logs.warning("mailbox_lost", mailbox_id=held.id, error=error)
                    self._lost(held)
                else:
                    self._end(held, ended)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            with self._turn:
                self._error = self._error or error
                self._turn.notify_all()

    def _next(self) -> Held | None:
        with self._turn:
            while self._error is None and not self._deadline.near(LEAST_S):
                self._skip_those_of_dead_hosts()
                for held in self._ready:
                    if self._room(held.row["host"]):
                        self._ready.remove(held)
                        self._busy[held.row["host"]] += 1
                        return held
                group = self._group()
                if group:
                    self._take(group)
                elif self._busy.total():
                    if not self._turn.wait(timeout=1.0):
                        self._give_back([])  # somebody takes long: what has ended is written
                elif not self._ready:
                    break
            return None

    def _room(self, host: str) -> bool:
        return self._busy[host] < self._crew.at(host)

    def _group(self) -> list[Candidate]:
        promised = Counter(held.row["host"] for held in self._ready)
        return self._crew.group(self._queue, self._busy + promised)

    def _take(self, group: list[Candidate]) -> None:
        with self._tools.desk.transaction() as connection:
            self._close_ended(connection)
            held = self._taken_by(connection, group)
        self._forget()
        self._add(group, held)
        self._turn.notify_all()

    def _taken_by(self, connection: Connection, group: Sequence[Candidate]) -> list[Held]:
        if not group:
            return []
        ids = [one.id for one in group]
        return lease.take(connection, ids, self._lifetime(), self._dead_at)

    def _add(self, group: Sequence[Candidate], held: Sequence[Held]) -> None:
        """Of the group, those that are held are ready."""
        for one in group:
            self._queue.remove(one)
        taken = {one.id for one in held}
        self._taken.update((one.id, one) for one in held)
        self._report.elsewhere += [one.id for one in group if one.id not in taken]
        order = {one.id: place for place, one in enumerate(group)}
        self._ready += sorted(held, key=lambda one: order[one.id])

    def _skip_those_of_dead_hosts(self) -> None:
        dead = {host for host, count in self._failures.items() if count >= HOST_FAILURES}
        if not dead:
            return
        for one in [one for one in self._queue if one.host in dead]:
            self._queue.remove(one)
            self._report.failed.append(host_down(one.business_id, one.id))
        skipped = [one for one in self._ready if one.row["host"] in dead]
        for held in skipped:
            self._ready.remove(held)
            self._report.failed.append(host_down(held.business_id, held.id))
        self._give_back(skipped)

    def _one(self, held: Held) -> Ended:
        seconds = max(self._deadline.remaining() - self._deadline.reserve, 1.0)
        end = time.monotonic() + self._tools.limits.mailbox_seconds

        def over() -> bool:
            return (
                time.monotonic() >= end or self._deadline.near(LEAST_S) or self._error is not None
            )

        return attempt(self._tools, held, lambda: self._open_session(held.row, seconds), over)

    def _end(self, held: Held, ended: Ended) -> None:
        trouble, more = ended.trouble, not ended.done
        host = held.row["host"]
        with self._turn:
            self._busy[host] -= 1
            self._report.counts.update(ended.counts)
            self._report.troubles += ended.troubles
            if trouble is None:
                self._failures[host] = 0
            elif trouble.code == "connection":
                self._failures[host] += 1
            outcome = Outcome(
                held.id,
                held.fence,
                code=trouble.code if trouble else None,
                error=trouble.message if trouble else "",
                complete=not more,
            )
            if trouble is not None:
                self._report.failed.append(trouble)
            elif not more:
                self._report.synced.append(held.id)
            elif self._deadline.near(LEAST_S):
                self._report.unfinished.append(held.id)
            self._ended.append((held, outcome))
            again = trouble is None and more and not self._deadline.near(LEAST_S)
            last = not (self._queue or self._ready or self._busy.total())
            if again or last or len(self._ended) >= GROUP:
                self._give_back([])
            if again:
                self._queue.append(Candidate(held.id, held.business_id, host, False, False))
            self._turn.notify_all()

    def _lost(self, held: Held) -> None:
        with self._turn:
            self._busy[held.row["host"]] -= 1
            self._taken.pop(held.id, None)
            self._report.elsewhere.append(held.id)
            self._turn.notify_all()

    def _give_back(self, unread: Sequence[Held]) -> None:
        if not self._ended and not unread:
            return
        with self._tools.desk.transaction() as connection:
            self._close_ended(connection, unread)
        self._forget(unread)

    def _close_ended(self, connection: Connection, unread: Sequence[Held] = ()) -> None:
        if self._ended:
            recorded = self._record(connection, [end for _held, end in self._ended])
            self._report.counts["notices"] += recorded.told
        if unread:
            lease.give_back(connection, unread)

    def _forget(self, unread: Sequence[Held] = ()) -> None:
        """They are given back."""
        for held in (*(one for one, _end in self._ended), *unread):
            self._taken.pop(held.id, None)
        self._ended.clear()
