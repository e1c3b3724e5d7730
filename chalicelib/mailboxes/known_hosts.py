"""Where the mail of well-known domains and hosters is, so that an address is enough.

Sources: the providers' own help pages, read in 2026 (IONOS, Infomaniak, OVHcloud MX Plan, Gandi,
Orange, Free, La Poste, Google, Microsoft). All of them: port 993, TLS from the first byte, the
address as user name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TLS_PORT, STARTTLS_PORT = 993, 143


@dataclass(frozen=True)
class KnownHost:
    """`issuer`: whose tokens it takes. `password`: whether it takes one at all; `application`:
    only one that was made for a program, in the account's settings."""

    host: str
    issuer: Literal["google", "microsoft"] | None = None
    password: bool = True
    application: bool = False


GOOGLE = KnownHost("imap.gmail.com", "google", application=True)
MICROSOFT = KnownHost("outlook.office365.com", "microsoft", password=False)

# What may be given as --host instead of a server's name.
HOSTERS = {
    "gandi": KnownHost("mail.gandi.net"),
    "google": GOOGLE,
    "infomaniak": KnownHost("mail.infomaniak.com", application=True),
    "ionos": KnownHost("imap.ionos.fr"),
    "microsoft": MICROSOFT,
    "ovh": KnownHost("ssl0.ovh.net"),
}
_ORANGE = KnownHost("imap.orange.fr")
_SFR = KnownHost("imap.sfr.fr")
_ICLOUD = KnownHost("imap.mail.me.com", application=True)
_YAHOO = KnownHost("imap.mail.yahoo.com", application=True)
_GMX = KnownHost("imap.gmx.com")
DOMAINS = {
    "gmail.com": GOOGLE,
    "googlemail.com": GOOGLE,
    **dict.fromkeys(
        (
            "outlook.com",
            "outlook.fr",
            "hotmail.com",
            "hotmail.fr",
            "live.com",
            "live.fr",
            "msn.com",
        ),
        MICROSOFT,
    ),
    **dict.fromkeys(("orange.fr", "wanadoo.fr"), _ORANGE),
    **dict.fromkeys(("sfr.fr", "neuf.fr", "cegetel.net", "club-internet.fr"), _SFR),
    "free.fr": KnownHost("imap.free.fr"),
    "laposte.net": KnownHost("imap.laposte.net"),
    "bbox.fr": KnownHost("imap4.bbox.fr"),
    **dict.fromkeys(("icloud.com", "me.com", "mac.com"), _ICLOUD),
    **dict.fromkeys(("yahoo.fr", "yahoo.com"), _YAHOO),
    **dict.fromkeys(("gmx.fr", "gmx.com"), _GMX),
}


def known(address: str, host: str = "") -> KnownHost | None:
    """Of an address, or of a hoster's name or server given for it; None when neither is known."""
    given = host.casefold()
    if not given:
        return DOMAINS.get(address.rpartition("@")[2].casefold())
    servers = {entry.host: entry for entry in (*HOSTERS.values(), *DOMAINS.values())}
    return HOSTERS.get(given) or servers.get(given)
