"""A message that has not left yet, as it would leave now: what a review is about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, text

from chalicelib.db.engine import transaction
from chalicelib.errors import PonctuelError
from chalicelib.outbox import reading
from chalicelib.outbox.kinds import Claimed, Send, Verdict, load
from chalicelib.outbox.rehearsal import Letter, composed, open_documents, verdicts_of
from chalicelib.outbox.rendering import render

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
    names = [name for name in Claimed.__dataclass_fields__ if name != "lines"]
    claimed = Claimed(**{name: row[name] for name in names}, lines=row["lines"])
    lacking: dict[str, Any] = {"subject": None, "text": None, "reason": None, "why": None}
    try:
        kind = load(claimed.kind)
        verdict, now = _asked(engine, claimed)
        if not isinstance(verdict, Send):
            why = verdict.why if isinstance(verdict, Letter) else None
            return lacking | {"reason": verdict.reason if verdict else "no_verdict", "why": why}
        rendered = render(kind.template, verdict.content)
    except PonctuelError as error:
        return lacking | {"reason": error.code, "why": str(error)}
    letter = composed(claimed, verdict, now, open_documents())
    return {
        "subject": rendered.subject,
        "text": rendered.text,
        "reason": letter.reason,
        "why": letter.why,
    }


def _asked(engine: Engine, message: Claimed) -> tuple[Verdict | Letter | None, datetime]:
    """The verdict and the database's clock. What the guard drops comes back with the rollback."""
    found: list[tuple[Verdict | Letter | None, datetime]] = []
    try:
        with transaction(engine) as connection:
            now: datetime = connection.execute(_CLOCK).scalar_one()
            verdicts = verdicts_of(connection, load(message.kind).guard, [message], now)
            found.append((verdicts.get(message.id), now))
            raise _Undo
    except _Undo:
        return found[0]
