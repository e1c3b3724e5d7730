"""Connections that outlive their engines, as those of a pooler do.

Each invocation disposes of its engine. The next one's connection would find a PostgreSQL process
that has yet to read what each table is, which takes it several times as long as the work of a tick.
So a connection to a database of the tests that is closed in good order is made as new, and kept for
the next engine of this process that asks for one alike. One that was broken off is not kept, nor
are those of other processes, nor what goes through a proxy.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool

from chalicelib.db.wire import Connection

# Databases that only these tests have.
PREFIX = "ponctuel_test_"
# In each process: the server has 200 for all.
ROOM = 24


class Kept(Connection):
    """A connection that goes back on the shelf when it is closed."""

    def __init__(self, shelf: Shelf, asked: Mapping[str, Any]) -> None:
        self.shelf = shelf
        self.asked = repr(sorted(asked.items()))
        self.process = os.getpid()
        self.broken = True  # pg8000 closes what it does not come to open
        super().__init__(**asked)
        self.broken = False
        self.database: str = asked["database"]

    @property
    def backend(self) -> int:
        """The server's process."""
        return int.from_bytes(self._backend_key_data[:4], "big")

    def is_quiet(self) -> bool:
        """Nothing has come that nobody read: neither the end nor an answer."""
        return self.process == os.getpid() and not select.select([self._usock], [], [], 0)[0]

    def close(self) -> None:
        if self.shelf.open and not self.broken and self._usock is not None and self.is_quiet():
            with suppress(Exception):  # whatever it is, this one is not worth keeping
                self.rollback()
                self.autocommit = False
                self.execute_simple("DISCARD ALL")
                self.shelf.put(self)
                return
        self.end()

    def end(self) -> None:
        """Closes it for good."""
        super().close()


class Shelf:
    """What this process keeps, the one that was used last in front."""

    def __init__(self) -> None:
        self.open = True
        self._kept: list[Kept] = []
        self._lock = threading.Lock()

    def put(self, connection: Kept) -> None:
        with self._lock:
            self._kept.insert(0, connection)
            ousted = self._kept[ROOM:]
            del self._kept[ROOM:]
        _end(ousted)

    def take(self, asked: Mapping[str, Any]) -> Kept | None:
        """One that was made with the same arguments, and that the server has not ended since."""
        wanted = repr(sorted(asked.items()))
        while self.open:
            with self._lock:
                found = next((kept for kept in self._kept if kept.asked == wanted), None)
                if found is None:
                    return None
                self._kept.remove(found)
            if found.is_quiet():
                return found
            if found.process == os.getpid():  # or it is a parent's, who goes on with it
                _end([found])
        return None

    def backends(self, database: str) -> list[int]:
        """The server's processes behind what is kept of a database."""
        with self._lock:
            return [kept.backend for kept in self._kept if kept.database == database]

    def clear(self, database: str | None = None) -> None:
        """Ends what is kept of a database, or everything."""
        with self._lock:
            ended = [kept for kept in self._kept if database in (None, kept.database)]
            self._kept = [kept for kept in self._kept if kept not in ended]
        _end(ended)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Connections are those of their engines alone as long as the block lasts."""
        self.open = False
        self.clear()
        try:
            yield
        finally:
            self.open = True


SHELF = Shelf()


def keep() -> None:
    """From now on this process keeps its connections."""
    event.listen(Engine, "do_connect", _connect)
    event.listen(Pool, "invalidate", _break)


def _connect(_dialect: Any, _record: Any, positional: Any, named: dict[str, Any]) -> Kept | None:
    """None: as the engine itself would."""
    straight = "unix_sock" in named and str(named.get("database")).startswith(PREFIX)
    if not straight or positional or not SHELF.open:
        return None
    return SHELF.take(named) or Kept(SHELF, named)


def _break(connection: Any, _record: Any, _error: Any) -> None:
    """It may be in the middle of an answer."""
    if isinstance(connection, Kept):
        connection.broken = True


def _end(connections: list[Kept]) -> None:
    for connection in connections:
        with suppress(Exception):  # the server may have gone
            connection.end()
