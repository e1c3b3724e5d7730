"""JSON schemas of what operators do, and of the channels that messages leave by."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.routes.schema_terms import (
    BEFORE,
    INSTANT,
    INSTANT_OR_NULL,
    NUMBER,
    NUMBER_OR_NULL,
    SUCCESS,
    TEXT,
    TEXT_OR_NULL,
    Schema,
    array,
    record,
)

_LEFT = record({"id": NUMBER, "state": TEXT_OR_NULL, "why": TEXT})
_SCOPE: Schema = {
    **array(TEXT),
    "description": "Business and kind; `*` is the stage, or every kind.",
}
_OFFER = record(
    {"domain": TEXT, "outcome": {"enum": ["taken", "not_ours", "failed", "given_up"]}}
    | {"attempts": NUMBER, "at": INSTANT, "error": TEXT_OR_NULL}
)
_INBOUND = record(
    {"id": NUMBER}
    | dict.fromkeys(
        ("businessId", "channel", "provider", "contact", "person", "sender", "kind", "text"), TEXT
    )
    | {"mediaCount": NUMBER, "inReplyTo": NUMBER_OR_NULL, "intent": TEXT_OR_NULL}
    | {"at": INSTANT, "receivedAt": INSTANT, "offers": array(_OFFER)}
)
_CHANNEL = record(
    {
        "channel": TEXT,
        "businessId": {"type": "string", "description": "Empty: the whole account."},
        "circuit": {"enum": ["closed", "open", "half_open"]},
        "retryAt": INSTANT_OR_NULL,
        "failures": NUMBER,
        "openedAt": INSTANT_OR_NULL,
        "rate": {"type": ["integer", "null"], "description": "Messages a second."},
        "tokens": {"type": ["number", "null"], "description": "As at `tokensAt`."},
        "tokensAt": INSTANT_OR_NULL,
        "used": {"type": "integer", "description": "In the last 24 hours."},
        "quota": NUMBER_OR_NULL,
    }
)
_LIMITS = record(
    {"businessId": TEXT, "channel": TEXT}
    | dict.fromkeys(("perDay", "personPerDay", "personPerWeek"), NUMBER_OR_NULL)
    | {"setAt": INSTANT, "setBy": TEXT}
)

ACTING: Mapping[str, Schema] = {
    "Acted": record(
        {
            "success": {"type": "boolean", "description": "false: some were left as they were."},
            "changed": array(NUMBER),
            "left": array(_LEFT),
        }
    ),
    "WentLive": record(
        {"success": SUCCESS, "opened": array(_SCOPE)}
        | dict.fromkeys(("released", "discarded", "stillHeld"), NUMBER)
    ),
    "Decided": record(
        {"success": SUCCESS, "level": NUMBER}
        | dict.fromkeys(("businessId", "document", "number", "decision"), TEXT)
    ),
    "Inbound": record({"success": SUCCESS, "inbound": array(_INBOUND), "before": BEFORE}),
    "Channels": record({"success": SUCCESS, "channels": array(_CHANNEL)}),
    "Limits": record({"success": SUCCESS, "limits": array(_LIMITS)}),
}
