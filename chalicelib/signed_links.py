"""Tokens of links that only this deployment can have made: what they hold can be read by whoever
has the link, and not changed.

The purpose and the stage are signed too, so that the token of one kind of link is nothing to
another, and the links of a copy are nothing to the original.
"""

from __future__ import annotations

import hmac
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

from chalicelib.errors import NotConfigured

Secrets = Sequence[str | None]

VERSION = "1"
# With the address before it, it has to stay one unbroken word of a header (900 characters).
LONGEST = 600
_TOKEN = re.compile(r"1\.([A-Za-z0-9_-]{1,556})\.([A-Za-z0-9_-]{43})")


def sign(purpose: str, content: Sequence[Any], *, stage: str, secrets: Secrets) -> str:
    """The token of JSON values: letters, digits, `-`, `_` and two dots, 600 characters at most.

    `secrets`: the current one, which signs, then the one before it. Raises `NotConfigured` without
    a secret, `ValueError` for content that is too long for a link.
    """
    payload = _encoded(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())
    token = f"{VERSION}.{payload}.{_signature(purpose, payload, stage, _keys(secrets)[0])}"
    if not _TOKEN.fullmatch(token):
        raise ValueError("ids are too long for a link")
    return token


def read(purpose: str, token: str, *, stage: str, secrets: Secrets) -> list[Any] | None:
    """What a token holds that this stage has signed for this purpose; None for one that is altered,
    cut, signed elsewhere or unknown. Raises `NotConfigured` without a secret."""
    keys = _keys(secrets)
    found = _TOKEN.fullmatch(token)
    payload, signature = found.groups() if found else ("", "")
    genuine = False
    for key in keys:  # all of them, so that the time taken says nothing
        genuine |= hmac.compare_digest(signature, _signature(purpose, payload, stage, key))
    if not genuine:
        return None
    content: list[Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return content


def _keys(secrets: Secrets) -> list[bytes]:
    keys = [secret.encode() for secret in secrets if secret and secret.strip()]
    if not keys:
        raise NotConfigured("Aucun secret ne signe ces liens.")
    return keys


def _signature(purpose: str, payload: str, stage: str, key: bytes) -> str:
    signed = f"ponctuel {purpose} {VERSION}\n{stage}\n{payload}".encode()
    return _encoded(hmac.digest(key, signed, "sha256"))


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
