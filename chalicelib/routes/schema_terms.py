"""The terms in which the JSON schemas of the answers are written."""

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
NUMBER: Schema = {"type": "integer"}
NUMBER_OR_NULL: Schema = {"type": ["integer", "null"]}
BEFORE: Schema = {**NUMBER_OR_NULL, "description": "What to ask the next page with."}
SUCCESS: Schema = {"const": True}
STATUS: Schema = {
    "enum": ["queued", "running", "continued", "succeeded", "partial", "failed", "skipped"]
}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def record(
    properties: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None
) -> Schema:
    return {
        "type": "object",
        "required": list(properties),
        "properties": {**properties, **(optional or {})},
    }
