"""`explain`: why was this not sent?"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from sqlalchemy import Connection, text

from chalicelib.domain.billing import decisions, queries
from chalicelib.domain.billing.calendar import calendar_at
from chalicelib.domain.billing.conditions import REASONS
from chalicelib.outbox.operator import HOLDS, STATES
from cli import output
from cli.arguments import add_business, add_document, command
from cli.message_words import code_in_words
from cli.source import clock, database

JOB = "followups"
STATUSES = {
    "invoice": {
        "draft": "brouillon",
        "sent": "envoyée",
        "partial": "payée en partie",
        "paid": "payée",
        "credited": "annulée par un avoir",
        "cancelled": "annulée",
        "overdue": "en retard",
    },
    "quote": {
        "draft": "brouillon",
        "sent": "envoyé",
        "accepted": "accepté",
        "refused": "refusé",
        "expired": "expiré",
        "cancelled": "annulé",
    },
}
DECISIONS = {"retry": "à renvoyer", "skip": "niveau passé", "stop": "relances arrêtées"}

# What the next run would plan for that document, alone or as a line of a letter.
_NEXT = text(f"""
WITH batch AS (SELECT CAST(:business_id AS text) AS business_id, CAST(:item AS text) AS item),
planned AS ({queries.RELANCES})
SELECT p.step, p.not_before,
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


def register(subparsers: Any) -> None:
    parser = command(
        subparsers, "explain", "pourquoi une facture ou un devis n'est pas relancé maintenant", _run
    )
    add_document(parser)
    add_business(parser)
    parser.add_argument("--force", action="store_true", help="sans la condition de date")


def explain(
    connection: Connection,
    document: str,
    number: str,
    *,
    business_id: str | None = None,
    force: bool = False,
) -> list[dict[str, Any]]:
    """For the document of each business that has the number: the first reason that holds (a code,
    None when the next run sends it), its levels so far, decisions and obstacles around it. Raises
    `NotFound`."""
    documents = decisions.find(connection, document, number, business_id)
    now = clock(connection)
    assert isinstance(now, datetime)
    calendar = dict(calendar_at(connection, now, everyone=True).parameters)
    asked = {"document": document, "number": number, "business_id": business_id, "force": force}
    rows = connection.execute(text(queries.EXPLAIN), asked | calendar | {"now": now}).mappings()
    explained = {row["business_id"]: dict(row) for row in rows}
    return [
        _one(connection, row, explained[row["business_id"]], calendar | {"force": force})
        for row in documents
    ]


def _one(
    connection: Connection,
    row: Mapping[str, Any],
    explained: Mapping[str, Any],
    parameters: Mapping[str, Any],
) -> dict[str, Any]:
    where = {"business_id": row["business_id"], "item": row["customer_id"], "kind": row["kind"]}
    reason, next_at = explained["reason"], None
    if reason is None:
        reason, next_at = _next(connection, {**where, "subject": row["id"], **parameters})
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
        "next_on": None if closed else explained["effective_on"],
        "next_not_before": next_at,
        "to_handle": row["problem_level"],
        "obstacles": dict(obstacles),
        "messages": messages,
        "decisions": decided,
    }


_REASONS = REASONS | {
    "key_taken": "à traiter : un message annulé par l'exploitant occupe ce niveau",
}


def _next(connection: Connection, values: Mapping[str, Any]) -> tuple[str | None, datetime | None]:
    """(reason, when it may leave) of a relance against which no condition speaks by itself."""
    found = connection.execute(_NEXT, values).mappings().first()
    if found is None:
        return "customer_waits", None
    return ("key_taken", None) if found["taken_by"] else (None, found["not_before"])


def _run(arguments: Namespace) -> int:
    with database() as source, source.snapshot() as connection:
        found = explain(
            connection,
            arguments.document,
            arguments.number,
            business_id=arguments.business,
            force=arguments.force,
        )
    output.answer(arguments, found, _show)
    return 0


def _show(screen: Console, data: Sequence[Mapping[str, Any]]) -> None:
    for row in data:
        name = "Facture" if row["document"] == "invoice" else "Devis"
        output.line(screen, f"{name} {row['number']}, entreprise {row['business_id']}", "bold")
        if row["reason"]:
            output.line(screen, f"Pas de relance maintenant : {_why(row)}.", "yellow")
        else:
            output.line(screen, "Rien ne s'y oppose : le prochain passage la prévoit.", "green")
        output.facts(
            screen,
            {
                "client": " ".join(filter(None, (row["customer_name"], f"({row['customer_id']})"))),
                "état": STATUSES[row["document"]].get(row["status"], row["status"]),
                "reste dû" if row["document"] == "invoice" else "montant": _money(row),
                "échéance" if row["document"] == "invoice" else "valable jusqu'au": row["due_on"],
                "niveau à traiter": row["to_handle"],
                "prochain niveau": row["next_level"],
                "à partir du": row["next_on"],
                "partirait": row["next_not_before"],
            },
        )
        for note in _notes(row):
            output.line(screen, f"Attention : {note}.", "yellow")
        _show_levels(screen, row)
        if row["to_handle"]:
            output.line(
                screen,
                "À vous de décider : ./ponctuel followups retry|skip|stop "
                f"{row['document']} {row['number']} --business {row['business_id']} --reason …",
            )


def _why(row: Mapping[str, Any]) -> str:
    """The reason in words, with the state or the last day that it is about."""
    told: str = row["reason_text"]
    if row["reason"] == "not_open":
        name = "cette facture est" if row["document"] == "invoice" else "ce devis est"
        return f"{name} « {STATUSES[row['document']].get(row['status'], row['status'])} »"
    until = {"promised": row["promised_until"], "paused": row["paused_until"]}.get(row["reason"])
    return f"{told}, jusqu'au {until:%d/%m/%Y} inclus" if until else told


def _money(row: Mapping[str, Any]) -> str | None:
    if row["amount"] is None:
        return None
    figures = f"{row['amount']:,.2f}".replace(",", "\N{NO-BREAK SPACE}").replace(".", ",")
    return f"{figures}\N{NO-BREAK SPACE}{row['currency']}"


def _notes(row: Mapping[str, Any]) -> list[str]:
    found = row["obstacles"]
    notes = []
    if found["pause_reason"] is not None:
        notes.append(f"le job {JOB} est en pause ({found['pause_reason']})")
    if found["quarantined"]:
        notes.append("ce client est mis de côté (`./ponctuel quarantine list`)")
    if not found["stage_is_live"]:
        notes.append("l'étape n'est pas en service, seule ALLOW_LIST reçoit (`./ponctuel go-live`)")
    if not found["business_is_live"]:
        notes.append("cette entreprise est en revue : ses messages sont retenus")
    return notes


def _detail(message: Mapping[str, Any]) -> str | None:
    if message["state"] == "held":
        hold = HOLDS.get(message["hold_reason"], message["hold_reason"])
        leaves = f", part après le {output.when(message['not_before'])}"
        return f"{hold}{leaves if message['hold_reason'] == 'window' else ''}"
    return message["error"] or code_in_words(message["error_code"])


def _show_levels(screen: Console, row: Mapping[str, Any]) -> None:
    output.table(
        screen,
        ("niveau", "cycle", "message", "état", "planifié le", "envoyé le", "détail"),
        [
            (
                message["level"],
                message["cycle"],
                message["message_id"],
                STATES[message["state"]],
                message["planned_at"],
                message["submitting_at"],
                _detail(message),
            )
            for message in row["messages"]
        ],
    )
    output.table(
        screen,
        ("niveau", "cycle", "décision", "le", "par", "raison"),
        [
            (
                decision["level"],
                decision["cycle"],
                DECISIONS[decision["decision"]],
                decision["decided_at"],
                decision["decided_by"],
                decision["reason"],
            )
            for decision in row["decisions"]
        ],
    )
