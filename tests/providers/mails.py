"""Messages for the tests of the mail providers."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib.providers.mail.port import Address, Mail

MAIL = Mail(
    reference="3f2a91bc-42",
    message_id="<42.0123456789abcdef@atelier.example>",
    date=datetime(2026, 3, 5, 9, 30, tzinfo=ZoneInfo("Europe/Paris")),
    sender=Address("facturation@atelier.example", "Atelier Léa"),
    to=("client@client.example",),
    subject="Facture F-1042 : 120 € à régler",
    text="Bonjour,\n\nVotre facture reste à régler.\n",
)


def mail(**changes: Any) -> Mail:
    return replace(MAIL, **changes)
