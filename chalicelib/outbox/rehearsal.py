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
from chalicelib.outbox import permissions, submission, whatsapp_texts
from chalicelib.outbox.kinds import Claimed, Guard, Hold, Kind, Send, Verdict, load
from chalicelib.outbox.permissions import Facts
from chalicelib.outbox.rendering import render
from chalicelib.outbox.withheld import Withheld
from chalicelib.providers.storage.port import Storage
from chalicelib.settings import settings

# Each letter is rendered and its documents read: a surge of thousands is judged by its first ones.
MOST = 100
# Less than the longest that a transaction may be idle.
BUDGET_S = 20.0
READ_ONLY = "25006"


@dataclass(frozen=True)
class Letter:
    """`ready`: whether the message could leave; None: it was not looked at. `reason`: a hold or the
    code of a condition; `why`: French, where the code is not enough."""

    ready: bool | None
    reason: str | None = None
    why: str | None = None


@dataclass(frozen=True)
class Composed:
    """A message as it would leave: its text too, where it could be rendered."""

    letter: Letter
    subject: str | None = None
    text: str | None = None


def add_letters(connection: Connection, messages: Sequence[dict[str, Any]], now: datetime) -> None:
    """Puts `letter` (`ready`, `reason`, `why`) into the rows of a dry run, those of `MOST` messages
    at most. `connection` may be read-only; `now` (aware) is when they would leave."""
    claimed = [_claimed(row, number) for number, row in enumerate(messages[:MOST])]
    for number, found in compose_all(connection, claimed, now).items():
        messages[number]["letter"] = asdict(found.letter)


def compose_all(
    connection: Connection, messages: Sequence[Claimed], now: datetime
) -> dict[int, Composed]:
    """What would become of each message, by its id: those that wait for their sending window are
    looked at as of its opening. Raises `DatabaseUnavailable`."""
    found: dict[int, Composed] = {}
    until = time.monotonic() + BUDGET_S
    by_guard: dict[Guard, list[Claimed]] = {}
    for message in messages:
        try:
            by_guard.setdefault(load(message.kind).guard, []).append(message)
        except NotFound as error:
            found[message.id] = Composed(Letter(False, "unknown_kind", str(error)))
    wanted: list[tuple[submission.Wanted, datetime]] = []
    for guard, asked in by_guard.items():
        verdicts = verdicts_of(connection, guard, asked, now)
        for message in asked:
            verdict, at = verdicts.get(message.id, (None, now))
            if isinstance(verdict, Letter):
                found[message.id] = Composed(verdict)
            elif not isinstance(verdict, Send):
                reason = verdict.reason if verdict else "no_verdict"
                found[message.id] = Composed(Letter(False, reason))
            else:
                try:
                    whom = submission.whom(message, verdict)
                    wanted.append(((message, load(message.kind), verdict, whom), at))
                except Withheld as held:
                    found[message.id] = Composed(Letter(False, held.reason, str(held)))
    provider = _whatsapp_provider()
    known = permissions.facts(connection, provider, [one for one, _at in wanted])
    storage = open_documents()
    facts = permissions.in_turn([one for one, _at in wanted], known, now)
    for (one, at), told in zip(wanted, facts, strict=True):
        if time.monotonic() < until:
            found[one[0].id] = _composed(one, told, at, storage, provider)
    return found


def verdicts_of(
    connection: Connection, guard: Guard, asked: Sequence[Claimed], now: datetime
) -> Mapping[int, tuple[Verdict | Letter, datetime]]:
    """The guard's verdicts with their instants: for what has to wait for its window, as of its
    opening."""
    verdicts = dict(_ask(connection, guard, asked, now))
    instants = dict.fromkeys(verdicts, now)
    later: dict[datetime, list[Claimed]] = {}
    for message in asked:
        verdict = verdicts.get(message.id)
        if isinstance(verdict, Hold) and verdict.reason == "window":
            later.setdefault(verdict.until, []).append(message)
    for opening, waiting in later.items():
        verdicts.update(_ask(connection, guard, waiting, opening))
        instants.update((message.id, opening) for message in waiting)
    return {number: (verdict, instants[number]) for number, verdict in verdicts.items()}


def _composed(
    wanted: submission.Wanted,
    known: Sequence[Facts],
    now: datetime,
    storage: Storage | SettingsError | None,
    provider: str,
) -> Composed:
    """Composes the letter as delivery does, its documents included; the allow-list apart, since a
    rehearsal is what go-live is decided on."""
    message, kind, send, whom = wanted
    denied = permissions.denied(kind, whom, known, now, send.subdivision)
    letter = Letter(True) if denied is None else Letter(False, denied.reason)
    unusable = storage if isinstance(storage, SettingsError) else None
    if unusable is not None and send.attachments:
        return Composed(Letter(False, "attachment", str(unusable)))
    try:
        _letter, stored = submission.compose(
            wanted,
            known,
            clock=now,
            live=True,
            storage=None if isinstance(storage, SettingsError) else storage,
            provider=provider,
        )
    except Withheld as held:
        return Composed(Letter(False, held.reason, str(held)), *_text_alone(message, kind, send))
    except SettingsError as error:
        return Composed(Letter(False, "settings", str(error)))
    except Exception as error:  # noqa: BLE001 - per-item isolation, as delivery has it
        logs.error("letter_failed", kind=message.kind, error=error)
        return Composed(Letter(False, "template", "Le message n'a pas pu être composé."))
    return Composed(letter, stored["subject"], stored["body"])


def _text_alone(message: Claimed, kind: Kind, send: Send) -> tuple[str | None, str | None]:
    """What the text would be, although something else is missing."""
    try:
        if message.channel == "whatsapp":
            return "", whatsapp_texts.render(kind.whatsapp or "", send.variant, send.content).text
        rendered = render(kind.template, send.content)
    except Exception:  # noqa: BLE001 - the message is not ready, and why has been told
        return None, None
    return rendered.subject, rendered.text


def _whatsapp_provider() -> str:
    try:
        address = settings().whatsapp_url
    except SettingsError:
        return "meta"
    return address.scheme if address else "meta"


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
