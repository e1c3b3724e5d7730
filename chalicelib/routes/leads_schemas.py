"""JSON schemas of what is told about leads."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.routes.operating_schemas import OBSTACLES
from chalicelib.routes.schema_terms import (
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
)

# What the answer of a run has besides.
LEADS_WAITING: Mapping[str, Schema] = {
    "checked": NUMBER,
    "due": NUMBER,
    "leads": array(
        record(
            dict.fromkeys(("leadId", "businessId", "name", "phone"), TEXT)
            | {"whatsappLink": TEXT_OR_NULL, "followupNumber": NUMBER}
        )
    ),
}
_FOLLOWUP = record(
    dict.fromkeys(("cycle", "mode", "state"), TEXT)
    | {"number": NUMBER, "proposedAt": INSTANT, "expiresAt": INSTANT}
    | dict.fromkeys(("reason", "closerId", "settledBy"), TEXT_OR_NULL)
    | dict.fromkeys(("openedAt", "acceptedAt", "settledAt"), INSTANT_OR_NULL)
)
_SENT = {"followups": NUMBER, "lastFollowupAt": INSTANT_OR_NULL}
_PAUSE = record(
    {"reason": {"enum": ["paused", "resumed"]}, "at": INSTANT, "by": TEXT, "why": TEXT}
    | {"endsAt": INSTANT_OR_NULL, "inForce": YES_OR_NO}
)
_LEAD = record(
    dict.fromkeys(("businessId", "id", "name", "stage"), TEXT)
    | dict.fromkeys(("mode", "closerId", "reason", "reasonText"), TEXT_OR_NULL)
    | {"nextNumber": NUMBER_OR_NULL, "dueAt": INSTANT_OR_NULL, "opensAt": INSTANT_OR_NULL}
    | {"obstacles": OBSTACLES, "sent": record(_SENT), "followups": array(_FOLLOWUP)}
    | {"pauses": array(_PAUSE)}
)
_LISTED = record(
    dict.fromkeys(("businessId", "id", "name", "stage", "mode"), TEXT)
    | dict.fromkeys(("closerId", "reason", "reasonText", "state", "pauseWhy"), TEXT_OR_NULL)
    | {"nextNumber": NUMBER_OR_NULL, "stateNumber": NUMBER_OR_NULL, "paused": YES_OR_NO}
    | dict.fromkeys(("dueAt", "acceptedAt", "pauseEndsAt"), INSTANT_OR_NULL)
    | _SENT
)
_CLOSER = dict.fromkeys(("businessId", "userId", "name"), TEXT)
LEADS: Mapping[str, Schema] = {
    "ExplainedLeads": record({"success": SUCCESS, "leads": array(_LEAD)}),
    "Leads": record({"success": SUCCESS, "leads": array(_LISTED)}),
    "PausedLead": record(
        {"success": SUCCESS, "businessId": TEXT, "id": TEXT, "paused": YES_OR_NO}
        | {"endsAt": INSTANT_OR_NULL, "why": TEXT}
    ),
    "CloserLink": record(
        {"success": SUCCESS}
        | _CLOSER
        | {"link": {"type": "string", "format": "uri"}}
        | {"endsAt": INSTANT}
    ),
    "RevokedLinks": record({"success": SUCCESS} | _CLOSER | {"revokedAt": INSTANT}),
}
