"""Why a document is not relanced now: the first condition that holds, its levels so far, and what
else stands in the way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.billing import decisions, queries
from chalicelib.domain.billing.calendar import calendar_at
from chalicelib.domain.billing.conditions import REASONS
from chalicelib.errors import BadRequest
from chalicelib.outbox.rehearsal import add_letters

JOB = "followups"
# Businesses that may share a number in one answer; each costs several statements.
MOST = 20
_REASONS = REASONS | {
    "key_taken": "à traiter : un message annulé par l'exploitant occupe ce niveau",
}

_CLOCK = text("SELECT ponctuel.clock()")
# What the next run would plan for that document, alone or as a line of a letter.
_NEXT = text(f"""
WITH batch AS (SELECT CAST(:business_id AS text) AS business_id, CAST(:item AS text) AS item),
planned AS ({queries.RELANCES})
SELECT p.*,
       (SELECT m.id FROM ponctuel.messages m
         WHERE m.business_id = p.business_id AND m.kind = p.kind AND m.subject = p.subject
           AND m.cycle = p.cycle AND m.step = p.step AND NOT m.key_free) AS taken_by
  FROM planned p
 WHERE (p.kind = :kind AND p.subject = :subject)
    OR (p.lines IS NOT NULL AND EXISTS (
         SELECT 1 FROM jsonb_to_recordset(p.lines) AS l(kind text, subject text)
          WHERE l.kind = :kind AND l.subject = :subject))
""")
# The document's own columns, from tables that may be other people's views: Python has no day for
# 'infinity', and a customer may be there twice.
_DAY = "CASE WHEN {0} BETWEEN '1900-01-01' AND '2999-12-31' THEN {0} END"
_DETAILS = text(f"""
SELECT d.status, d.amount, d.currency, {_DAY.format("d.due_on")} AS due_on,
       {_DAY.format("d.promised_until")} AS promised_until, c.name AS customer_name,
       {_DAY.format("c.paused_until")} AS paused_until
  FROM (SELECT 'invoice' AS document, business_id, id, customer_id, status, balance AS amount,
               currency, due_on, promised_until FROM ponctuel.invoices
        UNION ALL
        SELECT 'quote', business_id, id, customer_id, status, total, currency, valid_until,
               NULL::date FROM ponctuel.quotes) d
  LEFT JOIN ponctuel.customers c ON c.business_id = d.business_id AND c.id = d.customer_id
 WHERE d.document = :document AND d.business_id = :business_id AND d.id = :id LIMIT 1
""")
_OBSTACLES = text("""
SELECT (SELECT coalesce(pause_reason, '') FROM ponctuel.job_state
         WHERE job = :job AND paused_at IS NOT NULL LIMIT 1) AS pause_reason,
       EXISTS (SELECT 1 FROM ponctuel.quarantine
                WHERE job = :job AND business_id = :business_id AND item = :item
                  AND released_at IS NULL) AS quarantined,
       EXISTS (SELECT 1 FROM ponctuel.go_lives WHERE business_id = '*') AS stage_is_live,
       (SELECT count(*) FROM ponctuel.go_lives
         WHERE business_id = :business_id AND kind IN ('*', :kind)) = 2 AS business_is_live
""")


def explain(
    connection: Connection,
    document: str,
    number: str,
    *,
    business_id: str | None = None,
    force: bool = False,
) -> list[dict[str, Any]]:
    """For the document (`invoice` or `quote`) of each business that has the number: the first
    reason that holds (`reason`, a code, and `reason_text`, French; None when the next run plans
    it), whether its letter could be composed now (`letter`), its levels so far, decisions and
    obstacles around it. Raises `NotFound`, and `BadRequest` when too many businesses have it."""
    documents = decisions.find(connection, document, number, business_id)
    if len(documents) > MOST:
        raise BadRequest(f"{len(documents)} entreprises ont ce numéro : précisez laquelle.")
    now: datetime = connection.execute(_CLOCK).scalar_one()
    calendar = dict(calendar_at(connection, now, everyone=True).parameters)
    asked = {"document": document, "number": number, "business_id": business_id, "force": force}
    rows = connection.execute(text(queries.EXPLAIN), asked | calendar | {"now": now}).mappings()
    explained = {row["business_id"]: dict(row) for row in rows}
    parameters = calendar | {"force": force, "now": now}
    return [_one(connection, row, explained[row["business_id"]], parameters) for row in documents]


def _one(
    connection: Connection,
    row: Mapping[str, Any],
    explained: Mapping[str, Any],
    parameters: Mapping[str, Any],
) -> dict[str, Any]:
    where = {"business_id": row["business_id"], "item": row["customer_id"], "kind": row["kind"]}
    reason, planned = explained["reason"], None
    if reason is None:
        reason, planned = _planned(connection, {**where, "subject": row["id"], **parameters})
    details = connection.execute(
        _DETAILS, {name: row[name] for name in ("document", "business_id", "id")}
    )
    about = details.mappings().one()
    closed = reason == "not_open"
    obstacles = connection.execute(_OBSTACLES, where | {"job": JOB}).mappings().one()
    messages, decided = decisions.history(connection, row)
    return {
        **{name: row[name] for name in ("business_id", "document", "id", "number", "customer_id")},
        **{name: about[name] for name in ("customer_name", "status", "amount", "currency")},
        **{name: about[name] for name in ("due_on", "promised_until", "paused_until")},
        "cycle": row["cycle"],
        "reason": reason,
        "reason_text": _REASONS.get(reason, reason) if reason else None,
        "next_level": None if closed else explained["level"],
        "next_channel": None if closed else explained["channel"],
        "next_on": None if closed else explained["effective_on"],
        "next_not_before": planned["not_before"] if planned else None,
        "letter": planned.get("letter") if planned else None,
        "to_handle": row["problem_level"],
        "obstacles": dict(obstacles),
        "messages": messages,
        "decisions": decided,
    }


def _planned(
    connection: Connection, values: Mapping[str, Any]
) -> tuple[str | None, dict[str, Any] | None]:
    """What the next run would plan, when no condition speaks against it by itself; or the reason
    why it would not."""
    row = connection.execute(_NEXT, values).mappings().first()
    if row is None:
        return "customer_waits", None
    if row["taken_by"]:
        return "key_taken", None
    planned = dict(row)
    add_letters(connection, [planned], values["now"])
    return None, planned
