"""One-click unsubscription (RFC 8058): signed links, and the two headers of the message.

The link names a business, a person, a category and the message that it came with; it has no end,
because an old message must still let its reader go. Whoever holds it can read it, so it carries the
ids that the business uses, and not the recipient's address. A secret of its own signs it
(UNSUBSCRIBE_SECRET): CRON_SECRET is known to cron services, and changing it twice would break the
links of years.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass

from chalicelib import signed_links
from chalicelib.errors import BadRequest, NotConfigured
from chalicelib.signed_links import Secrets

PURPOSE = "unsubscribe"


@dataclass(frozen=True)
class Subscription:
    """What a link ends: messages of `category` (a kind, or a family of kinds) from a business to a
    person, by their ids. `message_id` is the outbox id of the message that carries the link: its
    recipient is known there until retention blanks it."""

    business_id: str
    person: str
    category: str
    message_id: int


def sign(subscription: Subscription, *, stage: str, secrets: Secrets) -> str:
    """The link's token: letters, digits, `-`, `_` and two dots, 600 characters at most.

    `secrets`: the current one, which signs, then the one before it. Only the same stage accepts the
    token. Raises `NotConfigured` without a secret, `ValueError` for ids that are too long for a
    link.
    """
    with _configured():
        return signed_links.sign(PURPOSE, astuple(subscription), stage=stage, secrets=secrets)


def read(token: str, *, stage: str, secrets: Secrets) -> Subscription:
    """What a link that this stage signed ends. Raises `NotConfigured` without a secret, and
    `BadRequest` (`link`) for a token that is altered, cut, signed elsewhere or unknown."""
    with _configured():
        content = signed_links.read(PURPOSE, token, stage=stage, secrets=secrets)
    if content is None:
        raise BadRequest(
            "Ce lien de désinscription est incomplet ou n'est plus reconnu. Ouvrez celui du "
            "dernier message reçu, ou répondez à ce message pour demander à ne plus en recevoir.",
            code="link",
        )
    return Subscription(*content)


def link(public_url: str, token: str) -> str:
    """The address of the page and of the one-click POST. `public_url` is the setting's."""
    return f"{public_url.rstrip('/')}/unsubscribe/{token}"


def headers(public_url: str, token: str) -> dict[str, str]:
    """List-Unsubscribe and List-Unsubscribe-Post, both to be covered by the DKIM signature (RFC
    8058, section 4). One click needs https (section 3.1): on a developer's machine, over http, the
    second is left out."""
    address = link(public_url, token)
    found = {"List-Unsubscribe": f"<{address}>"}
    if address.startswith("https://"):
        found["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return found


@contextmanager
def _configured() -> Iterator[None]:
    try:
        yield
    except NotConfigured as error:
        raise NotConfigured(
            "Aucun secret ne signe les liens de désinscription. Renseignez UNSUBSCRIBE_SECRET."
        ) from error
