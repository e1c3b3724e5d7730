"""JSON schemas of what operators read: messages, relances, what is set aside."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.routes.schema_terms import (
    BEFORE,
    ID_OR_NULL,
    INSTANT,
    INSTANT_OR_NULL,
    NUMBER,
    NUMBER_OR_NULL,
    SUCCESS,
    TEXT,
    TEXT_OR_NULL,
    YES_OR_NO,
    Schema,
    array,
    record,
    ref,
)

DAY_OR_NULL: Schema = {"type": ["string", "null"], "format": "date"}
_ERROR: dict[str, Schema] = {"errorCode": TEXT_OR_NULL, "error": TEXT_OR_NULL}
_MESSAGE: Mapping[str, Schema] = {
    "id": NUMBER,
    "businessId": TEXT,
    "kind": TEXT,
    "subject": TEXT,
    "step": TEXT,
    "channel": TEXT,
    "person": TEXT,
    "recipient": TEXT_OR_NULL,
    "contact": {"type": ["string", "null"], "description": "Whom it went to: address, E.164."},
    "state": TEXT,
    "holdReason": TEXT_OR_NULL,
    "plannedAt": INSTANT,
    "notBefore": INSTANT,
    "expiresAt": INSTANT,
    "settledAt": INSTANT_OR_NULL,
    "attempts": NUMBER,
    **_ERROR,
}
_EVENT = record({"at": INSTANT} | dict.fromkeys(("event", "actor", "reason"), TEXT))
_REPLY = record(
    {"id": NUMBER, "at": INSTANT, "intent": TEXT_OR_NULL}
    | dict.fromkeys(("contact", "kind", "text"), TEXT)
)
_LETTER = record(
    {"ready": {"type": ["boolean", "null"]}, "reason": TEXT_OR_NULL, "why": TEXT_OR_NULL}
)
_PREVIEW = record(dict.fromkeys(("subject", "text", "reason", "why"), TEXT_OR_NULL))
_LEVEL = record(
    {
        "level": NUMBER,
        "cycle": TEXT,
        "messageId": NUMBER,
        "state": TEXT,
        "holdReason": TEXT_OR_NULL,
        "plannedAt": INSTANT,
        "submittingAt": INSTANT_OR_NULL,
        "settledAt": INSTANT_OR_NULL,
        "notBefore": INSTANT,
        "expiresAt": INSTANT,
        **_ERROR,
    }
)
_DECISION = record(
    {
        "cycle": TEXT,
        "level": NUMBER,
        "decision": TEXT,
        "decidedAt": INSTANT,
        "decidedBy": TEXT,
        "reason": TEXT,
    }
)
OBSTACLES = record(
    {"pauseReason": TEXT_OR_NULL}
    | dict.fromkeys(("quarantined", "stageIsLive", "businessIsLive"), YES_OR_NO)
)
_DOCUMENT = record(
    dict.fromkeys(("businessId", "document", "id", "number", "customerId", "cycle"), TEXT)
    | dict.fromkeys(("customerName", "status", "amount", "currency"), TEXT_OR_NULL)
    | dict.fromkeys(("reason", "reasonText", "nextChannel"), TEXT_OR_NULL)
    | dict.fromkeys(("dueOn", "promisedUntil", "pausedUntil", "nextOn"), DAY_OR_NULL)
    | {
        "nextLevel": NUMBER_OR_NULL,
        "nextNotBefore": INSTANT_OR_NULL,
        "letter": {"anyOf": [_LETTER, {"type": "null"}]},
        "toHandle": NUMBER_OR_NULL,
        "obstacles": OBSTACLES,
        "messages": array(_LEVEL),
        "decisions": array(_DECISION),
    }
)
_TO_HANDLE = record(
    dict.fromkeys(("businessId", "document", "number", "customerId", "state"), TEXT)
    | {"customerName": TEXT_OR_NULL, "level": NUMBER, "messageId": NUMBER, "at": INSTANT_OR_NULL}
    | _ERROR
)
_STUCK = record(
    {"businessId": TEXT, "customerId": TEXT, "state": TEXT, "messageId": NUMBER, "at": INSTANT}
    | dict.fromkeys(("document", "number", "level", "holdReason"), TEXT_OR_NULL)
    | _ERROR
)
_SET_ASIDE = record(
    dict.fromkeys(("job", "step", "businessId", "item"), TEXT)
    | {"at": INSTANT, "reason": TEXT_OR_NULL, "runId": ID_OR_NULL, "runNumber": NUMBER_OR_NULL}
)
_COUNT = record({"state": TEXT, "holdReason": TEXT_OR_NULL, "count": NUMBER})

OPERATING: Mapping[str, Schema] = {
    "ListedMessage": record({**_MESSAGE, "number": TEXT_OR_NULL}),
    "Messages": record(
        {
            "success": SUCCESS,
            "counts": array(_COUNT),
            "messages": array(ref("ListedMessage")),
            "before": BEFORE,
        }
    ),
    "Message": record(
        {
            "success": SUCCESS,
            **_MESSAGE,
            "cycle": TEXT,
            "content": {"type": "object"},
            "runId": ID_OR_NULL,
            "runNumber": NUMBER_OR_NULL,
            "submittingAt": INSTANT_OR_NULL,
            "provider": TEXT_OR_NULL,
            "providerId": TEXT_OR_NULL,
            "messageId": TEXT_OR_NULL,
            "title": {"type": ["string", "null"], "description": "The subject that was sent."},
            "text": {"type": ["string", "null"], "description": "The text that was sent."},
            "attachments": {"type": ["array", "null"], "items": {"type": "object"}},
            "lines": array({"type": "object"}),
            "proofs": {"type": "integer", "description": "How often a proof was looked for."},
            "proofAt": INSTANT_OR_NULL,
            "resends": {"type": "integer", "description": "By its kind's policy."},
            "events": {**array(_EVENT), "description": "Its whole history, the oldest first."},
            "replies": array(_REPLY),
            "verdict": {"type": "string", "description": "Was it sent? A French sentence."},
            "preview": {
                "anyOf": [_PREVIEW, {"type": "null"}],
                "description": "One that has not left: as it would leave now.",
            },
        }
    ),
    "Explained": record({"success": SUCCESS, "documents": array(_DOCUMENT)}),
    "Pending": record({"success": SUCCESS, "toHandle": array(_TO_HANDLE), "stuck": array(_STUCK)}),
    "Quarantine": record({"success": SUCCESS, "items": array(_SET_ASIDE)}),
}
