"""The settings of the mailboxes that are read: keys, token issuers, private servers. See
`settings`."""

from __future__ import annotations

from chalicelib import setting_types_inbox as parse
from chalicelib.setting import Setting
from chalicelib.setting_types import ServiceUrl
from chalicelib.setting_types_inbox import PrivateHosts


class InboxSettings:
    """A part of the table: `Settings` reads it."""

    # fmt: off
    mailbox_keys: Setting[tuple[str, ...] | None] = Setting(
        "MAILBOX_KEYS", parse.fernet_keys, None, secret=True,
        meaning="clés qui chiffrent les mots de passe des boîtes, la première chiffre",
        example="kR3vN8pXw2Lq…")
    google_oauth_url: Setting[ServiceUrl | None] = Setting(
        "GOOGLE_OAUTH_URL", parse.google_oauth_url, None, secret=True,
        meaning="application Google des boîtes sans mot de passe : google://client:secret@",
        example="google://1234-ab.apps.googleusercontent.com:GOCSPX-x9@")
    microsoft_oauth_url: Setting[ServiceUrl | None] = Setting(
        "MICROSOFT_OAUTH_URL", parse.microsoft_oauth_url, None, secret=True,
        meaning="application Microsoft : microsoft://client:secret@locataire",
        example="microsoft://8f14e45f-ceea-467f-a8f2-5e4b0c9d1a23:x9~Q8@common")
    inbox_private_hosts: Setting[PrivateHosts] = Setting(
        "INBOX_PRIVATE_HOSTS", parse.private_hosts, PrivateHosts(),
        meaning="serveurs de courrier sur un réseau privé : noms, adresses, réseaux ; on : tous",
        example="imap.interne.example, 192.168.10.0/24")
    # fmt: on
