"""From a mailbox's row to a session on its server: what opens it is decrypted, a token renewed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine

from chalicelib.errors import SettingsError
from chalicelib.mailboxes.access import Renewal, access_token
from chalicelib.mailboxes.credentials import Keyring, Password
from chalicelib.providers.imap.account import ImapAccount
from chalicelib.providers.imap.port import ImapError, MailSession
from chalicelib.providers.imap.session import open_session
from chalicelib.providers.oauth import TokenIssuer
from chalicelib.settings import Settings


class Opener:
    """Logs in to mailboxes. One for all threads. Making it raises `SettingsError` when no key is
    configured."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._keyring = Keyring.of(settings)

    def __call__(self, row: Mapping[str, Any], seconds: float) -> MailSession:
        """`row`: of `ponctuel.mailboxes`. Everything ends `seconds` from now. Raises `ImapError`,
        `SettingsError`, `NotFound`."""
        if row["auth"] == "password":
            credentials = self._keyring.decrypt(row["credentials"])
            if not isinstance(credentials, Password):
                raise SettingsError(
                    "Cette boîte a un jeton là où il faut un mot de passe : enregistrez-le par "
                    "`./ponctuel mailbox password`.",
                    code="mailbox_credentials",
                )
            return open_session(self._account(row, credentials.password), seconds=seconds)
        how = renewal(self._settings, row["token_issuer"])
        token = access_token(self._engine, row["id"], self._keyring, how)
        try:
            return open_session(self._account(row, token), seconds=seconds)
        except ImapError as error:
            if error.code != "credentials":
                raise
        # A token may be withdrawn before its time is over: another one tells whether it was that.
        token = access_token(self._engine, row["id"], self._keyring, how, refused=token)
        return open_session(self._account(row, token), seconds=seconds)

    def _account(self, row: Mapping[str, Any], secret: str) -> ImapAccount:
        return ImapAccount(
            host=row["host"],
            port=row["port"],
            username=row["username"],
            secret=secret,
            security=row["security"],
            auth=row["auth"],
            private_allowed=self._settings.inbox_private_hosts.allows,
        )


def renewal(settings: Settings, issuer: str) -> Renewal:
    """How access tokens of `google` or `microsoft` are renewed here. Raises `SettingsError` when
    that is not set up."""
    url, name = {
        "google": (settings.google_oauth_url, "GOOGLE_OAUTH_URL"),
        "microsoft": (settings.microsoft_oauth_url, "MICROSOFT_OAUTH_URL"),
    }[issuer]
    if url is None:
        raise SettingsError(
            f"{name} n'est pas renseigné : l'accès à cette boîte ne peut pas être renouvelé. "
            + settings.how_to_set(name)
        )
    found = TokenIssuer(url.url)
    ask: Callable[[str], Any] = found.renew
    return Renewal(ask, timedelta(seconds=found.longest_call))
