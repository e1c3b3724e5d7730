"""`explain`: why was this not sent?"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from chalicelib.domain.billing.explain import JOB
from chalicelib.outbox.formats import montant
from chalicelib.outbox.operator import HOLDS, STATES
from cli import leads, output
from cli.arguments import add_business, command, french
from cli.message_words import code_in_words
from cli.source import opened

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
CHANNELS = {"email": ", par e-mail", "whatsapp": ", par WhatsApp"}
DECISIONS = {"retry": "à renvoyer", "skip": "niveau passé", "stop": "relances arrêtées"}


def register(subparsers: Any) -> None:
    parser = command(
        subparsers,
        "explain",
        "pourquoi une facture, un devis ou un lead n'est pas relancé maintenant",
        _run,
        remote=True,
    )
    parser.add_argument(
        "document",
        metavar="DOCUMENT",
        type=french({"invoice": "facture", "quote": "devis", "lead": "lead"}),
        help="facture, devis ou lead",
    )
    parser.add_argument("number", metavar="NUMÉRO", help="d'un lead, son identifiant")
    add_business(parser)
    parser.add_argument("--force", action="store_true", help="sans la condition de date")


def _run(arguments: Namespace) -> int:
    asked, business, force = arguments.number, arguments.business, arguments.force
    with opened(arguments) as source:
        if arguments.document == "lead":
            found = source.explain_lead(asked, business, force=force)
        else:
            found = source.explain(arguments.document, asked, business, force=force)
    output.answer(arguments, found, leads.show if arguments.document == "lead" else _show)
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
                "prochain niveau": _next(row),
                "à partir du": row["next_on"],
                "partirait": row["next_not_before"],
            },
        )
        if row["letter"] and row["letter"]["ready"] is False:
            output.line(screen, f"Mais son message serait retenu : {_lacking(row)}.", "yellow")
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


def _next(row: Mapping[str, Any]) -> str | None:
    if row["next_level"] is None:
        return None
    # A stage of a version before does not say.
    return f"{row['next_level']}{CHANNELS.get(row.get('next_channel') or '', '')}"


def _lacking(row: Mapping[str, Any]) -> str:
    letter = row["letter"]
    code = letter["reason"] or ""
    told = letter["why"] or HOLDS.get(code) or code_in_words(code) or ""
    return str(told).rstrip(".")


def _money(row: Mapping[str, Any]) -> str | None:
    if row["amount"] is None:
        return None
    return montant(row["amount"], row["currency"])


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
        long="détail",
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
        long="raison",
        shorten=("par",),
    )
