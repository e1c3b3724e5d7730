"""The settings' types that only the inbox has. See `setting_types`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.setting_types import ServiceUrl, UnusableError, split_url, switch

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?", re.IGNORECASE)


@dataclass(frozen=True)
class PrivateHosts:
    """Mail servers that may be reached at an address which is not public. `names` are in lower
    case, without a final dot."""

    everywhere: bool = False
    names: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def allows(self, host: str, address: str) -> bool:
        """Whether the server `host` may be reached at the IP address `address`, which it has."""
        if self.everywhere or host.casefold().rstrip(".") in self.names:
            return True
        from ipaddress import ip_address

        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.networks)


def is_ip(text: str) -> bool:
    from ipaddress import ip_address

    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def fernet_keys(text: str) -> tuple[str, ...]:
    """Padded, as `cryptography.fernet` takes them; `./ponctuel secrets generate` makes one without
    its padding."""
    keys = tuple(key.rstrip("=") + "=" for key in re.split(r"[\s,]+", text) if key)
    # Of the last character two bits are no part of the key: another would be another spelling.
    if not keys or not all(re.fullmatch(r"[A-Za-z0-9_-]{42}[048AEIMQUYcgkosw]=", k) for k in keys):
        raise UnusableError(
            "attendu : une ou plusieurs clés de 32 octets en base64, séparées par des espaces. "
            "`./ponctuel secrets generate` en fabrique une"
        )
    return keys


def private_hosts(text: str) -> PrivateHosts:
    from ipaddress import ip_network

    names, networks = set(), []
    try:
        return PrivateHosts(everywhere=switch(text))
    except UnusableError:
        pass
    for entry in filter(None, re.split(r"[\s,]+", text.casefold())):
        try:
            networks.append(ip_network(entry, strict=False))
        except ValueError:
            if not HOST.fullmatch(entry):
                raise UnusableError(
                    "attendu : on, off, ou des noms, adresses et réseaux séparés par des virgules"
                ) from None
            names.add(entry.rstrip("."))
    return PrivateHosts(names=frozenset(names), networks=tuple(networks))


def google_oauth_url(text: str) -> ServiceUrl:
    parts = split_url(text)
    if parts.scheme != "google" or not parts.username or not parts.password or parts.hostname:
        raise UnusableError("attendu : google://identifiant_client:secret@")
    return ServiceUrl(parts.scheme, text)


def microsoft_oauth_url(text: str) -> ServiceUrl:
    """Without a secret for a public client application."""
    parts = split_url(text)
    if parts.scheme != "microsoft" or not parts.username or not parts.hostname:
        raise UnusableError("attendu : microsoft://identifiant_client:secret@locataire")
    if not HOST.fullmatch(parts.hostname) or parts.path.strip("/"):
        raise UnusableError("locataire attendu : common, un identifiant ou un domaine")
    return ServiceUrl(parts.scheme, text)
