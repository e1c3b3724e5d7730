"""pg8000's connection, with one round trip where it makes three.

pg8000 sends Parse, waits, sends Describe, waits, sends Bind and Execute, waits; and BEGIN alone
before. The protocol lets all of it go out at once, with one Sync: after an error the server skips
the rest, BEGIN's included, so nothing runs outside of the transaction that was meant.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY

pg8000 also turns `%s` into `$1` character by character at each execution, which takes 2 ms for our
longest statement, and more than PostgreSQL takes for a short one: here once per statement. And it
reads dates by `strptime`, which takes longer than the rest of a row.

It overrides what pg8000 itself overrides nowhere and calls everywhere (`execute_unnamed`,
`convert_paramstyle`), so the version is pinned, and tests count the round trips and compare the
answers with pg8000's own.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from pg8000 import legacy
from pg8000.converters import DATE, TIMESTAMPTZ, date_in, make_params, timestamptz_in
from pg8000.core import NULL_BYTE, SYNC_MSG, Context, _flush, _write
from pg8000.dbapi import convert_paramstyle
from pg8000.legacy import Connection as Pg8000Connection

_BEGIN = "begin transaction"


@lru_cache(maxsize=64)
def _numbered(statement: str) -> str:
    converted: str = convert_paramstyle("format", statement, ())[0]
    return converted


def _convert(style: str, statement: str, values: Any) -> tuple[str, Any]:
    """In place of `convert_paramstyle`; `format` is SQLAlchemy's style, whose values are a list."""
    if style == "format":
        return _numbered(statement), values
    converted: tuple[str, Any] = convert_paramstyle(style, statement, values)
    return converted


legacy.convert_paramstyle = _convert


def _date(shown: str) -> Any:
    try:
        return date.fromisoformat(shown)
    except ValueError:  # infinity, before Christ, after the year 9999
        return date_in(shown)


def _instant(shown: str) -> Any:
    try:
        return datetime.fromisoformat(shown)
    except ValueError:
        return timestamptz_in(shown)


class Connection(Pg8000Connection):  # type: ignore[misc]  # pg8000 has no types
    """A DBAPI connection. BEGIN goes out with the statement that follows it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begin_first = False
        self.register_in_adapter(DATE, _date)
        self.register_in_adapter(TIMESTAMPTZ, _instant)
        if self._usock.family in (socket.AF_INET, socket.AF_INET6):
            # Or the kernel holds back the end of a long statement until the start is acknowledged.
            self._usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def execute_simple(self, statement: str) -> Any:
        if statement == _BEGIN:
            self._begin_first = True
            return Context(statement)
        if self._begin_first:
            # Such a statement may be several, which cannot be prepared together with BEGIN.
            self._begin_first = False
            super().execute_simple(_BEGIN)
        return super().execute_simple(statement)

    def execute_unnamed(
        self, statement: str, vals: Sequence[Any] = (), oids: Sequence[int] = (), stream: Any = None
    ) -> Any:
        context = Context(statement, stream=stream)
        parameters = make_params(self.py_types, vals)
        if self._begin_first:
            self._begin_first = False
            self._send(_BEGIN, (), ())
        self._send(statement, parameters, oids)
        _write(self._sock, SYNC_MSG)
        _flush(self._sock)
        self.handle_messages(context)
        return context

    def _send(self, statement: str, parameters: Sequence[Any], oids: Sequence[int]) -> None:
        self.send_PARSE(NULL_BYTE, statement, oids)
        self.send_DESCRIBE_STATEMENT(NULL_BYTE)
        self.send_BIND(NULL_BYTE, parameters)
        self.send_EXECUTE()

    def commit(self) -> None:
        self._begin_first = False
        if self._in_transaction:
            super().commit()

    def rollback(self) -> None:
        self._begin_first = False
        super().rollback()

    def ping(self) -> None:
        """One round trip, outside of any transaction. Raises when the connection is lost."""
        super().execute_simple(";")
