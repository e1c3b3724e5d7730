"""What a caller is told: HTTP status and JSON, with the French sentence that a person reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from chalicelib import jobs
from chalicelib.errors import BadRequest, Conflict, NotFound, PonctuelError
from chalicelib.routes.call import Call
from chalicelib.runner.ledger import FINISHED

Row = Mapping[str, Any]
# Fields of a compatibility answer besides the common ones, from the call and the run.
Fields = Callable[[Call, Row], Mapping[str, Any]]

STATUS = {BadRequest: 400, NotFound: 404, Conflict: 409}
# The worst comes last. Nothing is said of success while a run is going on.
SUCCESS: Mapping[str, bool | None] = {
    "succeeded": True,
    "skipped": True,
    "partial": False,
    "continued": None,
    "running": None,
    "queued": None,
    "failed": False,
}
# JSON of a table's own columns, whose names are data.
KEPT = {"content", "counts", "report"}
SEVERITY = {status: rank for rank, status in enumerate(SUCCESS)}


@dataclass(frozen=True)
class Answer:
    """`body`: a mapping is written as JSON; a text goes as it is, with the Content-Type that
    `headers` give it (plain text by default)."""

    body: Mapping[str, Any] | str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def timestamp(instant: datetime | None = None) -> str:
    """`2026-03-10T09:00:00.000Z`; now by default."""
    text = (instant or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def failure(error: PonctuelError) -> Answer:
    """What one of our own errors says, without its cause."""
    return Answer({"success": False, "error": str(error)}, STATUS.get(type(error), 500))


def of_runs(
    call: Call,
    rows: Sequence[Row],
    *,
    message: str | None = None,
    fields: Fields | None = None,
) -> Answer:
    """The answer to a call that asked for these runs (one per zone), finished or not: the worst one
    decides, so that no zone's failure hides behind another's success. `message` is the sentence of
    success, instead of the job's own."""
    if not rows:
        # No business is active, or a quiet job found nothing to do and left no row.
        sentence = "Rien à faire."
        return Answer({"success": True, "message": sentence, "timestamp": timestamp()})
    worst = max(rows, key=lambda row: SEVERITY[row["status"]])
    counts: Counter[str] = Counter()
    for row in rows:
        counts.update(row["counts"])
    whole = dict(worst) | {
        "counts": dict(counts),
        "results": [result for row in rows for result in row["results"]],
        "errors": [error for row in rows for error in row["errors"]],
    }
    body = summary(call, whole, message=message)
    if fields is not None:
        body |= fields(call, whole)
    if len(rows) > 1:
        body["runs"] = [summary(call, row, message=message) for row in rows]
    status: str = worst["status"]
    if status not in FINISHED:
        return Answer(body, 202, {"Location": body["statusUrl"], "Retry-After": "10"})
    return Answer(body, _code(call, status))


def summary(call: Call, row: Row, *, message: str | None = None) -> dict[str, Any]:
    """The fields that every answer of a run has; `success` is null while it is not known."""
    status: str = row["status"]
    sentence = _sentence(row, message)
    said = {"error": sentence} if status == "failed" else {}
    return {
        "success": SUCCESS[status],
        "message": sentence,
        **said,
        "timestamp": timestamp(row["finished_at"]),
        "runId": str(row["id"]),
        "status": status,
        "counts": row["counts"],
        "results": row["results"],
        **({"errors": [_subject(error) for error in row["errors"]]} if row.get("errors") else {}),
        **({"dryRun": True, "report": row.get("report")} if row["dry_run"] else {}),
        "statusUrl": call.link(f"/runs/{row['id']}"),
    }


def plain(value: Any) -> Any:
    """Rows of the database as JSON: keys in camelCase, instants as `timestamp`, days as ISO 8601,
    amounts and ids as text. What is kept as JSON already (`KEPT`) stays as it is."""
    if isinstance(value, Mapping):
        return {
            camel(name): item if name in KEPT and isinstance(item, Mapping) else plain(item)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | UUID) else value


def document(call: Call, row: Row) -> dict[str, Any]:
    """A run as `GET /runs/{id}` shows it: its answer, and where it comes from. `detail`: what the
    ledger says besides the status."""
    instants = ("slot_from", "slot_to", "as_of", "created_at", "started_at", "heartbeat_at")
    return summary(call, row) | {
        "number": row["number"],
        "job": row["job"],
        "zone": row["zone"],
        "door": row["door"],
        "requestedBy": row["requested_by"],
        "reason": row["reason"],
        "dryRun": row["dry_run"],
        "force": row["force"],
        "errorCode": row["error_code"],
        "detail": row["error"],
        **{camel(name): timestamp(row[name]) if row[name] else None for name in instants},
        "finishedAt": timestamp(row["finished_at"]) if row["finished_at"] else None,
        "progress": {"step": row["step"], "position": row["position"], "items": row.get("items")},
        **({"messageErrors": plain(row["message_errors"])} if row.get("message_errors") else {}),
    }


def _code(call: Call, status: str) -> int:
    if status == "failed" or (status == "partial" and call.flag("strict")):
        return 500
    return 200


def _sentence(row: Row, message: str | None) -> str:
    status, title, error = row["status"], jobs.title_of(row["job"]), row["error"]
    if status == "succeeded":
        if row["dry_run"]:
            return _rehearsed(row["counts"])
        known = row["job"] in jobs.NAMES
        return message or (jobs.job(row["job"]).summary if known else "Terminé avec succès")
    if status == "partial":
        return f"{title} : terminé en partie. {error or 'Voir le détail.'}"
    if status == "queued":
        return f"{title} : {error or 'demande enregistrée, le traitement va commencer.'}"
    if status == "running":
        return f"{title} : traitement en cours."
    if status == "continued":
        again = f" Un essai a échoué et sera refait : {error}" if error else ""
        return f"{title} : traitement en plusieurs fois, la suite est prévue.{again}"
    return error or ("Rien n'a été fait." if status == "skipped" else "Le traitement a échoué.")


def _rehearsed(counts: Mapping[str, int]) -> str:
    told = ", ".join(
        f"{counts.get(name, 0)} {one if counts.get(name, 0) < 2 else many}"
        for name, one, many in (
            ("messages", "message", "messages"),
            ("changes", "changement", "changements"),
            ("left_out", "élément laissé de côté", "éléments laissés de côté"),
        )
    )
    return f"Simulation : {told}. Rien n'a été envoyé ni modifié."


def _subject(error: Row) -> dict[str, Any]:
    return {
        "businessId": error["business_id"],
        "subject": error["item"],
        "step": error["step"],
        "code": error["code"],
        "error": error["error"],
    }


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
