"""From claimed messages to letters that are ready: all that is asked just before sending.

In this order: the kind's own guard ("still unpaid? still wanted?"), then for every kind alike
suppressions, consent, the recipient's hours and the cap of a contact (`permissions`), then the
letter itself: allow-list, template, attachments.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from chalicelib import logs
from chalicelib.db.sqlstate import database_error
from chalicelib.errors import NotFound
from chalicelib.message_reference import reference
from chalicelib.outbox import mail_letter, permissions, settle, whatsapp_letter
from chalicelib.outbox.kinds import Cancel, Claimed, Guard, Hold, Kind, Send, Verdict, load
from chalicelib.outbox.permissions import Facts, Whom
from chalicelib.outbox.rendering import Rendered
from chalicelib.outbox.settle import NOWHERE, News
from chalicelib.outbox.whatsapp_texts import WhatsAppText
from chalicelib.outbox.withheld import Withheld
from chalicelib.providers.mail.port import Mail
from chalicelib.providers.storage.port import Storage
from chalicelib.providers.whatsapp.port import WhatsAppMessage

# How long a message waits before it is looked at again, when something has to be put right.
LOOK_AGAIN = timedelta(hours=1)

Wanted = tuple[Claimed, Kind, Send, Whom]


@dataclass(frozen=True)
class Submission:
    """A message whose letter is written: the call is allowed once it is marked *submitting*.
    `marks` is the news that does it."""

    message: Claimed
    kind: Kind
    letter: Mail | WhatsAppMessage
    marks: News


@dataclass(frozen=True)
class Prepared:
    """`ready`: what may go; `news`: what becomes of the others (held, cancelled). Nothing of it is
    written yet."""

    ready: Sequence[Submission] = ()
    news: Sequence[News] = ()


@dataclass(frozen=True)
class Asked:
    """What the database said of a window, the last of it before its letters are written."""

    wanted: Sequence[tuple[Wanted, Sequence[Facts]]]
    news: Sequence[News]
    clock: datetime
    live: bool
    deployment: UUID

    def of(self, ids: Collection[int]) -> Asked:
        """What it said of these messages."""
        return replace(
            self,
            wanted=[one for one in self.wanted if one[0][0].id in ids],
            news=[news for news in self.news if news.id in ids],
        )


def ask(
    connection: Connection,
    claim_id: UUID,
    window: Sequence[Claimed],
    provider: str,
    *,
    one_by_one: bool = False,
) -> Asked | None:
    """Asks the guards of these messages now, and what is known of whom they are for; None when none
    of them is ours any more. `one_by_one`: a guard fails for its own message only, at the price of
    a savepoint for each."""
    mine = settle.still_mine(connection, claim_id, [message.id for message in window])
    if mine.clock is None:
        return None
    messages = [message for message in window if message.id in mine.ids]
    verdicts = _ask_guards(connection, messages, mine.clock, isolated=one_by_one)
    wanted: list[Wanted] = []
    news: list[News] = []
    for message in messages:
        verdict = verdicts.get(message.id)
        if isinstance(verdict, Send):
            try:
                wanted.append((message, load(message.kind), verdict, whom(message, verdict)))
            except Withheld as held:
                news.append(_held(message, held.reason, mine.clock + LOOK_AGAIN, str(held)))
        elif isinstance(verdict, Hold):
            news.append(_held(message, verdict.reason, verdict.until, None))
        else:
            reason = verdict.reason if isinstance(verdict, Cancel) else "no_verdict"
            news.append(_news(message, "cancelled", key_free=True, error_code=reason))
    known = permissions.facts(connection, provider, wanted)
    judged = list(zip(wanted, permissions.in_turn(wanted, known, mine.clock), strict=True))
    return Asked(judged, news, mine.clock, mine.live, mine.deployment)


def write(asked: Asked, provider: str, storage: Storage | None) -> Prepared:
    """Writes the letters. A letter can be what kills the process: no lock is held meanwhile, and
    nothing waits to be committed."""
    ready: list[Submission] = []
    news = list(asked.news)
    for (message, kind, send, person), known in asked.wanted:
        denied = permissions.denied(kind, person, known, asked.clock, send.subdivision)
        if denied is not None:
            news.append(_denied(message, denied, asked.clock))
            continue
        try:
            letter, stored = compose(
                (message, kind, send, person),
                known,
                clock=asked.clock,
                live=asked.live,
                storage=storage,
                provider=provider,
                deployment=asked.deployment,
            )
        except Withheld as held:
            news.append(_held(message, held.reason, asked.clock + LOOK_AGAIN, str(held)))
        except Exception as error:  # noqa: BLE001 - per-item isolation: this letter only
            logs.error("letter_failed", message=message.id, kind=message.kind, error=error)
            why = f"Le message n'a pas pu être composé ({type(error).__name__})."
            news.append(_held(message, "template", asked.clock + LOOK_AGAIN, why))
        else:
            marks = _news(message, "submitting", **stored)
            ready.append(Submission(message, kind, letter, marks))
    return Prepared(ready, news)


def whom(message: Claimed, send: Send) -> Whom:
    """Whom the message is for, on its channel. Raises `Withheld`."""
    if message.channel == "whatsapp":
        return whatsapp_letter.whom(send)
    return mail_letter.whom(send)


def compose(
    wanted: Wanted,
    known: Sequence[Facts],
    *,
    clock: datetime,
    live: bool,
    storage: Storage | None,
    provider: str,
    deployment: UUID = NOWHERE,
) -> tuple[Mail | WhatsAppMessage, dict[str, Any]]:
    """The letter as it would leave now, and what the ledger keeps of it. `live`: to anybody, not
    only to the allow-list. Raises `Withheld`."""
    message, kind, send, person = wanted
    own = reference(deployment, message.id)
    anybody = live or kind.operational
    written: Rendered | WhatsAppText
    if message.channel == "whatsapp":
        fact = next(iter(permissions.welcome(known)), None) or _unknown(person)
        letter, written = whatsapp_letter.compose(
            message,
            kind,
            send,
            reference=own,
            clock=clock,
            anybody=anybody,
            known=fact,
            provider=provider,
        )
        return letter, whatsapp_letter.stored(letter, written)
    welcome = {fact.contact for fact in permissions.welcome(known)} if known else None
    mail, written = mail_letter.compose(
        message,
        kind,
        send,
        reference=own,
        clock=clock,
        anybody=anybody,
        welcome=welcome,
        storage=storage,
    )
    return mail, mail_letter.stored(mail, written)


def _unknown(person: Whom) -> Facts:
    return Facts(person.contacts[0], None, False, 0, None, None)


def _ask_guards(
    connection: Connection, messages: Sequence[Claimed], clock: datetime, *, isolated: bool
) -> dict[int, Verdict]:
    """The guards' verdicts, one question per guard. A kind that this code does not know (any more)
    waits: a rollback is temporary."""
    by_guard: dict[Guard, list[Claimed]] = {}
    verdicts: dict[int, Verdict] = {}
    for message in messages:
        try:
            by_guard.setdefault(load(message.kind).guard, []).append(message)
        except NotFound:
            logs.error("kind_unknown", message=message.id, kind=message.kind)
            verdicts[message.id] = Hold("unknown_kind", clock + LOOK_AGAIN)
    for guard, asked in by_guard.items():
        if isolated:
            for message in asked:
                verdicts.update(_ask_alone(connection, guard, message, clock))
        else:
            verdicts.update(guard(connection, asked, clock))
    return verdicts


def _ask_alone(
    connection: Connection, guard: Guard, message: Claimed, clock: datetime
) -> Mapping[int, Verdict]:
    """One document that cannot be read holds its own message only."""
    try:
        with connection.begin_nested():
            return guard(connection, [message], clock)
    except Exception as error:
        if database_error(error) is not None:
            raise
        logs.error("guard_failed", message=message.id, kind=message.kind, error=error)
        return {message.id: Hold("guard", clock + LOOK_AGAIN)}


def _denied(message: Claimed, denied: permissions.Denied, clock: datetime) -> News:
    if denied.closed:
        return _news(message, "cancelled", error_code=denied.reason)
    return _held(message, denied.reason, denied.until or clock + LOOK_AGAIN, denied.why)


def _held(message: Claimed, reason: str, until: datetime, error: str | None) -> News:
    return _news(
        message,
        "held",
        hold_reason=reason,
        until=until.isoformat(),
        error_code=reason if error else None,
        error=error,
    )


def _news(message: Claimed, state: str, **fields: Any) -> News:
    return News(message.id, "claimed", state, fields)
