"""The unsubscribe link that a message carries, where it must or may."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chalicelib.errors import ItemFailed, NotConfigured
from chalicelib.outbox import unsubscribe
from chalicelib.outbox.kinds import Claimed, Kind
from chalicelib.outbox.suppressions import MARKETING
from chalicelib.outbox.unsubscribe import Subscription

if TYPE_CHECKING:
    from chalicelib.settings import Settings


class Link(NamedTuple):
    """`headers` of the e-mail (RFC 8058), and the address for its text."""

    headers: dict[str, str]
    url: str


def for_message(message: Claimed, kind: Kind, settings: Settings) -> Link | None:
    """The link of an e-mail; None for a kind that nobody may refuse, and on WhatsApp, where one
    answers STOP.

    Marketing does not leave without one: raises `NotConfigured` when PUBLIC_URL or
    UNSUBSCRIBE_SECRET is missing, `ItemFailed` when the ids are too long for a link. Any other kind
    then goes without. `SettingsError` for a setting that cannot be used.
    """
    marketing = kind.category == MARKETING
    if message.channel != "email" or not (marketing or kind.unsubscribable):
        return None
    public_url, secret = settings.public_url, settings.unsubscribe_secret
    if public_url is None or secret is None:
        if not marketing:
            return None
        lacking = "PUBLIC_URL" if public_url is None else "UNSUBSCRIBE_SECRET"
        raise NotConfigured(
            f"Un message commercial ne part pas sans lien de désinscription : renseignez {lacking}."
        )
    category = MARKETING if marketing else kind.name
    subscription = Subscription(message.business_id, message.person, category, message.id)
    try:
        token = unsubscribe.sign(subscription, stage=settings.stage, secrets=(secret,))
    except ValueError as error:
        if not marketing:
            return None
        raise ItemFailed(
            "Les identifiants de l'entreprise et de la personne sont trop longs pour un lien de "
            "désinscription.",
            code="unsubscribe_link",
        ) from error
    return Link(unsubscribe.headers(public_url, token), unsubscribe.link(public_url, token))
