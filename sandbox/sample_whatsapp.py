"""The templates that WhatsApp has approved for the sandbox's account. Its one number is that of all
businesses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import md5

from sqlalchemy import Connection

from chalicelib.outbox import whatsapp_registry, whatsapp_texts

KINDS = ("billing.invoice_followup", "billing.quote_followup")
BY = "bac à sable"


def templates() -> Mapping[str, str]:
    """Every WhatsApp text as Twilio would have approved it: Content SID → body."""
    return {
        _sid(kind, tone): whatsapp_texts.body(whatsapp_registry.folder_of(kind), tone)
        for kind, tone in _texts()
    }


def register_templates(connection: Connection) -> None:
    """Tells the ledger under which name each text is approved, for all businesses."""
    for kind, tone in _texts():
        whatsapp_registry.set_template(
            connection, provider="twilio", kind=kind, variant=tone, name=_sid(kind, tone), by=BY
        )


def _texts() -> Iterator[tuple[str, str]]:
    for kind in KINDS:
        for tone in whatsapp_texts.variants(whatsapp_registry.folder_of(kind)):
            yield kind, tone


def _sid(kind: str, tone: str) -> str:
    """The same each time: a database that is kept knows the templates of the next start."""
    return f"HX{md5(f'{kind}/{tone}'.encode(), usedforsecurity=False).hexdigest()}"
