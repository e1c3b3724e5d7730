"""JSON schemas of the deletions of accounts."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.domain.accounts.deletions import REASONS, STATES
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

_DELETION = record(
    {
        "id": NUMBER,
        "businessId": TEXT,
        "userId": TEXT,
        "state": {"enum": list(STATES)},
        "scope": {
            "enum": ["user", "business", None],
            "description": "What is erased, from the lock on: the last user's business goes too.",
        },
        "zone": TEXT,
        "requestedAt": INSTANT,
        "requestedBy": {"enum": ["user", "operator", "application", "replay"]},
        "scheduledAt": INSTANT,
        "remainingDays": {
            "type": ["integer", "null"],
            "description": "Midnights on the user's clock; null where nothing is scheduled.",
        },
        "cancelledAt": INSTANT_OR_NULL,
        "cancelledBy": TEXT_OR_NULL,
        "blockedAt": INSTANT_OR_NULL,
        "blockedReason": {"enum": [*REASONS, None]},
        "why": {"type": ["string", "null"], "description": "The same in French."},
        "approvedAt": INSTANT_OR_NULL,
        "approvedBy": TEXT_OR_NULL,
        "postponed": NUMBER,
        "lockedAt": INSTANT_OR_NULL,
        "erasedAt": INSTANT_OR_NULL,
        "step": TEXT_OR_NULL,
        "errorCode": TEXT_OR_NULL,
    }
)
_HOLD = {
    "id": NUMBER,
    "businessId": TEXT,
    "userId": {"type": ["string", "null"], "description": "Null: the whole business."},
    "placedAt": INSTANT,
    "placedBy": TEXT,
    "reason": TEXT,
    "liftedAt": INSTANT_OR_NULL,
    "liftedBy": TEXT_OR_NULL,
    "liftReason": TEXT_OR_NULL,
}
ACCOUNTS: Mapping[str, Schema] = {
    "Deletion": record({"success": SUCCESS, "deletion": _DELETION}),
    "Deletions": record(
        {"success": SUCCESS, "deletions": array(_DELETION), "before": NUMBER_OR_NULL}
    ),
    "Hold": record({"success": SUCCESS, "hold": record(_HOLD, {"stopped": NUMBER})}),
    "Holds": record({"success": SUCCESS, "holds": array(record(_HOLD)), "before": NUMBER_OR_NULL}),
    "Approved": record({"success": SUCCESS, "approved": array(NUMBER), "left": array(NUMBER)}),
}
ANSWERED: Mapping[tuple[str, str], str] = {
    **{(method, "/users/{id}/deletion"): "Deletion" for method in ("GET", "POST", "DELETE")},
    ("GET", "/deletions"): "Deletions",
    ("POST", "/deletions/approve"): "Approved",
    ("GET", "/holds"): "Holds",
    ("POST", "/holds"): "Hold",
    ("POST", "/holds/{id}/lift"): "Hold",
}
