"""Whether Twilio or Meta really sent this: signatures over the exact bytes and the public address.

Each check takes the secrets that are valid now, the current one first and the one before it while a
change lasts. All are always compared, each in constant time. Without any, nothing is accepted.
Amazon's notifications are in `sns`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn
from urllib.parse import parse_qs

from chalicelib.errors import BadRequest, NotConfigured, Unauthorized
from chalicelib.webhooks.payload import Malformed, form_pairs

Secrets = Sequence[str | None]

FORM = "application/x-www-form-urlencoded"
# Twilio's own names, in X-Twilio-Webhooks-Signature-Settings.
_TWILIO_ALGORITHMS = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_DEFAULT_PORTS = {"https": 443, "http": 80}
# Meta's challenge is a number; anything wider would be reflected to whoever asks.
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{1,200}")


def verify_twilio(
    *,
    url: str,
    body: bytes,
    content_type: str,
    signature: str,
    tokens: Secrets,
    signature_settings: str = "",
) -> None:
    """Checks `X-Twilio-Signature`.

    `url` is the address that Twilio was given, to the letter: scheme, host, path, query. As in
    Twilio's own libraries, its port may be there or not (Twilio is not constant about it). A form
    is signed field by field; any other body by its SHA-256 in the query's `bodySHA256`.
    `signature_settings` is the header X-Twilio-Webhooks-Signature-Settings, which names the
    algorithm; without it, it is HMAC-SHA1 with the account's auth token
    (twilio.com/docs/usage/webhooks/webhooks-security).

    Raises `NotConfigured`, `Unauthorized` (`signature_missing`, `signature`, `body_hash`) or
    `BadRequest` (`too_large`, `too_many_fields`).
    """
    keys = _configured(tokens, "Twilio", "TWILIO_AUTH_TOKEN")
    presented = _presented(signature, "Twilio")
    algorithm = _twilio_algorithm(signature_settings)
    signed = b""
    if content_type.partition(";")[0].strip().lower() == FORM or not body:
        signed = _form_as_signed(body)
    elif not _body_hash_agrees(url, body):
        _refuse("Twilio", "body_hash")
    expected = [
        b64encode(hmac.digest(key, address + signed, algorithm))
        for key in keys
        for address in _addresses(url)
    ]
    if not _among(presented, expected):
        _refuse("Twilio", "signature")


def verify_meta(*, body: bytes, signature: str, app_secrets: Secrets) -> None:
    """Checks `X-Hub-Signature-256`: `sha256=` and the HMAC-SHA256 of the raw body, in hexadecimal
    (developers.facebook.com, Graph API webhooks). Raises `NotConfigured` or `Unauthorized`
    (`signature_missing`, `signature`)."""
    keys = _configured(app_secrets, "Meta", "META_APP_SECRET")
    presented = _presented(signature, "Meta")
    expected = [b"sha256=" + hmac.digest(key, body, "sha256").hex().encode() for key in keys]
    if not _among(presented, expected):
        _refuse("Meta", "signature")


def meta_challenge(query: Mapping[str, str], verify_tokens: Secrets) -> str:
    """What to answer, as text/plain, to the GET by which Meta verifies the address: `hub.mode` is
    `subscribe`, `hub.verify_token` is ours, and `hub.challenge` goes back. Raises `NotConfigured`,
    `Unauthorized` (`signature_missing`, `signature`) or `BadRequest` (`challenge`)."""
    keys = _configured(verify_tokens, "Meta", "META_VERIFY_TOKEN")
    presented = _presented(query.get("hub.verify_token", ""), "Meta")
    if not _among(presented, keys):
        _refuse("Meta", "signature")
    challenge = query.get("hub.challenge", "")
    if query.get("hub.mode") != "subscribe" or not _CHALLENGE.fullmatch(challenge):
        raise BadRequest("Vérification de Meta incomplète : recommencez-la.", code="challenge")
    return challenge


def _configured(secrets: Secrets, provider: str, setting: str) -> list[bytes]:
    keys = [secret.encode() for secret in secrets if secret and secret.strip()]
    if not keys:
        raise NotConfigured(
            f"Aucun secret n'est configuré pour {provider}, donc aucun événement n'est accepté. "
            f"Renseignez {setting}."
        )
    return keys


def _presented(signature: str, provider: str) -> bytes:
    if not signature.strip():
        _refuse(provider, "signature_missing")
    return signature.strip().encode("utf-8", "surrogatepass")


def _among(presented: bytes, expected: Iterable[bytes]) -> bool:
    found = False
    for one in expected:  # all of them, so that the time taken says nothing
        found |= hmac.compare_digest(presented, one)
    return found


def _refuse(provider: str, code: str) -> NoReturn:
    raise Unauthorized(
        f"Signature de {provider} refusée : vérifiez le secret, et que l'adresse déclarée chez "
        f"{provider} est exactement celle de PUBLIC_URL.",
        code=code,
    )


def _twilio_algorithm(settings: str) -> str:
    for part in settings.split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            known = _TWILIO_ALGORITHMS.get(value.strip().upper())
            return known or _refuse("Twilio", "signature")
    return "sha1"


def _form_as_signed(body: bytes) -> bytes:
    """Names and values one after the other, sorted; a value given twice counts once."""
    try:
        pairs = form_pairs(body)
    except Malformed as error:
        raise BadRequest("Formulaire trop volumineux.", code=error.reason) from None
    text = "".join(name + value for name, value in sorted(set(pairs)))
    return text.encode("utf-8", "surrogateescape")


def _body_hash_agrees(url: str, body: bytes) -> bool:
    query = url.partition("#")[0].partition("?")[2]
    declared = parse_qs(query).get("bodySHA256", [""])[0].encode("utf-8", "surrogatepass")
    return hmac.compare_digest(declared, hashlib.sha256(body).hexdigest().encode())


def _addresses(url: str) -> set[bytes]:
    """The address without a port and with one: its own, or its scheme's."""
    scheme, separator, rest = url.partition("://")
    end = next((i for i, character in enumerate(rest) if character in "/?#"), len(rest))
    authority, tail = rest[:end], rest[end:]
    host, colon, port = authority.rpartition(":")
    if not colon or not port.isdecimal():
        host, port = authority, str(_DEFAULT_PORTS.get(scheme.lower(), 80))
    forms = (host, f"{host}:{port}")
    return {f"{scheme}{separator}{form}{tail}".encode("utf-8", "surrogatepass") for form in forms}
