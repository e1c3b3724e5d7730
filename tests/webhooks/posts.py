"""What providers post, as they post it: made for tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

RECEIVED = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
SENT_AT = datetime(2026, 11, 21, 8, 59, 30, tzinfo=UTC)
WAMID = "wamid.HBgLMzM2MTIzNDU2NzgVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA="
PHONE_NUMBER_ID = "106540352242922"
USER_ID = "FR.13491208655302741918"


def meta(*values: Any, field: str = "messages") -> bytes:
    """One request with one change per value."""
    changes = [{"value": value, "field": field} for value in values]
    entry = [{"id": "102290129340398", "changes": changes}]
    return json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()


def value(**items: Any) -> dict[str, Any]:
    metadata = {"display_phone_number": "33155783881", "phone_number_id": PHONE_NUMBER_ID}
    return {"messaging_product": "whatsapp", "metadata": metadata, **items}


def status(name: str = "delivered", **fields: Any) -> dict[str, Any]:
    return {
        "id": WAMID,
        "status": name,
        "timestamp": str(int(SENT_AT.timestamp())),
        "recipient_id": "33612345678",
        "biz_opaque_callback_data": "3f2a91bc-42",
    } | fields


def message(kind: str = "text", content: Any = None, **fields: Any) -> dict[str, Any]:
    return {
        "from": "33612345678",
        "id": WAMID,
        "timestamp": str(int(SENT_AT.timestamp())),
        "type": kind,
        kind: {"body": "Bonjour"} if content is None else content,
    } | fields


def ses(kind: str, details: Any, name: str | None = None, **mail: Any) -> str:
    """One event; `name` is the member that holds the details."""
    envelope = {
        "timestamp": "2026-11-21T08:58:00.000Z",
        "messageId": "01070192-abc-000000",
        "source": "relances@example.fr",
        "destination": ["client@example.fr", "comptable@example.fr"],
        "commonHeaders": {"to": ["Client <client@example.fr>"], "cc": ["comptable@example.fr"]},
        "tags": {"ponctuel-message": ["3f2a91bc-42"], "ses:configuration-set": ["ponctuel"]},
    } | mail
    return json.dumps({"eventType": kind, "mail": envelope, name or kind.lower(): details})


def bounce(*addresses: str, kind: str = "Permanent", subtype: str = "General") -> dict[str, Any]:
    return {
        "bounceType": kind,
        "bounceSubType": subtype,
        "bouncedRecipients": [{"emailAddress": address} for address in addresses],
        "timestamp": "2026-11-21T08:59:30.000Z",
        "feedbackId": "01070192-feedback",
    }
