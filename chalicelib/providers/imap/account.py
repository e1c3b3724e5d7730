"""What is needed to reach a mailbox over IMAP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Security = Literal["tls", "starttls", "none"]
Auth = Literal["password", "xoauth2"]


@dataclass(frozen=True)
class ImapAccount:
    """`secret` is the password, or for `xoauth2` an access token that is still valid. `ca_file`:
    the authority, where it is not one of the system's. `private_allowed`: the server may be on this
    machine or in its network, or whether a host may be at an address (host, address); that is for
    whoever runs Ponctuel to say, never for its users."""

    host: str
    port: int
    username: str = field(repr=False)
    secret: str = field(repr=False)
    security: Security = "tls"
    auth: Auth = "password"
    ca_file: str | None = None
    private_allowed: bool | Callable[[str, str], bool] = False
