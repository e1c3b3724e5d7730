"""Whether messages could leave now: their guards asked and their letters composed, for dry runs and
`explain`. Nothing is sent, claimed or written."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from chalicelib import logs
from chalicelib.db.sqlstate import database_error, sqlstate
from chalicelib.errors import NotFound, SettingsError
from chalicelib.outbox import submission
from chalicelib.outbox.kinds import Claimed, Guard, Hold, Send, Verdict, load
from chalicelib.providers.storage.port import Storage
from chalicelib.settings import settings

# Each letter is rendered and its documents read: a surge of thousands is judged by its first ones.
MOST = 100
# Less than the longest that a transaction may be idle.
BUDGET_S = 20.0
READ_ONLY = "25006"


@dataclass(frozen=True)
class Letter:
    """`ready`: whether the message could be composed; None: it was not looked at. `reason`: a hold
    or the code of a condition; `why`: French, where the code is not enough."""

    ready: bool | None
    reason: str | None = None
    why: str | None = None


def add_letters(connection: Connection, messages: Sequence[dict[str, Any]], now: datetime) -> None:
    """Puts `letter` (`ready`, `reason`, `why`) into the rows of a dry run, those of `MOST` messages
    at most. `connection` may be read-only; `now` (aware) is when they would leave."""
    claimed = [_claimed(row, number) for number, row in enumerate(messages[:MOST])]
    for number, letter in letters(connection, claimed, now).items():
        messages[number]["letter"] = asdict(letter)


def letters(
    connection: Connection, messages: Sequence[Claimed], now: datetime
) -> dict[int, Letter]:
    """What would become of each message, by its id: those that wait for their sending window are
    looked at as of its opening. Raises `DatabaseUnavailable`."""
    found: dict[int, Letter] = {}
    until = time.monotonic() + BUDGET_S
    by_guard: dict[Guard, list[Claimed]] = {}
    for message in messages:
        try:
            by_guard.setdefault(load(message.kind).guard, []).append(message)
        except NotFound as error:
            found[message.id] = Letter(False, "unknown_kind", str(error))
    storage = open_documents()
    for guard, asked in by_guard.items():
        verdicts = verdicts_of(connection, guard, asked, now)
        for message in asked:
            verdict = verdicts.get(message.id)
            if isinstance(verdict, Letter):
                found[message.id] = verdict
            elif not isinstance(verdict, Send):
                found[message.id] = Letter(False, verdict.reason if verdict else "no_verdict")
            elif time.monotonic() < until:
                found[message.id] = composed(message, verdict, now, storage)
    return found


def verdicts_of(
    connection: Connection, guard: Guard, asked: Sequence[Claimed], now: datetime
) -> Mapping[int, Verdict | Letter]:
    """The guard's verdicts, as of the opening of the window for what has to wait for it."""
    verdicts = dict(_ask(connection, guard, asked, now))
    later: dict[datetime, list[Claimed]] = {}
    for message in asked:
        verdict = verdicts.get(message.id)
        if isinstance(verdict, Hold) and verdict.reason == "window":
            later.setdefault(verdict.until, []).append(message)
    for opening, waiting in later.items():
        verdicts.update(_ask(connection, guard, waiting, opening))
    return verdicts


def composed(
    message: Claimed, send: Send, now: datetime, storage: Storage | SettingsError | None
) -> Letter:
    """Composes the letter as delivery does, its documents included; nobody's address is judged."""
    if isinstance(storage, SettingsError):
        if send.attachments:
            return Letter(False, "attachment", str(storage))
        storage = None
    try:
        submission.compose(message, send, now, True, storage)
    except submission.Withheld as held:
        return Letter(False, held.reason, str(held))
    except SettingsError as error:
        return Letter(False, "settings", str(error))
    except Exception as error:  # noqa: BLE001 - per-item isolation, as delivery has it
        logs.error("letter_failed", kind=message.kind, error=error)
        return Letter(False, "template", "Le message n'a pas pu être composé.")
    return Letter(True)


def open_documents() -> Storage | SettingsError | None:
    """The store of attachments, None without one, or why its address cannot be used."""
    from chalicelib.providers.storage import open_storage

    try:
        address = settings().storage_url
        return open_storage(address.url) if address else None
    except SettingsError as error:
        return error


def _ask(
    connection: Connection, guard: Guard, asked: Sequence[Claimed], now: datetime
) -> Mapping[int, Verdict | Letter]:
    """All at once; each alone if that fails, so that one document hides no other's letter."""
    try:
        with connection.begin_nested():
            return guard(connection, asked, now)
    except Exception as error:
        if sqlstate(error) != READ_ONLY and database_error(error) is not None:
            raise
        if len(asked) > 1:
            alone = [_ask(connection, guard, [message], now) for message in asked]
            return {number: verdict for answer in alone for number, verdict in answer.items()}
        if sqlstate(error) == READ_ONLY:
            # The guard wanted to take lines out of a letter that would leave with the others.
            why = "Une partie de ses documents n'est plus à relancer : il partirait sans eux."
            return {asked[0].id: Letter(None, "lines_dropped", why)}
        logs.error("guard_failed", kind=asked[0].kind, error=error)
        return {asked[0].id: Letter(False, "guard")}


def _claimed(row: Mapping[str, Any], number: int) -> Claimed:
    names = ("business_id", "kind", "subject", "cycle", "step", "channel", "person", "recipient")
    return Claimed(
        id=number,
        content=row["content"],
        message_id=row.get("message_id"),
        attempts=row.get("attempts", 0),
        lines=row["lines"] or (),
        **{name: row[name] for name in names},
    )
