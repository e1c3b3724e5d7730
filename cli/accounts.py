"""`accounts`: the deletions of users' accounts."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.console import Console

from chalicelib.domain.accounts.deletions import STATES
from cli import output, replay
from cli.arguments import add_business, add_ids, command, french, group
from cli.source import opened

MOST = 200
_WHO = {
    "user": "la personne",
    "application": "l'application",
    "operator": "un opérateur",
    "replay": "un rejeu après restauration",
    "link": "le lien de l'e-mail",
}
_SCOPES = {"user": "le compte seul", "business": "le compte et toute l'entreprise"}


def register(subparsers: Any) -> None:
    actions = group(subparsers, "accounts", "les suppressions de comptes")
    parser = command(actions, "list", "les suppressions demandées", _list, remote=True)
    parser.add_argument("--state", metavar="ÉTAT", type=french(STATES), help="seulement celles-là")
    add_business(parser)
    parser = command(actions, "show", "la suppression d'un compte", _show_one, remote=True)
    _add_user(parser)
    parser = command(actions, "delete", "demande la suppression d'un compte", _delete, remote=True)
    _add_user(parser)
    parser = command(
        actions, "cancel", "annule la suppression d'un compte, tant qu'elle le peut", _cancel,
        remote=True,
    )  # fmt: skip
    _add_user(parser)
    parser = command(
        actions, "approve", "laisse aller des suppressions qui attendent un accord", _approve,
        remote=True,
    )  # fmt: skip
    add_ids(parser)
    replay.register(actions)


def _add_user(parser: Any) -> None:
    parser.add_argument("user", metavar="COMPTE", help="identifiant de l'utilisateur")
    add_business(parser)


def _list(arguments: Namespace) -> int:
    where = {"state": arguments.state, "business_id": arguments.business}
    with opened(arguments) as source:
        found = source.deletions({name: to for name, to in where.items() if to}, MOST)
    output.answer(arguments, found, _show_list)
    return 0


def _show_one(arguments: Namespace) -> int:
    with opened(arguments) as source:
        found = source.deletion(arguments.user, arguments.business)
    output.answer(arguments, found, _show)
    return 0


def _delete(arguments: Namespace) -> int:
    with opened(arguments) as source:
        found = source.request_deletion(arguments.user, arguments.business)
    output.answer(arguments, found, _show)
    return 0


def _cancel(arguments: Namespace) -> int:
    with opened(arguments) as source:
        found = source.cancel_deletion(arguments.user, arguments.business)
    output.answer(arguments, found, _show)
    return 0


def _approve(arguments: Namespace) -> int:
    """Exit code: 2 when some were left as they were, 1 when all were."""
    with opened(arguments) as source:
        done = source.approve_deletions(arguments.ids)
    output.answer(arguments, done, _show_approved)
    if not done["left"]:
        return 0
    return 2 if done["approved"] else 1


def _show_list(screen: Console, rows: list[dict[str, Any]]) -> None:
    if not rows:
        output.line(screen, "Aucune suppression de compte.")
    output.table(
        screen,
        ("n°", "entreprise", "compte", "état", "date", "demandée par", "cause"),
        [
            (
                row["id"],
                row["business_id"],
                row["user_id"],
                STATES[row["state"]],
                output.when(_date(row), row["zone"]),
                _WHO.get(row["requested_by"], row["requested_by"]),
                row["why"],
            )
            for row in rows
        ],
        long="cause",
        shorten=("entreprise", "compte"),
        drop=("demandée par",),
    )


def _date(row: dict[str, Any]) -> Any:
    """When it was, or is to be, in the state it is in."""
    return row["erased_at"] or row["locked_at"] or row["cancelled_at"] or row["scheduled_at"]


def _show(screen: Console, row: dict[str, Any]) -> None:
    zone = row["zone"]
    left = row["remaining_days"]
    output.line(screen, f"Suppression de compte n° {row['id']} : {STATES[row['state']]}", "bold")
    output.facts(
        screen,
        {
            "entreprise": row["business_id"],
            "compte": row["user_id"],
            "demandée": output.when(row["requested_at"], zone),
            "demandée par": _WHO.get(row["requested_by"], row["requested_by"]),
            "prévue": output.when(row["scheduled_at"], zone),
            "dans": None if left is None else output.plural(left, "jour", "jours"),
            "reportée": output.plural(row["postponed"], "fois", "fois") if row["postponed"] else "",
            "bloquée": output.when(row["blocked_at"], zone),
            "cause": row["why"],
            "approuvée par": row["approved_by"],
            "annulée": output.when(row["cancelled_at"], zone),
            "annulée par": _WHO.get(row["cancelled_by"], row["cancelled_by"]),
            "verrouillée": output.when(row["locked_at"], zone),
            "efface": _SCOPES.get(row["scope"] or ""),
            "effacée": output.when(row["erased_at"], zone),
        },
    )


def _show_approved(screen: Console, done: dict[str, Any]) -> None:
    count = len(done["approved"])
    which = output.plural(count, "suppression approuvée", "suppressions approuvées")
    output.line(screen, f"{which}, pour le prochain passage.")
    if done["left"]:
        left = ", ".join(map(str, done["left"]))
        output.line(screen, f"N'attendent pas d'accord : {left}.")
