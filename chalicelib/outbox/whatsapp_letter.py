"""A WhatsApp message, from what the guard wants sent: free text while the person has written within
24 hours, else the template that WhatsApp has approved for this text."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from chalicelib import logs
from chalicelib.errors import BadRequest, MissingVariable, NotFound
from chalicelib.outbox.kinds import Claimed, Kind, Send
from chalicelib.outbox.permissions import Facts, Whom
from chalicelib.outbox.whatsapp_texts import WhatsAppText, render
from chalicelib.outbox.withheld import Withheld
from chalicelib.providers.phones import normalised
from chalicelib.providers.whatsapp.port import Template, Text, WhatsAppMessage
from chalicelib.settings import settings

STATUS_PATH = "/webhooks/twilio/status"
# What a provider said of the last try with free text: the next one takes the template.
WINDOW_CLOSED = "window_closed"

# ISO 3166 region of a number → its zone, where France has several.
ZONES = {
    "FR": "Europe/Paris",
    "RE": "Indian/Reunion",
    "YT": "Indian/Mayotte",
    "GP": "America/Guadeloupe",
    "MQ": "America/Martinique",
    "GF": "America/Cayenne",
    "PM": "America/Miquelon",
}


def whom(send: Send) -> Whom:
    """Whom it is for: the number in E.164 where there is one, else Meta's id of the user. Raises
    `Withheld` (`number`)."""
    user_id = (send.user_id or "").strip()
    zone = send.zone or send.business_zone
    if not send.recipients.strip() and user_id:
        return Whom((user_id,), zone=zone)
    try:
        phone = normalised(send.recipients)
    except BadRequest as error:
        raise Withheld("number", str(error)) from error
    return Whom((phone.number,), user_id, zone=send.zone or ZONES.get(phone.region, zone))


def compose(
    message: Claimed,
    kind: Kind,
    send: Send,
    *,
    reference: str,
    clock: datetime,
    anybody: bool,
    known: Facts,
    provider: str,
) -> tuple[WhatsAppMessage, WhatsAppText]:
    """The message as it would leave now. `anybody`: not only the allow-list. Raises `Withheld`."""
    if not (anybody or settings().allow_list.allows(known.contact)):
        raise Withheld("stage", "L'étape n'est pas en service et le numéro n'est pas autorisé.")
    text = _rendered(message, kind, send)
    free = known.in_conversation(clock) and message.error_code != WINDOW_CLOSED
    content: Text | Template = Text(text.text) if free else _template(kind, send, known, text)
    public_url = settings().public_url
    callback = f"{public_url}{STATUS_PATH}" if public_url and provider == "twilio" else None
    letter = WhatsAppMessage(
        reference=reference,
        recipient=known.contact,
        content=content,
        sender=known.sender,
        callback_url=callback,
    )
    return letter, text


def stored(letter: WhatsAppMessage, text: WhatsAppText) -> dict[str, Any]:
    """What the ledger keeps of it, as fields of `settle.News`: enough to look for it later."""
    content = letter.content
    details = None
    if isinstance(content, Template):
        details = {
            "sender": letter.sender,
            "template": content.name,
            "language": content.language,
            "variables": list(content.variables),
        }
    elif letter.sender:
        details = {"sender": letter.sender}
    return {
        "recipient": letter.recipient,
        "contact": letter.recipient,
        "subject": "",
        "body": text.text,
        "whatsapp": details,
    }


def _rendered(message: Claimed, kind: Kind, send: Send) -> WhatsAppText:
    if kind.whatsapp is None:
        raise Withheld("template", "Ce genre de message n'a pas de texte WhatsApp.")
    try:
        return render(kind.whatsapp, send.variant, send.content)
    except MissingVariable as error:
        raise Withheld("variable", str(error)) from error
    except NotFound as error:
        raise Withheld("template", str(error)) from error
    except Exception as error:  # per-item isolation: one message, not the others
        logs.error("template_failed", message=message.id, kind=kind.name, error=error)
        raise Withheld("template", f"Le modèle a échoué ({type(error).__name__}).") from error


def _template(kind: Kind, send: Send, known: Facts, text: WhatsAppText) -> Template:
    if known.template is None:
        which = f"{kind.title} ({send.variant})" if send.variant else kind.title
        raise Withheld(
            "template",
            f"Aucun modèle WhatsApp approuvé n'est enregistré pour « {which} » : "
            "`./ponctuel whatsapp template set`.",
        )
    return Template(known.template["name"], known.template["language"], text.variables)
