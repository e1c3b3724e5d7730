"""`followups`: the relances that did not go out, and what to do about them."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import Any

from rich.console import Console

from chalicelib.domain.billing import decisions
from chalicelib.domain.billing.decisions import DecisionName
from chalicelib.outbox.operator import HOLDS, STATES
from cli import output
from cli.arguments import add_business, add_document, add_reason, command, group
from cli.message_words import code_in_words
from cli.source import opened

# Of each: the oldest, which have waited longest.
MOST = 200
_ACTIONS: dict[DecisionName, str] = {
    "retry": "renvoie le niveau qui n'est pas parti, ou reprend des relances arrêtées",
    "skip": "passe ce niveau : le suivant part à sa distance habituelle",
    "stop": "arrête les relances de ce document",
}
_DONE = {
    "retry": "Le niveau {level} sera de nouveau prévu au prochain passage.",
    "skip": "Le niveau {level} est passé : le suivant part à sa distance habituelle.",
    "stop": "Plus aucune relance ne partira, sauf si le document est rouvert.",
}


def register(subparsers: Any) -> None:
    actions = group(subparsers, "followups", "les relances à traiter")
    parser = command(actions, "list", "les relances qui ne sont pas parties", _list, remote=True)
    add_business(parser)
    for name, text in _ACTIONS.items():
        parser = command(actions, name, text, partial(_decide, name), remote=True)
        add_document(parser)
        add_business(parser)
        add_reason(parser, required=True)


def _list(arguments: Namespace) -> int:
    with opened(arguments) as source:
        data = source.pending(arguments.business, MOST)
    output.answer(arguments, data, _show)
    return 0


def _decide(name: DecisionName, arguments: Namespace) -> int:
    with opened(arguments) as source:
        decided = source.decide(
            name, arguments.document, arguments.number, arguments.business, arguments.reason
        )
    output.answer(
        arguments,
        decided,
        lambda screen, data: output.line(screen, _DONE[name].format(level=data["level"])),
    )
    return 0


def _show(screen: Console, data: dict[str, Any]) -> None:
    if not data["to_handle"] and not data["stuck"]:
        output.line(screen, "Rien à traiter.")
        return
    if data["to_handle"]:
        output.line(screen, "À traiter : ces niveaux ne sont pas partis", "bold")
    output.table(
        screen,
        ("entreprise", "document", "client", "niveau", "état", "depuis", "cause"),
        [
            (
                row["business_id"],
                f"{decisions.DOCUMENTS[row['document']]} {row['number']}",
                row["customer_name"] or row["customer_id"],
                row["level"],
                STATES[row["state"]],
                row["at"],
                row["error"] or code_in_words(row["error_code"]),
            )
            for row in data["to_handle"]
        ],
        long="cause",
        shorten=("client", "entreprise", "document"),
    )
    if data["to_handle"]:
        output.line(screen, "Décidez par ./ponctuel followups retry, skip ou stop.\n")
    if data["stuck"]:
        hours = int(decisions.TOO_LONG.total_seconds() // 3600)
        output.line(screen, f"Prévues depuis plus de {hours} h et pas encore parties", "bold")
    output.table(
        screen,
        ("entreprise", "numéro", "niveau", "message", "état", "depuis", "cause"),
        [
            (
                row["business_id"],
                row["number"],
                row["level"],
                row["message_id"],
                STATES[row["state"]],
                row["at"],
                HOLDS.get(row["hold_reason"] or "", row["error"]),
            )
            for row in data["stuck"]
        ],
        long="cause",
        shorten=("entreprise", "numéro"),
    )
