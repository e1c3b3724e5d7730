"""One-click unsubscription (RFC 8058): signed links, and the two headers of the message.

The link names a business, a person, a category and the message that it came with; it has no end,
because an old message must still let its reader go. Whoever holds it can read it, so it carries the
ids that the business uses, and not the recipient's address. A secret of its own signs it
(UNSUBSCRIBE_SECRET): CRON_SECRET is known to cron services, and changing it twice would break the
links of years.
"""

from __future__ import annotations

import hmac
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.errors import BadRequest, NotConfigured

Secrets = Sequence[str | None]

VERSION = "1"
# With the address before it, it has to stay one unbroken word of the header (900 characters).
LONGEST = 600
_TOKEN = re.compile(r"1\.([A-Za-z0-9_-]{1,556})\.([A-Za-z0-9_-]{43})")


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
    content = [
        subscription.business_id,
        subscription.person,
        subscription.category,
        subscription.message_id,
    ]
    payload = _encoded(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())
    token = f"{VERSION}.{payload}.{_signature(payload, stage, _keys(secrets)[0])}"
    if not _TOKEN.fullmatch(token):
        raise ValueError("ids are too long for a link")
    return token


def read(token: str, *, stage: str, secrets: Secrets) -> Subscription:
    """What a link that this stage signed ends. Raises `NotConfigured` without a secret, and
    `BadRequest` (`link`) for a token that is altered, cut, signed elsewhere or unknown."""
    keys = _keys(secrets)
    found = _TOKEN.fullmatch(token)
    payload, signature = found.groups() if found else ("", "")
    genuine = False
    for key in keys:  # all of them, so that the time taken says nothing
        genuine |= hmac.compare_digest(signature, _signature(payload, stage, key))
    if not genuine:
        raise BadRequest(
            "Ce lien de désinscription est incomplet ou n'est plus reconnu. Ouvrez celui du "
            "dernier message reçu, ou répondez à ce message pour demander à ne plus en recevoir.",
            code="link",
        )
    padding = "=" * (-len(payload) % 4)
    business_id, person, category, message_id = json.loads(urlsafe_b64decode(payload + padding))
    return Subscription(business_id, person, category, message_id)


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


def _keys(secrets: Secrets) -> list[bytes]:
    keys = [secret.encode() for secret in secrets if secret and secret.strip()]
    if not keys:
        raise NotConfigured(
            "Aucun secret ne signe les liens de désinscription. Renseignez UNSUBSCRIBE_SECRET."
        )
    return keys


def _signature(payload: str, stage: str, key: bytes) -> str:
    # The purpose and the stage are signed too: the secret may have served elsewhere.
    signed = f"ponctuel unsubscribe {VERSION}\n{stage}\n{payload}".encode()
    return _encoded(hmac.digest(key, signed, "sha256"))


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
