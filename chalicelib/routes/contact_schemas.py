"""JSON schemas of the lists of who may be written to."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.routes.schema_terms import (
    BEFORE,
    INSTANT,
    INSTANT_OR_NULL,
    NUMBER,
    SUCCESS,
    TEXT,
    TEXT_OR_NULL,
    YES_OR_NO,
    Schema,
    array,
    record,
)

_WHOM: Mapping[str, Schema] = {"businessId": TEXT, "channel": TEXT, "contact": TEXT}
_ENTRY = record(
    {"id": NUMBER, **_WHOM, "at": INSTANT, "liftedAt": INSTANT_OR_NULL}
    | dict.fromkeys(("person", "category", "reason", "source", "note"), TEXT)
    | dict.fromkeys(("liftedBy", "liftReason"), TEXT_OR_NULL)
)
_CONSENT = record(
    {"id": NUMBER, **_WHOM, "person": TEXT, "grantedAt": INSTANT, "source": TEXT}
    | {"withdrawnAt": INSTANT_OR_NULL, "withdrawnBy": TEXT_OR_NULL}
)

CONTACT_LISTS: Mapping[str, Schema] = {
    "Suppressions": record({"success": SUCCESS, "suppressions": array(_ENTRY), "before": BEFORE}),
    "Suppressed": record(
        {"success": SUCCESS, "businessId": TEXT, "channel": TEXT, "contacts": array(TEXT)}
        | dict.fromkeys(("reason", "category", "person", "source", "note"), TEXT)
        | {"added": {"type": "integer", "description": "How many were not in force already."}}
    ),
    "Lifted": record(
        {
            "success": {"type": "boolean", "description": "false: some were not in force."},
            "lifted": array(NUMBER),
            "left": array(NUMBER),
        }
    ),
    "Consents": record({"success": SUCCESS, "consents": array(_CONSENT), "before": BEFORE}),
    "Granted": record(
        {"success": SUCCESS, **_WHOM, "granted": YES_OR_NO, "suppressions": array(NUMBER)}
    ),
    "Withdrawn": record({"success": SUCCESS, **_WHOM, "withdrawn": NUMBER}),
}
CONTACT_ANSWERS: Mapping[tuple[str, str], str] = {
    ("GET", "/suppressions"): "Suppressions",
    ("POST", "/suppressions"): "Suppressed",
    ("POST", "/suppressions/lift"): "Lifted",
    ("GET", "/consents"): "Consents",
    ("POST", "/consents"): "Granted",
    ("POST", "/consents/withdraw"): "Withdrawn",
}
