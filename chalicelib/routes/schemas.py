"""JSON schemas of the answers, for the OpenAPI description."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.outbox.operator import ACTS
from chalicelib.routes.account_schemas import ACCOUNTS, ANSWERED
from chalicelib.routes.acting_schemas import ACTING
from chalicelib.routes.contact_schemas import CONTACT_ANSWERS, CONTACT_LISTS
from chalicelib.routes.leads_schemas import LEADS, LEADS_WAITING
from chalicelib.routes.operating_schemas import OPERATING
from chalicelib.routes.schema_terms import (
    COUNTS,
    ID,
    ID_OR_NULL,
    INSTANT,
    INSTANT_OR_NULL,
    LINK,
    NUMBER,
    NUMBER_OR_NULL,
    STATUS,
    SUCCESS,
    TEXT,
    TEXT_OR_NULL,
    YES_OR_NO,
    Schema,
    array,
    record,
    ref,
)

_ALWAYS: Mapping[str, Schema] = {
    "success": {
        "type": ["boolean", "null"],
        "description": "true: succeeded or skipped; false: partial or failed; null: going on.",
    },
    "message": {"type": "string", "description": "A French sentence."},
    "timestamp": INSTANT,
}
_OF_A_RUN: Mapping[str, Schema] = {
    "runId": ID,
    "status": STATUS,
    "counts": COUNTS,
    "results": array(
        record({"id": TEXT, "status": TEXT, "count": NUMBER}, {"error": TEXT_OR_NULL})
    ),
    "statusUrl": LINK,
}
_SOMETIMES: Mapping[str, Schema] = {
    "error": {"type": "string", "description": "When it failed: why, in French."},
    "errors": array(
        {
            "type": "object",
            "properties": dict.fromkeys(
                ("businessId", "subject", "step", "code", "error"), TEXT_OR_NULL
            ),
        }
    ),
    "dryRun": YES_OR_NO,
    "messageErrors": array(
        record({"id": NUMBER, "businessId": TEXT, "subject": TEXT, "state": TEXT})
    ),
    "report": {
        "type": ["object", "null"],
        "properties": {
            name: array({"type": "object"}) for name in ("messages", "changes", "left_out")
        },
    },
}
_STORED: Mapping[str, Schema] = {
    "number": {"type": "integer", "description": "What people call it by."},
    "job": TEXT,
    "zone": TEXT,
    "door": TEXT,
    "requestedBy": TEXT,
    "reason": TEXT,
    "force": YES_OR_NO,
    "errorCode": TEXT_OR_NULL,
    "detail": {"type": ["string", "null"], "description": "What the ledger says besides."},
    "slotFrom": INSTANT_OR_NULL,
    "slotTo": INSTANT_OR_NULL,
    "asOf": INSTANT_OR_NULL,
    "createdAt": INSTANT,
    "startedAt": INSTANT_OR_NULL,
    "heartbeatAt": INSTANT_OR_NULL,
    "finishedAt": INSTANT_OR_NULL,
    "progress": record(
        {
            "step": TEXT_OR_NULL,
            "position": NUMBER,
            "items": NUMBER_OR_NULL,
        }
    ),
}
_STATE_LAST_RUN = record(
    {
        "runId": ID,
        "number": NUMBER,
        "status": STATUS,
        "startedAt": INSTANT_OR_NULL,
        "finishedAt": INSTANT_OR_NULL,
    }
)
_STATE = record(
    {
        "zone": TEXT,
        "coveredThrough": INSTANT_OR_NULL,
        "nextSlot": INSTANT_OR_NULL,
        "nextSlots": array(INSTANT),
        "lastRun": {"anyOf": [_STATE_LAST_RUN, {"type": "null"}]},
        "running": YES_OR_NO,
        "unfinishedRunId": ID_OR_NULL,
        "rerunId": ID_OR_NULL,
        "retryAt": INSTANT_OR_NULL,
        "pausedAt": INSTANT_OR_NULL,
        "pausedBy": TEXT_OR_NULL,
        "pauseReason": TEXT_OR_NULL,
    },
    {"error": {"type": "string", "description": "Why there are no slots, in French."}},
)
_LAST_RUN = record(
    {
        "runId": ID,
        "status": STATUS,
        "door": TEXT,
        "counts": COUNTS,
        "error": TEXT_OR_NULL,
        "createdAt": INSTANT,
        "finishedAt": INSTANT_OR_NULL,
        "statusUrl": LINK,
    }
)

SCHEMAS: Mapping[str, Schema] = {
    # Without a run, when there was no business to run for.
    "Run": record(_ALWAYS, {**_OF_A_RUN, **_SOMETIMES, "runs": array(ref("ZoneRun"))}),
    "LeadsRun": record(_ALWAYS, {**_OF_A_RUN, **_SOMETIMES, **LEADS_WAITING}),
    "ZoneRun": record({**_ALWAYS, **_OF_A_RUN}, _SOMETIMES),
    "StoredRun": record({**_ALWAYS, **_OF_A_RUN, **_STORED}, _SOMETIMES),
    "Runs": record({"success": SUCCESS, "runs": array(ref("StoredRun"))}),
    "Job": record(
        {
            "name": TEXT,
            "title": TEXT,
            "schedule": TEXT,
            "zone": TEXT,
            "paused": YES_OR_NO,
            "states": array(_STATE),
            "lastRun": {"anyOf": [_LAST_RUN, {"type": "null"}]},
        },
        {"error": {"type": "string", "description": "An unusable setting, in French."}},
    ),
    "Jobs": record({"success": SUCCESS, "jobs": array(ref("Job"))}),
    "ChangedJob": record(
        {"success": SUCCESS, "message": TEXT, "timestamp": INSTANT, "job": ref("Job")}
        | {"zones": array(TEXT)}
    ),
    **OPERATING,
    **ACTING,
    **CONTACT_LISTS,
    **ACCOUNTS,
    **LEADS,
    "Health": record(
        {"success": SUCCESS, "status": {"const": "ok"}}
        | dict.fromkeys(("stage", "version"), TEXT)
        | {"timestamp": INSTANT},
        {"schema": {**array(TEXT), "description": "With `deep`: the database's revisions."}},
    ),
    "Received": record({"success": SUCCESS, "received": NUMBER}),
    "OpenApi": {
        "type": "object",
        "required": ["openapi", "info", "paths"],
        "properties": {"openapi": TEXT, "info": {"type": "object"}, "paths": {"type": "object"}},
    },
    "Error": record(
        {
            "success": {"const": False},
            "error": {"type": "string", "description": "What happened and what to do, in French."},
        },
        {"message": TEXT},
    ),
}

# What a route answers when all is well; one that is not here answers a `Run`.
ANSWERS: Mapping[tuple[str, str], str] = {
    ("GET", "/gestion/auto-relance"): "LeadsRun",
    ("POST", "/gestion/auto-relance"): "LeadsRun",
    ("GET", "/leads"): "Leads",
    ("GET", "/leads/explain"): "ExplainedLeads",
    ("POST", "/leads/pause"): "PausedLead",
    ("POST", "/leads/resume"): "PausedLead",
    ("POST", "/closers/link"): "CloserLink",
    ("POST", "/closers/revoke"): "RevokedLinks",
    ("GET", "/jobs"): "Jobs",
    ("POST", "/jobs/{job}/pause"): "ChangedJob",
    ("POST", "/jobs/{job}/resume"): "ChangedJob",
    ("GET", "/jobs/{job}/runs"): "Runs",
    ("GET", "/runs"): "Runs",
    ("GET", "/runs/{id}"): "StoredRun",
    ("GET", "/messages"): "Messages",
    ("GET", "/messages/{id}"): "Message",
    **{("POST", f"/messages/{verb}"): "Acted" for verb in ACTS},
    **{("POST", f"/messages/{{id}}/{verb}"): "Acted" for verb in ACTS},
    ("POST", "/go-live"): "WentLive",
    ("GET", "/inbound"): "Inbound",
    ("GET", "/channels"): "Channels",
    ("GET", "/limits"): "Limits",
    ("POST", "/limits"): "Limits",
    **CONTACT_ANSWERS,
    ("GET", "/followups/explain"): "Explained",
    ("GET", "/followups/pending"): "Pending",
    ("POST", "/followups/decisions"): "Decided",
    **ANSWERED,
    ("GET", "/quarantine"): "Quarantine",
    ("GET", "/health"): "Health",
    ("HEAD", "/health"): "Health",
    ("POST", "/webhooks/twilio/status"): "Received",
    ("POST", "/webhooks/meta"): "Received",
    ("POST", "/webhooks/ses"): "Received",
    ("GET", "/openapi.json"): "OpenApi",
}
