"""From a mailbox's row to an open session: its credentials, a token that is still good, and whether
its server may be where it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Engine, text

from chalicelib.domain.inbox.access import Renewal, access_token
from chalicelib.domain.inbox.credentials import Keyring, Password
from chalicelib.errors import NotFound, SettingsError
from chalicelib.settings import Settings

if TYPE_CHECKING:
    from chalicelib.providers.imap.account import ImapAccount
    from chalicelib.providers.imap.port import MailSession

_ROW = text("""
SELECT host, port, security, auth, token_issuer, username, credentials
  FROM ponctuel.mailboxes WHERE id = :id
""")


@dataclass(frozen=True)
class Opener:
    """Opens mailboxes; any thread may. `engine`: for the credentials; no transaction is open while
    a server is waited for."""

    engine: Engine
    settings: Settings
    keyring: Keyring

    @classmethod
    def of(cls, engine: Engine, settings: Settings) -> Opener:
        """Raises `SettingsError` when there is no key."""
        return cls(engine, settings, Keyring.of(settings))

    def open(
        self,
        mailbox_id: int,
        *,
        seconds: float,
        connect_timeout: float = 10,
        read_timeout: float = 60,
    ) -> MailSession:
        """Connected and logged in; times as for `open_session`. An access token that the server
        does not take is renewed once, whatever its age. Raises `ImapError`, `SettingsError`,
        `NotFound`."""
        from chalicelib.providers.imap.port import ImapError
        from chalicelib.providers.imap.session import open_session

        account = self.account(mailbox_id)
        for last in (account.auth != "xoauth2", True):
            try:
                return open_session(
                    account,
                    seconds=seconds,
                    connect_timeout=connect_timeout,
                    read_timeout=read_timeout,
                )
            except ImapError as error:
                if last or error.code != "credentials":
                    raise
            account = self.account(mailbox_id, refused=account.secret)
        raise AssertionError("the last attempt returns or raises")

    def account(self, mailbox_id: int, *, refused: str | None = None) -> ImapAccount:
        """What `open_session` takes. `refused`: see `access_token`. Raises as `open`."""
        from chalicelib.providers.imap.account import ImapAccount

        with self.engine.begin() as connection:
            row = connection.execute(_ROW, {"id": mailbox_id}).first()
        if row is None:
            raise NotFound(f"Il n'y a pas de boîte n° {mailbox_id}.")
        if row.auth == "password":
            credentials = self.keyring.decrypt(row.credentials)
            if not isinstance(credentials, Password):
                raise SettingsError(
                    "Cette boîte a un jeton là où il faut un mot de passe : enregistrez-le par "
                    "`./ponctuel mailbox password`.",
                    code="mailbox_credentials",
                )
            secret = credentials.password
        else:
            secret = access_token(
                self.engine,
                mailbox_id,
                self.keyring,
                renewal(self.settings, row.token_issuer),
                refused=refused,
            )
        return ImapAccount(
            host=row.host,
            port=row.port,
            username=row.username,
            secret=secret,
            security=row.security,
            auth=row.auth,
            private_allowed=self.settings.inbox_private_hosts.allows(row.host),
        )


def renewal(settings: Settings, issuer: Literal["google", "microsoft"] | None) -> Renewal:
    """How tokens of that issuer are renewed here. Raises `SettingsError` when it is not set up."""
    from chalicelib.providers.oauth import TokenIssuer

    url = settings.google_oauth_url if issuer == "google" else settings.microsoft_oauth_url
    if url is None:
        name = f"{(issuer or 'microsoft').upper()}_OAUTH_URL"
        raise SettingsError(
            f"{name} n'est pas renseigné : sans application enregistrée, l'accès aux boîtes ne "
            "peut pas être renouvelé. " + settings.how_to_set(name)
        )
    client = TokenIssuer(url.url)
    return Renewal(client.renew, timedelta(seconds=client.longest_call))
