"""`leads link` and `leads revoke`: the link to a closer's page, made or taken back."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.console import Console

from cli import output
from cli.arguments import add_business, command
from cli.source import opened


def add(actions: Any) -> None:
    """Adds both to the commands of `leads`."""
    parser = command(
        actions, "link", "donne un lien neuf vers la page d'un closer", _link, remote=True
    )
    _add_closer(parser)
    parser = command(
        actions, "revoke", "retire tous les liens donnés à un closer", _revoke, remote=True
    )
    _add_closer(parser)


def _add_closer(parser: Any) -> None:
    parser.add_argument("closer", metavar="CLOSER", help="identifiant ou adresse e-mail")
    add_business(parser)


def _link(arguments: Namespace) -> int:
    with opened(arguments) as source:
        data = source.closer_link(arguments.closer, arguments.business)
    output.answer(arguments, data, _show_link)
    return 0


def _revoke(arguments: Namespace) -> int:
    with opened(arguments) as source:
        data = source.revoke_closer_links(arguments.closer, arguments.business)
    output.answer(arguments, data, _show_revoked)
    return 0


def _show_link(screen: Console, data: dict[str, Any]) -> None:
    who = f"{data['name']} ({data['user_id']}, {data['business_id']})"
    output.line(screen, f"Page de {who}, jusqu'au {output.when(data['ends_at'])} :")
    # Alone on its line and never broken, to be copied.
    print(data["link"])
    output.line(screen, "Qui a ce lien voit et traite les leads de cette personne.", "dim")


def _show_revoked(screen: Console, data: dict[str, Any]) -> None:
    who = f"{data['name']} ({data['user_id']}, {data['business_id']})"
    when = output.when(data["revoked_at"])
    output.line(screen, f"Les liens donnés à {who} jusqu'au {when} n'ouvrent plus rien.")
