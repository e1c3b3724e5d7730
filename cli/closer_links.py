"""`leads`: the link to a closer's page, made or taken back."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.console import Console
from sqlalchemy import Connection, text

from chalicelib.domain.leads import closer_link
from chalicelib.errors import BadRequest, NotConfigured, NotFound
from cli import output
from cli.arguments import add_business, command, group
from cli.source import database, user

_USERS = text("""
SELECT business_id, id AS user_id, name, active, ponctuel.clock() AS clock
  FROM ponctuel.users
 WHERE (id = :wanted OR lower(email) = lower(:wanted))
   AND business_id = COALESCE(:business_id, business_id)
 ORDER BY business_id, id LIMIT 10
""")


def register(subparsers: Any) -> None:
    actions = group(subparsers, "leads", "la page des closers")
    parser = command(actions, "link", "donne un lien neuf vers la page d'un closer", _link)
    _add_closer(parser)
    parser = command(actions, "revoke", "retire tous les liens donnés à un closer", _revoke)
    _add_closer(parser)


def _add_closer(parser: Any) -> None:
    parser.add_argument("closer", metavar="CLOSER", help="identifiant ou adresse e-mail")
    add_business(parser)


def _link(arguments: Namespace) -> int:
    with database() as source:
        with source.snapshot() as connection:
            found = _user(connection, arguments)
        if not found["active"]:
            raise BadRequest("Ce compte n'est plus actif : un lien n'ouvrirait aucune page.")
        whose = (found["business_id"], found["user_id"])
        address = closer_link.link_for(source.settings, *whose, found["clock"])
        if address is None:
            raise NotConfigured("Il n'y a pas de lien sans PUBLIC_URL et LINK_SECRET.")
        token = address.rpartition("/")[2]
        ends_at = closer_link.read(token, source.settings).ends_at
    data = _plain(found) | {"link": address, "ends_at": ends_at}
    output.answer(arguments, data, _show_link)
    return 0


def _revoke(arguments: Namespace) -> int:
    with database() as source, source.transaction() as connection:
        found = _user(connection, arguments)
        at = closer_link.revoke(connection, found["business_id"], found["user_id"], user())
    output.answer(arguments, _plain(found) | {"revoked_at": at}, _show_revoked)
    return 0


def _user(connection: Connection, arguments: Namespace) -> dict[str, Any]:
    values = {"wanted": arguments.closer, "business_id": arguments.business}
    rows = connection.execute(_USERS, values).mappings().all()
    if not rows:
        raise NotFound(f"Aucun utilisateur « {arguments.closer} » : donnez son identifiant.")
    if len(rows) > 1:
        known = ", ".join(f"{row['user_id']} de {row['business_id']}" for row in rows)
        raise BadRequest(f"Plusieurs utilisateurs répondent à ce nom ({known}) : ajoutez "
                         "--business, ou donnez l'identifiant.")  # fmt: skip
    return dict(rows[0])


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in ("business_id", "user_id", "name")}


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
