"""What the owner decides about a relance that did not go out: retry, skip the level, stop.

A level that was refused, bounced, came too late or was cancelled by an operator waits for that
decision; nothing of the document is sent meanwhile. The decision is kept in `followup_decisions`,
which may be a view: hence plain single-relation statements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import Connection, text

from chalicelib.domain.billing import queries
from chalicelib.domain.billing.calendar import calendar_at
from chalicelib.errors import BadRequest, NotFound

DecisionName = Literal["retry", "skip", "stop"]
DOCUMENTS: Mapping[str, str] = {"invoice": "facture", "quote": "devis"}

# Longer than any retry's wait and any pause of a night: somebody should look.
TOO_LONG = timedelta(hours=24)

# The level of a document (a row `f` of facts) that waits for a decision, and its message.
_PROBLEM = f"""
SELECT v.message_id, v.step::integer AS level, v.state, v.settled_at AS at, m.error_code, m.error
  FROM ponctuel.coverage v JOIN ponctuel.messages m ON m.id = v.message_id
 WHERE v.business_id = f.business_id AND v.kind = f.kind AND v.subject = f.id
   AND v.cycle = f.cycle AND {queries.WENT_WRONG.format(v="v")}
   AND v.step::integer > COALESCE(f.last_level, 0)
   AND NOT EXISTS (
     SELECT 1 FROM ponctuel.followup_decisions x
      WHERE x.business_id = f.business_id AND x.document = f.document AND x.document_id = f.id
        AND x.cycle = f.cycle AND x.level = v.step::integer AND x.decided_at >= v.settled_at)
 ORDER BY v.step::integer DESC, v.message_id DESC LIMIT 1
"""

_ONE = f"""
WITH {
    queries.with_facts(
        invoices="WHERE i.number = :number AND :document = 'invoice'",
        quotes="WHERE q.number = :number AND :document = 'quote'",
    )
}
SELECT f.business_id, f.document, f.kind, f.id, f.number, f.cycle, f.customer_id, f.open, f.stopped,
       f.in_flight, f.last_level, f.level AS next_level, p.level AS problem_level, p.message_id
  FROM facts f LEFT JOIN LATERAL ({_PROBLEM}) p ON true
 WHERE CAST(:business_id AS text) IS NULL OR f.business_id = :business_id
 ORDER BY f.business_id
"""

_SUSPECT = f"""
SELECT v.business_id, v.subject FROM ponctuel.coverage v
 WHERE v.kind = '{{kind}}' AND {queries.WENT_WRONG.format(v="v")}
"""

_TO_HANDLE = f"""
WITH {
    queries.with_facts(
        invoices="WHERE i.status IN ('sent','partial','overdue') AND (i.business_id, i.id) IN "
        f"({_SUSPECT.format(kind=queries.INVOICE)})",
        quotes="WHERE q.status = 'sent' AND (q.business_id, q.id) IN "
        f"({_SUSPECT.format(kind=queries.QUOTE)})",
    )
}
SELECT f.business_id, f.document, f.number, f.customer_id, f.customer_name, p.level, p.message_id,
       p.state, p.at, p.error_code, p.error
  FROM facts f JOIN LATERAL ({_PROBLEM}) p ON true
 WHERE NOT f.stopped AND NOT f.in_flight
   AND (CAST(:business_id AS text) IS NULL OR f.business_id = :business_id)
 ORDER BY p.at, f.business_id, f.number LIMIT :limit
"""

_STUCK = text(f"""
SELECT m.business_id, m.content->>'document' AS document, m.content->>'number' AS number,
       m.person AS customer_id, m.content->>'level' AS level, m.id AS message_id, m.state,
       m.hold_reason, m.planned_at AS at, m.error_code, m.error
  FROM ponctuel.messages m
 WHERE m.kind IN {queries.KINDS} AND m.state IN ('planned','held','claimed','submitting')
   AND m.planned_at <= ponctuel.clock() - CAST(:too_long AS interval)
   AND NOT (m.state = 'held' AND m.hold_reason IN ('window','quiet')
            AND m.not_before > ponctuel.clock())
   AND (CAST(:business_id AS text) IS NULL OR m.business_id = :business_id)
 ORDER BY m.planned_at, m.id LIMIT :limit
""")

_OF_DOCUMENT = """business_id = :business_id AND document = :document
   AND document_id = :document_id AND cycle = :cycle"""
_FORGET = text(f"""
DELETE FROM ponctuel.followup_decisions
 WHERE {_OF_DOCUMENT} AND (level = :level OR (decision = 'stop' AND :decision = 'retry'))
""")
_DECIDE = text("""
INSERT INTO ponctuel.followup_decisions
       (business_id, document, document_id, cycle, level, decision, decided_at, decided_by, reason)
SELECT :business_id, :document, :document_id, :cycle, :level, :decision, ponctuel.clock(), :by,
       :reason
""")

# The failed message's key is free for a new one; a letter's too, for the lines decided upon.
_RECORD = text(f"""
WITH decided AS (
  SELECT DISTINCT v.message_id AS id FROM ponctuel.coverage v
   WHERE v.business_id = :business_id AND v.kind = :kind AND v.subject = :document_id
     AND v.cycle = :cycle AND v.step = CAST(:level AS text) AND {queries.WENT_WRONG.format(v="v")}
), freed AS (
  UPDATE ponctuel.messages m SET key_free = true
    FROM decided
   WHERE m.id = decided.id AND NOT m.key_free AND :decision = 'retry'
     AND {queries.WENT_WRONG.format(v="m")}
  RETURNING m.id
), recorded AS (
  INSERT INTO ponctuel.message_events (message_id, at, event, actor, reason)
  SELECT id, ponctuel.clock(), :event, :by, :reason FROM decided RETURNING 1
)
SELECT (SELECT count(*) FROM freed) AS freed, (SELECT count(*) FROM recorded) AS recorded
""")

_HISTORY = text("""
SELECT v.step::integer AS level, v.cycle, v.message_id, v.state, v.hold_reason, v.planned_at,
       v.submitting_at, v.settled_at, m.not_before, m.expires_at, m.error_code, m.error
  FROM ponctuel.coverage v JOIN ponctuel.messages m ON m.id = v.message_id
 WHERE v.business_id = :business_id AND v.kind = :kind AND v.subject = :document_id
 ORDER BY v.message_id
""")
_DECISIONS = text("""
SELECT cycle, level, decision, decided_at, decided_by, reason FROM ponctuel.followup_decisions
 WHERE business_id = :business_id AND document = :document AND document_id = :document_id
 ORDER BY decided_at
""")


@dataclass(frozen=True)
class Decided:
    """What was recorded, and for which level of which document."""

    business_id: str
    document: str
    number: str
    decision: DecisionName
    level: int


def find(
    connection: Connection, document: str, number: str, business_id: str | None = None
) -> list[dict[str, Any]]:
    """The documents of that number, one per business, with where their relances are. Raises
    `NotFound` when there is none."""
    rows = connection.execute(
        text(_ONE),
        {"document": document, "number": number, "business_id": business_id} | _today(connection),
    ).mappings()
    found = [dict(row) for row in rows]
    if not found:
        none = "Aucune facture" if document == "invoice" else "Aucun devis"
        where = f" dans l'entreprise « {business_id} »" if business_id else ""
        raise NotFound(f"{none} ne porte le numéro « {number} »{where}.")
    return found


def decide(
    connection: Connection,
    decision: DecisionName,
    document: str,
    number: str,
    *,
    business_id: str | None = None,
    by: str,
    reason: str,
) -> Decided:
    """Records the decision in the caller's transaction; a newer one on a level replaces the older.

    `retry`: the level that failed is planned again by the next run, under the same key; it also
    lifts a stop. `skip`: the level counts as gone out today. `stop`: nothing more of this document,
    until it is re-opened. Raises `NotFound` and `BadRequest`, in French.
    """
    if not reason.strip():
        raise BadRequest("Donnez la raison de la décision : un collègue la lira.")
    found = find(connection, document, number, business_id)
    if len(found) > 1:
        businesses = ", ".join(str(row["business_id"]) for row in found)
        raise BadRequest(f"Plusieurs entreprises ont ce numéro ({businesses}) : précisez laquelle.")
    row = found[0]
    values = {
        "business_id": row["business_id"],
        "document": document,
        "document_id": row["id"],
        "kind": row["kind"],
        "cycle": row["cycle"],
        "level": _level(decision, row),
        "decision": decision,
        "event": f"followup_{decision}",
        "by": by,
        "reason": reason,
    }
    connection.execute(_FORGET, values)
    connection.execute(_DECIDE, values)
    connection.execute(_RECORD, values)
    return Decided(row["business_id"], document, number, decision, values["level"])


def pending(
    connection: Connection, business_id: str | None = None, *, limit: int
) -> dict[str, list[dict[str, Any]]]:
    """`to_handle`: the levels of open documents that did not go out and wait for a decision.
    `stuck`: the relances planned `TOO_LONG` ago that have not left, without those that only wait
    for the sending window or for the morning. Both oldest first, `limit` rows at most of each."""
    values = {"business_id": business_id, "limit": limit}
    handle = connection.execute(text(_TO_HANDLE), values | _today(connection)).mappings()
    stuck = connection.execute(_STUCK, values | {"too_long": TOO_LONG}).mappings()
    return {"to_handle": [dict(row) for row in handle], "stuck": [dict(row) for row in stuck]}


def history(
    connection: Connection, row: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(messages, decisions) of a document (a row of `find`), over all of its cycles."""
    values = {name: row[name] for name in ("business_id", "document", "kind")}
    values["document_id"] = row["id"]
    messages = [dict(found) for found in connection.execute(_HISTORY, values).mappings()]
    decisions = [dict(found) for found in connection.execute(_DECISIONS, values).mappings()]
    return messages, decisions


def _level(decision: DecisionName, row: Mapping[str, Any]) -> int:
    """The level that the decision is about. Raises `BadRequest` when there is nothing to decide."""
    problem: int | None = row["problem_level"]
    following: int | None = problem or row["next_level"]
    if not row["open"]:
        raise BadRequest("Ce document n'est plus à relancer : il est soldé, clos ou non envoyé.")
    if decision == "retry":
        if problem is None and not row["stopped"]:
            raise BadRequest("Rien à reprendre : aucune relance de ce document n'a échoué.")
        return following or row["last_level"] or 0
    if decision == "stop":
        return following or row["last_level"] or 0
    if row["stopped"]:
        raise BadRequest("Les relances de ce document sont arrêtées : reprenez-les avec « retry ».")
    if row["in_flight"]:
        raise BadRequest(
            "Une relance de ce document est prévue ou en cours d'envoi : annulez-la d'abord "
            "(`./ponctuel explain` donne son numéro, `./ponctuel messages cancel` l'annule)."
        )
    if following is None:
        raise BadRequest("Rien à passer : toutes les relances de ce document sont parties.")
    return following


def _today(connection: Connection) -> dict[str, Any]:
    now = connection.execute(text("SELECT ponctuel.clock()")).scalar_one()
    return dict(calendar_at(connection, now, everyone=True).parameters)
