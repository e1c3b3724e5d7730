"""From a claimed message to a letter that is ready: guard, allow-list, template, attachment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from chalicelib import logs
from chalicelib.db.sqlstate import database_error
from chalicelib.errors import AttachmentUnavailable, MissingVariable, NotFound, ProviderError
from chalicelib.message_reference import reference
from chalicelib.outbox import claim
from chalicelib.outbox.claim import NOWHERE, News
from chalicelib.outbox.kinds import Cancel, Claimed, Guard, Hold, Kind, Send, Verdict, load
from chalicelib.outbox.rendering import Rendered, render
from chalicelib.providers.mail.addresses import parse_addresses
from chalicelib.providers.mail.mime import message_id
from chalicelib.providers.mail.port import Address, Attachment, Mail
from chalicelib.providers.storage.port import Storage
from chalicelib.settings import settings

# How long a message waits before it is looked at again, when something has to be put right.
LOOK_AGAIN = timedelta(hours=1)


@dataclass(frozen=True)
class Submission:
    """A message that is *submitting*: the call is allowed once its state is committed."""

    message: Claimed
    kind: Kind
    mail: Mail


class Withheld(Exception):
    """The message cannot leave now: the reason is a code, the text a French sentence."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(error)
        self.reason = reason


def prepare(
    connection: Connection, claim_id: UUID, window: Sequence[Claimed], storage: Storage | None
) -> tuple[list[Submission], list[News]]:
    """Asks the guards of these messages now, and writes their letters. Returns those that may go,
    and the news of all of them (submitting, held, cancelled)."""
    if not window:
        return [], []
    mine = claim.still_mine(connection, claim_id, [message.id for message in window])
    if mine.clock is None:
        return [], []
    clock = mine.clock
    messages = [message for message in window if message.id in mine.ids]
    verdicts = _ask(connection, messages, clock)
    ready: list[Submission] = []
    news: list[News] = []
    for message in messages:
        verdict = verdicts.get(message.id)
        if isinstance(verdict, Send):
            try:
                submission, rendered = compose(
                    message, verdict, clock, mine.live, storage, mine.deployment
                )
            except Withheld as held:
                news.append(_held(message, held.reason, clock + LOOK_AGAIN, str(held)))
            except Exception as error:  # noqa: BLE001 - per-item isolation: this letter only
                logs.error("letter_failed", message=message.id, kind=message.kind, error=error)
                why = f"Le message n'a pas pu être composé ({type(error).__name__})."
                news.append(_held(message, "template", clock + LOOK_AGAIN, why))
            else:
                ready.append(submission)
                news.append(_submitting(submission, rendered))
        elif isinstance(verdict, Hold):
            news.append(_held(message, verdict.reason, verdict.until, None))
        else:
            reason = verdict.reason if isinstance(verdict, Cancel) else "no_verdict"
            news.append(_news(message, "cancelled", key_free=True, error_code=reason))
    return ready, news


def _ask(
    connection: Connection, messages: Sequence[Claimed], clock: datetime
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
        verdicts.update(_ask_guard(connection, guard, asked, clock))
    return verdicts


def _ask_guard(
    connection: Connection, guard: Guard, asked: Sequence[Claimed], clock: datetime
) -> Mapping[int, Verdict]:
    """Asks about all at once; if that fails, about each alone, so that one document that cannot be
    read holds its own message only."""
    try:
        with connection.begin_nested():
            return guard(connection, asked, clock)
    except Exception as error:
        if database_error(error) is not None:
            raise
        if len(asked) > 1:
            alone = [_ask_guard(connection, guard, [message], clock) for message in asked]
            return {number: verdict for answer in alone for number, verdict in answer.items()}
        logs.error("guard_failed", message=asked[0].id, kind=asked[0].kind, error=error)
        return {asked[0].id: Hold("guard", clock + LOOK_AGAIN)}


def compose(
    message: Claimed,
    send: Send,
    clock: datetime,
    live: bool,
    storage: Storage | None,
    deployment: UUID = NOWHERE,
) -> tuple[Submission, Rendered]:
    """The letter as it would leave now. Raises `Withheld`. `live`: to anybody, not only to the
    allow-list."""
    kind = load(message.kind)
    recipients = _recipients(send, live or kind.operational)
    sender = _sender(send)
    rendered = _rendered(message, kind, send)
    mail = Mail(
        reference=reference(deployment, message.id),
        message_id=message.message_id or _message_id(message, sender),
        date=clock,
        sender=sender,
        to=recipients[:1],
        cc=recipients[1:],
        reply_to=_reply_to(send),
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        attachments=_attachments(send, storage),
    )
    return Submission(message, kind, mail), rendered


def _recipients(send: Send, anybody: bool) -> tuple[str, ...]:
    parsed = parse_addresses(send.recipients)
    if not parsed:
        raise Withheld("variable", "Le destinataire n'a pas d'adresse e-mail valable.")
    allowed = settings().allow_list
    kept = tuple(address for address in parsed if anybody or allowed.allows(address))
    if not kept:
        raise Withheld("stage", "L'étape n'est pas en service et l'adresse n'est pas autorisée.")
    return kept


def _sender(send: Send) -> Address:
    if send.sender_email:
        own = parse_addresses(send.sender_email)
        if own:
            return Address(own[0], send.sender_name)
    default = settings().mail_from
    if default is None:
        raise Withheld(
            "sender", "L'entreprise n'a pas d'adresse d'expédition, et MAIL_FROM non plus."
        )
    return Address(default.email, send.sender_name or default.name)


def _reply_to(send: Send) -> Address | None:
    """Where answers go; an address that cannot be written would make the provider refuse."""
    if not send.reply_to:
        return None
    usable = parse_addresses(send.reply_to)
    if not usable:
        raise Withheld("sender", "L'adresse de réponse de l'entreprise n'est pas valable.")
    return Address(usable[0])


def _rendered(message: Claimed, kind: Kind, send: Send) -> Rendered:
    try:
        return render(kind.template, send.content)
    except MissingVariable as error:
        raise Withheld("variable", str(error)) from error
    except Exception as error:  # per-item isolation: one letter, not the others
        logs.error("template_failed", message=message.id, kind=kind.name, error=error)
        raise Withheld("template", f"Le modèle a échoué ({type(error).__name__}).") from error


def _attachments(send: Send, storage: Storage | None) -> tuple[Attachment, ...]:
    found = []
    limit = settings().max_attachment_bytes
    for name, key in send.attachments.items():
        try:
            if storage is None:
                raise AttachmentUnavailable(
                    "STORAGE_URL n'est pas renseigné : document introuvable."
                )
            content = storage.read(key, max_bytes=limit)
        except (AttachmentUnavailable, ProviderError) as error:
            raise Withheld("attachment", str(error)) from error
        limit -= len(content)
        found.append(Attachment(name, content))
    return tuple(found)


def _message_id(message: Claimed, sender: Address) -> str:
    key = "\x1f".join(
        (message.business_id, message.kind, message.subject, message.cycle, message.step)
    )
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return message_id(message.id, digest, sender.email.rpartition("@")[2])


def _submitting(submission: Submission, rendered: Rendered) -> News:
    mail = submission.mail
    attachments = [
        {
            "name": attachment.name,
            "size": len(attachment.content),
            "sha256": hashlib.sha256(attachment.content).hexdigest(),
        }
        for attachment in mail.attachments
    ]
    return _news(
        submission.message,
        "submitting",
        message_id=mail.message_id,
        recipient=", ".join((*mail.to, *mail.cc)),
        subject=rendered.subject,
        body=rendered.text,
        html=rendered.html,
        attachments=attachments,
    )


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
