"""The link by which a closer comes to their page: it holds whose page it is, when it was made and
when it ends. Ids only, as anybody who has the link can read it.

Whoever has the link can do what the page does, so it ends by itself (CLOSER_LINK_DAYS), with the
user's account, with LINK_SECRET, and when somebody takes back what was handed out until then
(`revoke`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from chalicelib import signed_links
from chalicelib.errors import BadRequest, NotFound, SettingsError
from chalicelib.outbox.windows import zone

if TYPE_CHECKING:
    from chalicelib.settings import Settings

PURPOSE: Final = "closer"
PATH: Final = "/closer/"
FORGED: Final = "link"
_ASK: Final = "Ouvrez celui du dernier e-mail reçu, ou demandez-en un nouveau à votre responsable."
_PARIS: Final = "Europe/Paris"

_READER = text("""
SELECT ponctuel.clock() AS clock, u.name, u.zone, b.zone AS business_zone,
       COALESCE(b.sender_name, b.name) AS business, r.revoked_at
  FROM (SELECT 1) one
  LEFT JOIN ponctuel.users u
         ON u.business_id = :business_id AND u.id = :user_id AND u.active
  LEFT JOIN ponctuel.businesses b ON b.id = u.business_id
  LEFT JOIN ponctuel.closer_link_revocations r
         ON r.business_id = :business_id AND r.user_id = :user_id
""")
_REVOKE = text("""
INSERT INTO ponctuel.closer_link_revocations AS r (business_id, user_id, revoked_at, revoked_by)
VALUES (:business_id, :user_id, ponctuel.clock(), :by)
ON CONFLICT (business_id, user_id) DO UPDATE
  SET revoked_at = GREATEST(r.revoked_at, EXCLUDED.revoked_at), revoked_by = EXCLUDED.revoked_by
RETURNING revoked_at
""")


@dataclass(frozen=True)
class Link:
    """What a token holds. Instants are aware."""

    business_id: str
    user_id: str
    issued_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class Reader:
    """The active user whose page it is. `zone`: theirs, else the business's; `clock`: the
    database's now (aware)."""

    business_id: str
    user_id: str
    name: str = field(repr=False)
    business: str = field(repr=False)
    zone: ZoneInfo
    clock: datetime


def link_for(settings: Settings, business_id: str, user_id: str, issued: datetime) -> str | None:
    """The address of the user's page, good from `issued` (aware) on for CLOSER_LINK_DAYS. None
    where PUBLIC_URL or LINK_SECRET is missing. Raises `SettingsError` for one of them that cannot
    be used, `ValueError` for ids that are too long for a link."""
    secrets = (settings.link_secret, settings.link_secret_previous)
    if settings.public_url is None or secrets[0] is None:
        return None
    ends = issued + timedelta(days=settings.closer_link_days)
    content = [business_id, user_id, _milliseconds(issued), _milliseconds(ends)]
    token = signed_links.sign(PURPOSE, content, stage=settings.stage, secrets=secrets)
    return f"{settings.public_url.rstrip('/')}{PATH}{token}"


def page_of(business_id: str, user_id: str, issued: datetime) -> str | None:
    """The same for who would be told of it: None too where the ids are too long for a link, or the
    settings are unusable. A missing link must not keep anybody from being told."""
    from chalicelib.settings import settings

    try:
        return link_for(settings(), business_id, user_id, issued)
    except (SettingsError, ValueError):
        return None


def read(token: str, settings: Settings) -> Link:
    """Raises `BadRequest` (`FORGED`) for a token that is not this stage's, `NotConfigured`."""
    secrets = (settings.link_secret, settings.link_secret_previous)
    found = signed_links.read(PURPOSE, token, stage=settings.stage, secrets=secrets)
    if found is None:
        raise BadRequest(f"Ce lien est incomplet ou a été modifié. {_ASK}", code=FORGED)
    business_id, user_id, issued, ends = found
    return Link(business_id, user_id, _instant(issued), _instant(ends))


def reader(connection: Connection, link: Link) -> Reader:
    """Raises `NotFound` for a link that has ended, was taken back, or whose user is no longer
    active: what it says names nobody."""
    values = {"business_id": link.business_id, "user_id": link.user_id}
    row = connection.execute(_READER, values).mappings().one()
    if row["clock"] >= link.ends_at:
        raise NotFound(f"Ce lien a expiré. {_ASK}")
    if row["revoked_at"] is not None and link.issued_at <= row["revoked_at"]:
        raise NotFound(f"Ce lien a été retiré. {_ASK}")
    if row["name"] is None:
        raise NotFound("Ce lien n'est plus celui d'un compte actif. Voyez avec votre responsable.")
    named = (zone(name) for name in (row["zone"], row["business_zone"]) if name)
    local = next(filter(None, named), ZoneInfo(_PARIS))
    return Reader(**values, name=row["name"], business=row["business"] or "", zone=local,
                  clock=row["clock"])  # fmt: skip


def revoke(connection: Connection, business_id: str, user_id: str, by: str) -> datetime:
    """Takes back every link that this user was given until now (the database's), which it returns.
    A link that is made later is good."""
    values = {"business_id": business_id, "user_id": user_id, "by": by}
    taken_back: datetime = connection.execute(_REVOKE, values).scalar_one()
    return taken_back


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
