"""A message that has not left yet, as it would leave now: what a review is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine

from chalicelib.db.engine import transaction
from chalicelib.domain.billing.conditions import REASONS
from chalicelib.errors import PonctuelError
from chalicelib.outbox.kinds import Cancel, Claimed, Hold, Send, Verdict, load
from chalicelib.outbox.rendering import render
from cli.source import clock


class _Undo(Exception):
    pass


def as_it_would_leave(engine: Engine, row: Mapping[str, Any]) -> dict[str, Any]:
    """`{subject, text, why}` of a row of `messages` with its `lines`: its guard is asked and its
    template rendered, and nothing is kept of it. `why` is French when there is no text. A message
    that waits for its window is shown as of its opening."""
    verdict: Verdict | None = None
    try:
        with transaction(engine) as connection:
            verdict = _verdict(connection, row)
            raise _Undo
    except _Undo:
        pass
    if isinstance(verdict, Send):
        try:
            rendered = render(load(row["kind"]).template, verdict.content)
        except PonctuelError as error:
            return {"subject": None, "text": None, "why": str(error)}
        return {"subject": rendered.subject, "text": rendered.text, "why": None}
    code = verdict.reason if isinstance(verdict, Cancel | Hold) else "unknown_kind"
    return {"subject": None, "text": None, "why": REASONS.get(code, code)}


def _verdict(connection: Connection, row: Mapping[str, Any]) -> Verdict | None:
    claimed = Claimed(
        **{name: row[name] for name in Claimed.__dataclass_fields__ if name != "lines"},
        lines=row["lines"],
    )
    guard = load(row["kind"]).guard
    now: Any = clock(connection)
    verdict = guard(connection, [claimed], now).get(claimed.id)
    if isinstance(verdict, Hold):
        verdict = guard(connection, [claimed], verdict.until).get(claimed.id)
    return verdict
