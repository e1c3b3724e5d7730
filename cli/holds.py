"""`holds`: who may not be erased for the time being, why, and who said so."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.console import Console

from cli import output
from cli.arguments import add_business, add_reason, command, group, positive
from cli.source import opened

MOST = 200


def register(subparsers: Any) -> None:
    actions = group(subparsers, "holds", "les conservations imposées (litige, contrôle, enquête)")
    parser = command(actions, "list", "celles qui sont en vigueur", _list, remote=True)
    parser.add_argument("--all", action="store_true", help="aussi celles qui sont levées")
    add_business(parser)
    parser = command(
        actions, "place", "impose la conservation d'un compte ou d'une entreprise", _place,
        remote=True,
    )  # fmt: skip
    add_business(parser, required=True)
    parser.add_argument(
        "--user", metavar="COMPTE", help="identifiant du compte ; sans lui, toute l'entreprise"
    )
    add_reason(parser, required=True)
    parser = command(
        actions, "lift", "lève une conservation ; elle reste dans l'historique", _lift, remote=True
    )
    parser.add_argument("number", metavar="NUMÉRO", type=positive, help="de la conservation")
    add_reason(parser, required=True)


def _list(arguments: Namespace) -> int:
    where = {"lifted": arguments.all, "business_id": arguments.business}
    with opened(arguments) as source:
        found = source.holds(where, MOST)
    output.answer(arguments, found, _show_list)
    return 0


def _place(arguments: Namespace) -> int:
    with opened(arguments) as source:
        found = source.place_hold(arguments.business, arguments.user, arguments.reason)
    output.answer(arguments, found, _show_placed)
    return 0


def _lift(arguments: Namespace) -> int:
    with opened(arguments) as source:
        found = source.lift_hold(arguments.number, arguments.reason)
    output.answer(arguments, found, _show_lifted)
    return 0


def _whom(row: dict[str, Any]) -> str:
    return row["user_id"] or "(toute l'entreprise)"


def _show_list(screen: Console, rows: list[dict[str, Any]]) -> None:
    if not rows:
        output.line(screen, "Aucune conservation imposée.")
    lifted = any(row["lifted_at"] for row in rows)
    names = ("n°", "entreprise", "compte", "imposée", "par", "raison")
    output.table(
        screen,
        names + ("levée", "par qui", "pourquoi") * lifted,
        [
            (
                row["id"],
                row["business_id"],
                _whom(row),
                output.when(row["placed_at"]),
                row["placed_by"],
                row["reason"],
                *((output.when(row["lifted_at"]), row["lifted_by"], row["lift_reason"]) * lifted),
            )
            for row in rows
        ],
        long="raison",
        shorten=("entreprise", "compte"),
        drop=("par", "par qui"),
    )


def _show_placed(screen: Console, row: dict[str, Any]) -> None:
    whom = f"le compte {row['user_id']}" if row["user_id"] else "toute l'entreprise"
    output.line(screen, f"Conservation n° {row['id']} imposée : {row['business_id']}, {whom}.")
    output.line(screen, "Rien n'en est effacé tant qu'elle n'est pas levée.")
    if row["stopped"]:
        stopped = output.plural(
            row["stopped"], "effacement commencé s'arrête", "effacements commencés s'arrêtent"
        )
        output.line(screen, f"{stopped} où il en est : ce qui est effacé ne revient pas.", "yellow")


def _show_lifted(screen: Console, row: dict[str, Any]) -> None:
    output.line(screen, f"Conservation n° {row['id']} levée : {row['business_id']}, {_whom(row)}.")
    output.line(
        screen,
        "Les suppressions qu'elle arrêtait reprennent à la prochaine nuit, avec leurs rappels si "
        "rien n'en était verrouillé.",
    )
