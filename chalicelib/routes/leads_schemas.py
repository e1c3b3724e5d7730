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
    | dict.fromkeys(("openedAt", "settledAt"), INSTANT_OR_NULL)
)
_LEAD = record(
    dict.fromkeys(("businessId", "id", "name", "stage"), TEXT)
    | dict.fromkeys(("mode", "closerId", "reason", "reasonText"), TEXT_OR_NULL)
    | {"nextNumber": NUMBER_OR_NULL, "dueAt": INSTANT_OR_NULL, "opensAt": INSTANT_OR_NULL}
    | {"obstacles": OBSTACLES, "followups": array(_FOLLOWUP)}
)
LEADS: Mapping[str, Schema] = {
    "ExplainedLeads": record({"success": SUCCESS, "leads": array(_LEAD)}),
}
