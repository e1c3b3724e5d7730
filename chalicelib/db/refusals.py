"""Writing into what may be somebody's view: one that takes no writes stops nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from chalicelib import logs
from chalicelib.db.sqlstate import database_error

T = TypeVar("T")


def unless_refused(
    connection: Connection, write: Callable[[], T], what: str, **about: str
) -> T | None:
    """What `write` returns. None where one of its statements is refused, for want of a right say:
    then all that it did is undone and logged, with `what` it was. Raises what a database that
    cannot be used, or whose schema is another one, raises."""
    try:
        with connection.begin_nested():
            return write()
    except DBAPIError as error:
        if database_error(error) is not None:
            raise
        logs.warning("write_refused", what=what, error=error, **about)
        return None
