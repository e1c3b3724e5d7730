"""An e-mail, from what the guard wants sent: addresses, text, attachments."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from chalicelib import logs
from chalicelib.errors import (
    AttachmentUnavailable,
    ItemFailed,
    MissingVariable,
    ProviderError,
    SettingsError,
)
from chalicelib.outbox.kinds import Claimed, Kind, Send
from chalicelib.outbox.permissions import Whom
from chalicelib.outbox.rendering import Rendered, render
from chalicelib.outbox.unsubscribe_link import Link, for_message
from chalicelib.outbox.withheld import Withheld
from chalicelib.providers.mail.addresses import parse_addresses
from chalicelib.providers.mail.mime import message_id
from chalicelib.providers.mail.port import Address, Attachment, Mail
from chalicelib.providers.storage.port import Storage
from chalicelib.settings import settings


def whom(send: Send) -> Whom:
    """Whom it is for. Raises `Withheld` (`variable`) when nobody can be written to."""
    parsed = parse_addresses(send.recipients)
    if not parsed:
        raise Withheld("variable", "Le destinataire n'a pas d'adresse e-mail valable.")
    contacts = tuple(address.lower() for address in parsed)
    return Whom(contacts, zone=send.zone or send.business_zone)


def compose(
    message: Claimed,
    kind: Kind,
    send: Send,
    *,
    reference: str,
    clock: datetime,
    anybody: bool,
    welcome: Collection[str] | None,
    storage: Storage | None,
) -> tuple[Mail, Rendered]:
    """The letter as it would leave now. `anybody`: not only the allow-list; `welcome`: the contacts
    (in lower case) that may be written to, None for all. Raises `Withheld`."""
    recipients = _recipients(send, anybody, welcome)
    sender = _sender(send)
    link = _unsubscribe_link(message, kind)
    if link is not None:
        send = replace(send, content={**send.content, "unsubscribe_url": link.url})
    rendered = _rendered(message, kind, send)
    mail = Mail(
        reference=reference,
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
        headers={**kind.headers, **(link.headers if link is not None else {})},
    )
    return mail, rendered


def stored(mail: Mail, rendered: Rendered) -> dict[str, Any]:
    """What the ledger keeps of it, as fields of `settle.News`."""
    attachments = [
        {
            "name": attachment.name,
            "size": len(attachment.content),
            "sha256": hashlib.sha256(attachment.content).hexdigest(),
        }
        for attachment in mail.attachments
    ]
    return {
        "message_id": mail.message_id,
        "recipient": ", ".join((*mail.to, *mail.cc)),
        "contact": mail.to[0].lower(),
        "subject": rendered.subject,
        "body": rendered.text,
        "html": rendered.html,
        "attachments": attachments,
    }


def _recipients(send: Send, anybody: bool, welcome: Collection[str] | None) -> tuple[str, ...]:
    parsed = parse_addresses(send.recipients)
    if not parsed:
        raise Withheld("variable", "Le destinataire n'a pas d'adresse e-mail valable.")
    allowed = settings().allow_list
    kept = tuple(
        address
        for address in parsed
        if (anybody or allowed.allows(address)) and (welcome is None or address.lower() in welcome)
    )
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


def _unsubscribe_link(message: Claimed, kind: Kind) -> Link | None:
    try:
        return for_message(message, kind, settings())
    except (SettingsError, ItemFailed) as error:
        raise Withheld("unsubscribe", str(error)) from error


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
    names: Mapping[str, str] = send.attachments
    for name, key in names.items():
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
