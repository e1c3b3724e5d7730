"""`consents`: who agreed to a business's marketing, when, and where that is written."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.console import Console

from chalicelib.outbox.contacts import WORDS, Channel
from cli import output
from cli.arguments import add_business, command, group, positive
from cli.contacts import add_channel, add_contact, asked
from cli.source import opened


def register(subparsers: Any) -> None:
    actions = group(subparsers, "consents", "les accords pour les messages commerciaux")
    parser = command(actions, "list", "les accords, le plus récent d'abord", _list, remote=True)
    add_business(parser)
    add_channel(parser)
    add_contact(parser)
    parser.add_argument("--limit", metavar="N", type=positive, default=50, help="50 par défaut")

    parser = command(actions, "grant", "enregistre l'accord d'un contact", _grant, remote=True)
    _add_whom(parser)
    parser.add_argument(
        "--source",
        metavar="PREUVE",
        required=True,
        help="où l'accord a été donné : formulaire et son texte, commande… (obligatoire)",
    )
    parser.add_argument("--person", metavar="PERSONNE", default="", help="identifiant du client")

    parser = command(
        actions, "withdraw", "enregistre qu'un contact retire son accord", _withdraw, remote=True
    )
    _add_whom(parser)


def _add_whom(parser: Any) -> None:
    add_business(parser, required=True)
    add_channel(parser, required=True)
    add_contact(parser, required=True)


def _list(arguments: Namespace) -> int:
    with opened(arguments) as source:
        rows = source.consents(asked(arguments), arguments.limit)
    output.answer(arguments, {"consents": rows}, _show)
    return 0


def _grant(arguments: Namespace) -> int:
    with opened(arguments) as source:
        done = source.grant_consent(
            *_whom(arguments), source=arguments.source, person=arguments.person
        )
    output.answer(arguments, done, _show_granted)
    return 0


def _withdraw(arguments: Namespace) -> int:
    """Exit code: 1 when there was no consent."""
    with opened(arguments) as source:
        done = source.withdraw_consent(*_whom(arguments))
    output.answer(arguments, done, _show_withdrawn)
    return 0 if done["withdrawn"] else 1


def _whom(arguments: Namespace) -> tuple[str, Channel, str]:
    return arguments.business, arguments.channel, arguments.contact


def _show(screen: Console, data: dict[str, Any]) -> None:
    if not data["consents"]:
        output.line(screen, "Aucun accord.")
    output.table(
        screen,
        ("n°", "entreprise", "canal", "contact", "client", "donné le", "retiré le", "par",
         "preuve"),
        [
            (
                row["id"],
                row["business_id"],
                WORDS[row["channel"]],
                row["contact"],
                row["person"],
                row["granted_at"],
                row["withdrawn_at"],
                row["withdrawn_by"],
                row["source"],
            )
            for row in data["consents"]
        ],
        long="preuve",
        shorten=("par", "client", "contact", "entreprise"),
        drop=("par", "client"),
    )  # fmt: skip


def _show_granted(screen: Console, data: dict[str, Any]) -> None:
    known = "Accord enregistré" if data["granted"] else "Son accord était déjà enregistré"
    output.line(screen, f"{known} : {data['contact']} ({WORDS[data['channel']]}).")
    if data["suppressions"]:
        ids = " ".join(map(str, data["suppressions"]))
        output.line(
            screen,
            "Rien ne partira pourtant : ce contact est inscrit sur la liste de ceux à qui on "
            f"n'écrit plus (./ponctuel suppressions lift {ids} --reason …, s'il le demande).",
            "yellow",
        )


def _show_withdrawn(screen: Console, data: dict[str, Any]) -> None:
    if data["withdrawn"]:
        output.line(screen, f"Accord retiré : {data['contact']} ({WORDS[data['channel']]}).")
    else:
        output.line(screen, "Aucun accord en vigueur pour ce contact.")
