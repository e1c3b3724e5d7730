"""A process that dies at one of its steps: from then on it does nothing any more.

Steps are the transactions (before they begin, and after they are committed while the process does
not know yet), the writes to the store, and the messages that come over the line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from chalicelib.domain.inbox.outcomes import record
from chalicelib.domain.inbox.settle import settle
from chalicelib.mailboxes.report import Report
from chalicelib.mailboxes.sync import sync_mailboxes
from chalicelib.providers.storage.folder import FolderStorage
from chalicelib.runner.deadline import Deadline
from tests.domain.inbox.world import NOW, World


class Killed(BaseException):
    """The process is no more."""


class Life:
    """`ends_at`: the step at which it ends, from 1; None: never. `steps` were made."""

    def __init__(self, ends_at: int | None) -> None:
        self.steps = 0
        self._ends_at = ends_at

    def step(self) -> None:
        self.steps += 1
        if self._ends_at is not None and self.steps >= self._ends_at:
            raise Killed

    def sync(self, world: World, *mailbox_ids: int, **options: Any) -> Report:
        """A run of this process. Raises `Killed`."""
        return sync_mailboxes(
            _Engine(self, world.engine),  # type: ignore[arg-type]
            _Storage(self, world.folder),
            mailbox_ids,
            deadline=Deadline.after(95),
            open_session=lambda row, seconds: _Session(self, world.open(row, seconds)),  # type: ignore[arg-type, return-value]
            settle=settle,
            record=partial(record, next_tick=NOW),
            **options,
        )


class _Engine:
    def __init__(self, life: Life, engine: Engine) -> None:
        self._life = life
        self._engine = engine

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        self._life.step()
        with self._engine.begin() as connection:
            yield connection
        self._life.step()

    def dispose(self) -> None:
        self._engine.dispose()


class _Storage(FolderStorage):
    def __init__(self, life: Life, root: Path) -> None:
        super().__init__(root)
        self._life = life

    def write(self, key: str, content: bytes) -> None:
        self._life.step()
        super().write(key, content)


class _Session:
    def __init__(self, life: Life, session: Any) -> None:
        self._life = life
        self._session = session

    def messages(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        for message in self._session.messages(*arguments, **options):
            self._life.step()
            yield message

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def killed_at(step: int, world: World, mailbox_id: int, **options: Any) -> bool:
    """Whether the run died there; it may have been over before."""
    try:
        Life(step).sync(world, mailbox_id, **options)
    except Killed:
        return True
    return False
