"""The sandbox's WhatsApp account: its approved templates, and whose number it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import md5

from sqlalchemy import Connection

from chalicelib.outbox import whatsapp_registry, whatsapp_texts
from sandbox.sample_data import BUSINESSES
from sandbox.whatsapp_twilio import NUMBER

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


def give_number(connection: Connection) -> None:
    """The account's only number is that of the sample business that uses WhatsApp."""
    (business,) = [seed.id for seed in BUSINESSES if seed.whatsapp]
    whatsapp_registry.set_sender(
        connection, provider="twilio", sender=NUMBER, business_id=business, by=BY
    )


def _texts() -> Iterator[tuple[str, str]]:
    for kind in KINDS:
        for tone in whatsapp_texts.variants(whatsapp_registry.folder_of(kind)):
            yield kind, tone


def _sid(kind: str, tone: str) -> str:
    """The same each time: a database that is kept knows the templates of the next start."""
    return f"HX{md5(f'{kind}/{tone}'.encode(), usedforsecurity=False).hexdigest()}"
