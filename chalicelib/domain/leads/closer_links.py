"""Links to closers' pages, as an operator hands them out and takes them back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.leads import closer_link
from chalicelib.errors import BadRequest, NotConfigured, NotFound
from chalicelib.settings import Settings

_CLOSERS = text("""
SELECT business_id, id AS user_id, name, active, ponctuel.clock() AS clock
  FROM ponctuel.users
 WHERE (id = :wanted OR lower(email) = lower(:wanted))
   AND business_id = COALESCE(:business_id, business_id)
 ORDER BY business_id, id LIMIT 10
""")


def give(
    connection: Connection, settings: Settings, closer: str, business_id: str | None = None
) -> dict[str, Any]:
    """A fresh link for the user of that id or e-mail address: `business_id`, `user_id`, `name`,
    `link` and `ends_at` (aware). Raises `NotFound`, `BadRequest` for an account that is closed or a
    name that several answer to, `NotConfigured`, `SettingsError`."""
    found = _closer(connection, closer, business_id)
    if not found["active"]:
        raise BadRequest("Ce compte n'est plus actif : un lien n'ouvrirait aucune page.")
    whose = (found["business_id"], found["user_id"])
    address = closer_link.link_for(settings, *whose, found["clock"])
    if address is None:
        raise NotConfigured("Il n'y a pas de lien sans PUBLIC_URL et LINK_SECRET.")
    ends_at = closer_link.read(address.rpartition("/")[2], settings).ends_at
    return _plain(found) | {"link": address, "ends_at": ends_at}


def take_back(
    connection: Connection, closer: str, business_id: str | None = None, *, by: str
) -> dict[str, Any]:
    """Voids every link that this user was given until `revoked_at` (aware). Raises `NotFound` and
    `BadRequest`, as `give`."""
    found = _closer(connection, closer, business_id)
    at = closer_link.revoke(connection, found["business_id"], found["user_id"], by)
    return _plain(found) | {"revoked_at": at}


def _closer(connection: Connection, closer: str, business_id: str | None) -> dict[str, Any]:
    values = {"wanted": closer, "business_id": business_id}
    rows = connection.execute(_CLOSERS, values).mappings().all()
    if not rows:
        raise NotFound(f"Aucun utilisateur « {closer} » : donnez son identifiant.")
    if len(rows) > 1:
        known = ", ".join(f"{row['user_id']} de {row['business_id']}" for row in rows)
        raise BadRequest(f"Plusieurs utilisateurs répondent à ce nom ({known}) : précisez "
                         "l'entreprise, ou donnez l'identifiant.")  # fmt: skip
    return dict(rows[0])


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in ("business_id", "user_id", "name")}
