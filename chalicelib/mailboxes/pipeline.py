"""Batches of one folder on their way, each at another stage: read from the line by the caller, put
into the store, committed, parsed (and attachments stored), saved and settled.

Whatever fails, no later batch is committed, for its cursor would pass over messages that are not
kept; what is committed is parsed, or a try of it would be lost.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from types import TracebackType
from typing import Any, Self

from chalicelib.mailboxes.fetching import Batch, commit, store
from chalicelib.mailboxes.folders import KnownFolder
from chalicelib.mailboxes.parsed_rows import Raw, Read
from chalicelib.mailboxes.settling import settle_meanwhile
from chalicelib.mailboxes.turn import Turn

# Batches between the line and the end: with the one on the line, what is fetched again after a
# death. Their bytes are bounded by `Memory` besides.
UNDER_WAY = 3


class Pipeline:
    """One thread per stage, so that batches keep their order. There is one connection to the
    database: whatever it is for is done by the thread that commits. The block ends when all is
    done, and raises the first thing that went wrong: what `store` and `commit` raise."""

    def __init__(self, turn: Turn, folder: KnownFolder, *, cursor: bool) -> None:
        self._turn = turn
        self._folder = folder
        self._cursor = cursor
        self._stores = self._commits = True
        self._under_way: deque[Future[Any]] = deque()
        self._threads = ExitStack()

    def __enter__(self) -> Self:
        # Ended in this order: each hands on to those that come after it.
        self._committer, self._parser, self._storer = (
            self._threads.enter_context(ThreadPoolExecutor(1, thread_name_prefix=f"inbox-{name}"))
            for name in ("commit", "parse", "store")
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        with self._threads:
            try:
                while kind is None and self._under_way:
                    _end(self._under_way.popleft())
            finally:
                for left in self._under_way:
                    with contextlib.suppress(Exception):
                        _end(left)

    def put(self, batch: Batch, lent: ExitStack) -> None:
        """Sends it on its way; `lent` is given back once it is saved. Waits while many are under
        way, and raises what became of the first of them."""
        while len(self._under_way) >= UNDER_WAY:
            _end(self._under_way.popleft())
        self._under_way.append(_go(self._storer, self._store, batch, lent))

    def _store(self, batch: Batch, lent: ExitStack) -> Future[Any] | None:
        with lent, self._stopping(commits=True):
            if not self._stores:
                return None
            store(self._turn, batch)
            return _go(self._committer, self._commit, batch, lent.pop_all())

    def _commit(self, batch: Batch, lent: ExitStack) -> Future[Any] | None:
        with lent, self._stopping():
            if not self._commits:
                return None
            raws = commit(self._turn, self._folder, batch, cursor=self._cursor)
            return _go(self._parser, self._parse, raws, lent.pop_all())

    def _parse(self, raws: Sequence[Raw], lent: ExitStack) -> Future[Any]:
        with lent, self._stopping():
            found = self._turn.tools.parsing.read(self._turn.held, raws)
            return _go(self._committer, self._save, found, lent.pop_all())

    def _save(self, found: Sequence[Read], lent: ExitStack) -> None:
        with self._stopping():
            with lent:
                self._turn.counts.update(self._turn.tools.parsing.save(self._turn.held, found))
            settle_meanwhile(self._turn, len(found))

    @contextlib.contextmanager
    def _stopping(self, *, commits: bool = False) -> Iterator[None]:
        """After an error no batch is stored; `commits`: those that are stored, which come before
        the one at fault, are committed all the same."""
        try:
            yield
        except BaseException:
            self._stores = False
            self._commits = self._commits and commits
            raise


def _go(stage: Executor, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
    return stage.submit(copy_context().run, work, *arguments)


def _end(under_way: Future[Any]) -> None:
    """Waits until it has gone through the last stage that it comes to."""
    done: Any = under_way
    while isinstance(done, Future):
        done = done.result()
