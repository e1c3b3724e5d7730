"""JSON schemas of the answers, for the OpenAPI description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
YES_OR_NO: Schema = {"type": "boolean"}
ID: Schema = {"type": "string", "format": "uuid"}
ID_OR_NULL: Schema = {"type": ["string", "null"], "format": "uuid"}
INSTANT: Schema = {"type": "string", "format": "date-time"}
INSTANT_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
LINK: Schema = {"type": "string", "format": "uri-reference"}
COUNTS: Schema = {"type": "object", "additionalProperties": {"type": "integer"}}
SUCCESS: Schema = {"const": True}
STATUS: Schema = {
    "enum": ["queued", "running", "continued", "succeeded", "partial", "failed", "skipped"]
}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _object(
    properties: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None
) -> Schema:
    return {
        "type": "object",
        "required": list(properties),
        "properties": {**properties, **(optional or {})},
    }


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
    "results": _list(
        _object({"id": TEXT, "status": TEXT, "count": {"type": "integer"}}, {"error": TEXT_OR_NULL})
    ),
    "statusUrl": LINK,
}
_SOMETIMES: Mapping[str, Schema] = {
    "error": {"type": "string", "description": "When it failed: why, in French."},
    "errors": _list(
        {
            "type": "object",
            "properties": dict.fromkeys(
                ("businessId", "subject", "step", "code", "error"), TEXT_OR_NULL
            ),
        }
    ),
    "dryRun": YES_OR_NO,
    "report": {
        "type": ["object", "null"],
        "properties": {
            name: _list({"type": "object"}) for name in ("messages", "changes", "left_out")
        },
    },
}
_STORED: Mapping[str, Schema] = {
    "job": TEXT,
    "zone": TEXT,
    "door": TEXT,
    "requestedBy": TEXT,
    "reason": TEXT,
    "force": YES_OR_NO,
    "slotFrom": INSTANT_OR_NULL,
    "slotTo": INSTANT_OR_NULL,
    "asOf": INSTANT_OR_NULL,
    "createdAt": INSTANT,
    "startedAt": INSTANT_OR_NULL,
    "heartbeatAt": INSTANT_OR_NULL,
    "finishedAt": INSTANT_OR_NULL,
    "progress": _object(
        {
            "step": TEXT_OR_NULL,
            "position": {"type": "integer"},
            "items": {"type": ["integer", "null"]},
        }
    ),
}
_STATE = _object(
    {
        "zone": TEXT,
        "coveredThrough": INSTANT,
        "nextSlot": INSTANT_OR_NULL,
        "running": YES_OR_NO,
        "unfinishedRunId": ID_OR_NULL,
        "rerunId": ID_OR_NULL,
        "retryAt": INSTANT_OR_NULL,
        "pausedAt": INSTANT_OR_NULL,
        "pausedBy": TEXT_OR_NULL,
        "pauseReason": TEXT_OR_NULL,
    }
)
_LAST_RUN = _object(
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
    "Run": _object(_ALWAYS, {**_OF_A_RUN, **_SOMETIMES, "runs": _list(_ref("ZoneRun"))}),
    "ZoneRun": _object({**_ALWAYS, **_OF_A_RUN}, _SOMETIMES),
    "StoredRun": _object({**_ALWAYS, **_OF_A_RUN, **_STORED}, _SOMETIMES),
    "Runs": _object({"success": SUCCESS, "runs": _list(_ref("StoredRun"))}),
    "Job": _object(
        {
            "name": TEXT,
            "title": TEXT,
            "schedule": TEXT,
            "zone": TEXT,
            "paused": YES_OR_NO,
            "states": _list(_STATE),
            "lastRun": {"anyOf": [_LAST_RUN, {"type": "null"}]},
        }
    ),
    "Jobs": _object({"success": SUCCESS, "jobs": _list(_ref("Job"))}),
    "ChangedJob": _object(
        {"success": SUCCESS, "message": TEXT, "timestamp": INSTANT, "job": _ref("Job")}
    ),
    "Health": _object(
        {"success": SUCCESS, "status": {"const": "ok"}}
        | dict.fromkeys(("stage", "version"), TEXT)
        | {"timestamp": INSTANT},
        {"schema": {**_list(TEXT), "description": "With `deep`: the database's revisions."}},
    ),
    "OpenApi": {
        "type": "object",
        "required": ["openapi", "info", "paths"],
        "properties": {"openapi": TEXT, "info": {"type": "object"}, "paths": {"type": "object"}},
    },
    "Error": _object(
        {
            "success": {"const": False},
            "error": {"type": "string", "description": "What happened and what to do, in French."},
        },
        {"message": TEXT},
    ),
}

# What a route answers when all is well; one that is not here answers a `Run`.
ANSWERS: Mapping[tuple[str, str], str] = {
    ("GET", "/jobs"): "Jobs",
    ("POST", "/jobs/{job}/pause"): "ChangedJob",
    ("POST", "/jobs/{job}/resume"): "ChangedJob",
    ("GET", "/jobs/{job}/runs"): "Runs",
    ("GET", "/runs/{id}"): "StoredRun",
    ("GET", "/health"): "Health",
    ("HEAD", "/health"): "Health",
    ("GET", "/openapi.json"): "OpenApi",
}
