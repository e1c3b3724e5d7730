"""E-mail providers. `open_mail` reads where to send from a setting; adapters load on first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from chalicelib.errors import SettingsError
from chalicelib.providers.mail.port import MailProvider


def open_mail(url: str) -> Callable[[], MailProvider]:
    """A factory of providers: each thread calls it once, and closes what it got.

    - `smtp://user:password@host:587` with `?tls=starttls` (the default) or `?tls=none`;
    - `smtps://user:password@host:465`, TLS from the start;
    - `ses://eu-west-3?configuration_set=name`, with `&endpoint_url=` for tests.

    SMTP also takes `ca_file`, and user and password are percent-encoded. Neither the factory nor an
    error ever shows them. Raises `SettingsError`.
    """
    from functools import partial
    from urllib.parse import parse_qsl, unquote, urlsplit

    try:
        parts = urlsplit(url)
        port = parts.port
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        raise _unusable() from None  # its message quotes the URL, with the password
    if not parts.hostname or parts.path not in ("", "/") or parts.fragment:
        raise _unusable()
    if parts.scheme == "ses":
        _only(options, {"configuration_set", "endpoint_url"})
        from chalicelib.providers.mail.ses import SesProvider

        configuration_set = options.get("configuration_set")
        endpoint_url = options.get("endpoint_url")
        return partial(SesProvider, parts.hostname, configuration_set, endpoint_url)
    if parts.scheme in ("smtp", "smtps"):
        _only(options, {"tls", "ca_file"})
        from chalicelib.providers.mail.smtp import SmtpProvider, SmtpSettings

        settings = SmtpSettings(
            host=parts.hostname,
            port=port or (465 if parts.scheme == "smtps" else 587),
            tls=_tls(parts.scheme, options),
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            ca_file=options.get("ca_file"),
        )
        return partial(SmtpProvider, settings)
    raise _unusable()


def _tls(scheme: str, options: dict[str, str]) -> Literal["starttls", "implicit", "none"]:
    asked = options.get("tls")
    if scheme == "smtps" and asked in (None, "implicit"):
        return "implicit"
    if scheme == "smtp" and asked in (None, "starttls"):
        return "starttls"
    if scheme == "smtp" and asked == "none":
        return "none"
    raise _unusable()


def _only(options: dict[str, str], known: set[str]) -> None:
    if not options.keys() <= known:
        raise _unusable()


def _unusable() -> SettingsError:
    return SettingsError(
        "Réglage d’e-mail illisible : attendu smtp://utilisateur:motdepasse@serveur:587, smtps://… "
        "ou ses://région. Dans le mot de passe, les caractères spéciaux s’écrivent %XX."
    )
