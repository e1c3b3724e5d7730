"""The link by which somebody keeps their account: it holds the number of the deletion and when the
link ends, and nothing about anybody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from chalicelib import logs, signed_links
from chalicelib.errors import BadRequest, NotFound

if TYPE_CHECKING:
    from chalicelib.settings import Settings

PURPOSE: Final = "deletion"
PATH: Final = "/deletion/"
# After the date that the letter tells: long enough for somebody who comes back to be told that it
# is too late.
GOOD_AFTER: Final = timedelta(days=60)


@dataclass(frozen=True)
class Link:
    deletion: int
    ends_at: datetime


def cancel_url(deletion: int, scheduled_at: datetime, settings: Settings) -> str | None:
    """The address of the page; None where PUBLIC_URL or LINK_SECRET is missing: the letter then
    names the application as the way."""
    secrets = (settings.link_secret, settings.link_secret_previous)
    if settings.public_url is None or secrets[0] is None:
        logs.warning("deletion_letter_without_link", deletion=deletion)
        return None
    ends = int((scheduled_at + GOOD_AFTER).timestamp())
    token = signed_links.sign(PURPOSE, [deletion, ends], stage=settings.stage, secrets=secrets)
    return f"{settings.public_url}{PATH}{token}"


def read(token: str, settings: Settings) -> Link:
    """What a token holds. Raises `BadRequest` for one that is not ours, `NotConfigured`."""
    secrets = (settings.link_secret, settings.link_secret_previous)
    found = signed_links.read(PURPOSE, token, stage=settings.stage, secrets=secrets)
    if found is None:
        raise BadRequest(
            "Ce lien est incomplet ou a été modifié. Ouvrez de nouveau celui de l'e-mail, ou "
            "recopiez-le en entier."
        )
    deletion, ends = found
    return Link(deletion, datetime.fromtimestamp(ends, UTC))


def require_good(link: Link, now: datetime) -> None:
    """Raises `NotFound` for a link that has ended."""
    if now >= link.ends_at:
        raise NotFound(
            "Ce lien a expiré. Le dernier e-mail que vous avez reçu à ce sujet a peut-être un lien "
            "plus récent."
        )
