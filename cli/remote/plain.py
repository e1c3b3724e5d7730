"""JSON of the routes as the plain data that the database gives: snake_case keys, instants, days."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

# JSON of a table's own columns, whose names are data (`routes.answers.KEPT`).
KEPT = {"content", "counts", "report"}
_INSTANTS = {
    "at",
    "slot_from",
    "slot_to",
    "as_of",
    "covered_through",
    "not_before",
    "next_not_before",
    "next_slot",
    "next_slots",
}


def plain(value: Any, name: str = "") -> Any:
    """The value of the key `name`. What cannot be read as its name says is left as it is."""
    if isinstance(value, dict):
        if name in KEPT:
            return value
        return {snake(key): plain(item, snake(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, "" if isinstance(item, dict) else name) for item in value]
    if isinstance(value, str):
        return _text(value, name)
    return value


def snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), name)


def _text(value: str, name: str) -> object:
    try:
        if name in _INSTANTS or name.endswith("_at"):
            found = datetime.fromisoformat(value)
            return found if found.tzinfo else value
        if name.endswith(("_on", "_until")):
            return date.fromisoformat(value)
        return Decimal(value) if name == "amount" else value
    except (ValueError, InvalidOperation):
        return value


def run(document: dict[str, Any]) -> dict[str, Any]:
    """A run of `GET /runs` or `GET /runs/{id}` as `run_detail` has it."""
    row = plain(document)
    progress = row.get("progress") or {}
    found: dict[str, Any] = {"id": row.get("run_id")} | {
        name: row.get(name)
        for name in (
            "number", "job", "zone", "door", "requested_by", "reason", "slot_from", "slot_to",
            "as_of", "dry_run", "force", "status", "created_at", "started_at", "heartbeat_at",
            "finished_at",
        )
    }  # fmt: skip
    return found | {
        "step": progress.get("step"),
        "position": progress.get("position"),
        "counts": row.get("counts") or {},
        "results": row.get("results") or [],
        "error_code": row.get("error_code"),
        # A version before `detail` tells it in the sentence.
        "error": row["detail"] if "detail" in row else row.get("error"),
    }


def detail(document: dict[str, Any]) -> dict[str, Any]:
    """A run of `GET /runs/{id}`, with what went wrong in it and its report."""
    row = plain(document)
    return run(document) | {
        "items": (row.get("progress") or {}).get("items"),
        "report": row.get("report"),
        "errors": [
            {
                "step": error.get("step"),
                "business_id": error.get("business_id"),
                "item": error.get("subject"),
                "code": error.get("code"),
                "error": error.get("error"),
            }
            for error in row.get("errors") or []
        ],
        "message_errors": row.get("message_errors") or [],
    }
