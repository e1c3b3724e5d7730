"""Whether the mail server and the document store answer, without sending or writing anything."""

from __future__ import annotations

import ssl
from contextlib import suppress
from urllib.parse import urlsplit

from chalicelib.errors import AttachmentUnavailable, ProviderError, SettingsError
from chalicelib.setting_types import ServiceUrl

TIMEOUT_S = 10.0
# No document has this name; being told so is the proof that the store answers.
PROBE = "ponctuel-check.pdf"


def mail(address: ServiceUrl) -> str:
    """A French sentence about the server. Raises `ProviderError` when it cannot be used."""
    return _ses(address) if address.scheme == "ses" else _smtp(address)


def storage(address: ServiceUrl) -> str:
    """A French sentence about the store. Raises `ProviderError` when it cannot be reached."""
    from chalicelib.providers.storage import open_storage

    with suppress(AttachmentUnavailable):
        open_storage(address.url).read(PROBE, max_bytes=1)
    return "accessibles"


def _smtp(address: ServiceUrl) -> str:
    """Connects and says hello. A password is only tried by the first message."""
    from chalicelib.providers.mail.smtp_session import Deadline, SmtpSession

    parts = urlsplit(address.url)
    host = parts.hostname or ""
    deadline = Deadline(TIMEOUT_S)
    try:
        port = parts.port or (465 if address.scheme == "smtps" else 587)
        session = SmtpSession.connect(host, port, deadline)
        try:
            if address.scheme == "smtps":
                session.encrypt(ssl.create_default_context(), host, deadline)
            greeting = session.reply(deadline)
            hello = session.hello(deadline)
            session.command("QUIT", deadline)
        finally:
            session.close()
    except OSError as error:
        raise ProviderError(
            "smtp",
            f"Le serveur d'e-mail de MAIL_URL ne répond pas ({type(error).__name__}) : vérifiez "
            "son nom, son port et le réseau.",
            permanent=False,
            code="connection",
        ) from error
    if greeting.code != 220 or hello.code != 250:
        raise ProviderError(
            "smtp",
            f"Le serveur d'e-mail de MAIL_URL refuse la connexion ({greeting.code}, {hello.code}).",
            permanent=False,
            code="configuration",
        )
    return f"le serveur SMTP de MAIL_URL répond (port {port})"


def _ses(address: ServiceUrl) -> str:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    region = urlsplit(address.url).hostname
    config = Config(
        connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 1}
    )
    try:
        account = boto3.client("sesv2", region_name=region, config=config).get_account()
    except (BotoCoreError, ClientError) as error:
        raise ProviderError(
            "ses",
            f"Amazon SES ({region}) ne répond pas ou refuse ses droits : vérifiez le rôle IAM "
            "(ses:GetAccount pour cette vérification).",
            permanent=False,
            code="connection",
        ) from error
    if not account.get("SendingEnabled"):
        raise SettingsError("L'envoi est suspendu pour ce compte Amazon SES : voyez sa console.")
    if not account.get("ProductionAccessEnabled"):
        return (
            f"Amazon SES ({region}) répond, mais son bac à sable n'écrit qu'aux adresses vérifiées"
        )
    return f"Amazon SES ({region}) répond"
