"""What `check` says, and how it reads: it never writes, and no view of anybody's stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from chalicelib.db.engine import snapshot
from chalicelib.db.sqlstate import sqlstate
from chalicelib.errors import DatabaseUnavailable, PonctuelError

Verdict = Literal["ok", "note", "problem"]

# What a view can do to whoever reads it, which in a run looks like a database out of order.
_OF_THE_VIEW = {"25006", "55P03"}
_WORDS = {
    "57014": "elle dure plus longtemps que ce qui lui est laissé",
    "42501": "il manque un droit sur ce qu'elle lit",
    "25006": "elle écrit, ce qu'une lecture ne doit pas faire",
    "55P03": "une autre connexion la garde verrouillée",
    "42P01": "une table qu'elle lit n'existe pas",
    "42703": "une colonne qu'elle lit n'existe pas",
    "42883": "des types ne vont pas ensemble",
    "42804": "des types ne vont pas ensemble",
}


@dataclass(frozen=True)
class Finding:
    """`problem`: something will not work. `note`: it works, and you should know how. `sql`: what to
    write in the database, or in a view, to put it right."""

    topic: str
    verdict: Verdict
    text: str
    sql: str = ""


@dataclass(frozen=True)
class Reader:
    """Reads in transactions that can write nothing, one per look, each statement limited to
    `seconds`."""

    engine: Engine
    seconds: float

    def look(
        self,
        read: Callable[[Connection], Iterable[Finding]],
        unreadable: Callable[[str, str], Finding],
    ) -> list[Finding]:
        """What `read` finds, or what `unreadable(SQLSTATE, French words)` makes of the error that
        stopped it. Raises `DatabaseUnavailable`."""
        try:
            with snapshot(self.engine) as connection:
                connection.exec_driver_sql(
                    f"SET LOCAL statement_timeout = {max(1, int(self.seconds * 1000))}"
                )
                return list(read(connection))
        except (DBAPIError, PonctuelError) as error:
            code = sqlstate(error if isinstance(error, DBAPIError) else error.__cause__ or error)
            if code is None or (
                isinstance(error, DatabaseUnavailable) and code not in _OF_THE_VIEW
            ):
                raise
            return [unreadable(code, words(code))]


def words(code: str) -> str:
    """A SQLSTATE in French. The server's own text is not shown: it may quote the row at fault."""
    return f"{_WORDS.get(code, 'PostgreSQL la refuse')} (SQLSTATE {code})"
