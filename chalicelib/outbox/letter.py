"""A message that has not left yet, as it would leave now: what a review is about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, text

from chalicelib.db.engine import transaction
from chalicelib.outbox import reading
from chalicelib.outbox.kinds import Claimed
from chalicelib.outbox.rehearsal import Composed, Letter, compose_all

_CLOCK = text("SELECT ponctuel.clock()")


class _Undo(Exception):
    pass


def message(engine: Engine, number: int) -> dict[str, Any]:
    """`reading.message`, with `preview`: `as_it_would_leave` for one that has not left, else None.
    Raises `NotFound`."""
    with transaction(engine) as connection:
        row = reading.message(connection, number)
    unsent = row["state"] in reading.UNSENT
    return row | {"preview": as_it_would_leave(engine, row) if unsent else None}


def as_it_would_leave(engine: Engine, row: Mapping[str, Any]) -> dict[str, Any]:
    """`{subject, text, reason, why}` of a row of `reading.message`: its guard is asked and its
    template rendered, and nothing is kept of it. `reason` (a code) and `why` (French) say what it
    lacks: with a text, it would be held all the same. A message that waits for its window is shown
    as of its opening."""
    names = [name for name in Claimed.__dataclass_fields__ if name in row]
    claimed = Claimed(**{name: row[name] for name in names})
    found = _composed(engine, claimed)
    return {
        "subject": found.subject,
        "text": found.text,
        "reason": found.letter.reason,
        "why": found.letter.why,
    }


def _composed(engine: Engine, message: Claimed) -> Composed:
    """What the guard drops comes back with the rollback."""
    found: list[Composed] = []
    try:
        with transaction(engine) as connection:
            now: datetime = connection.execute(_CLOCK).scalar_one()
            composed = compose_all(connection, [message], now)
            found.append(composed.get(message.id, Composed(Letter(None))))
            raise _Undo
    except _Undo:
        return found[0]
