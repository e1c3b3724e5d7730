"""WhatsApp providers. `open_whatsapp` reads where to send from a setting; adapters load on first
use."""

from __future__ import annotations

from collections.abc import Callable

from chalicelib.errors import SettingsError
from chalicelib.providers.whatsapp.port import WhatsAppProvider


def open_whatsapp(url: str) -> Callable[[], WhatsAppProvider]:
    """A factory of providers: each thread calls it once, and closes what it got.

    - `twilio://ACxxx:token@?from=+33612345678&messaging_service=MGxxx`, one of the two or both;
      with an API key, `twilio://SKxxx:secret@?account=ACxxx&…`;
    - `meta://:token@phone_number_id?version=v23.0`, the version being optional.

    Secrets stand before the `@`, percent-encoded, where logs mask them in any address. `base_url`
    is for tests and the sandbox. Neither the factory nor an error ever shows a secret. Raises
    `SettingsError`.
    """
    from functools import partial
    from urllib.parse import parse_qsl, unquote, urlsplit

    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        user, secret = unquote(parts.username or ""), unquote(parts.password or "")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _unusable() from None  # its message quotes the URL, with the secret
    if parts.path not in ("", "/") or parts.fragment or port is not None:
        raise _unusable()
    base = {"base_url": options.pop("base_url")} if "base_url" in options else {}
    if parts.scheme == "twilio" and not host:
        from chalicelib.providers.whatsapp.twilio import TwilioProvider, TwilioSettings

        twilio = TwilioSettings(
            account=options.pop("account", user),
            key=user,
            secret=secret,
            number=_number(options.pop("from", None)),
            service=options.pop("messaging_service", None),
            **base,
        )
        return _nothing_else(options, partial(TwilioProvider, twilio))
    if parts.scheme == "meta" and not user:
        from chalicelib.providers.whatsapp.meta import VERSION, MetaProvider, MetaSettings

        meta = MetaSettings(host, secret, options.pop("version", VERSION), **base)
        return _nothing_else(options, partial(MetaProvider, meta))
    raise _unusable()


def _nothing_else(
    options: dict[str, str], factory: Callable[[], WhatsAppProvider]
) -> Callable[[], WhatsAppProvider]:
    if options:
        raise _unusable()
    return factory


def _number(text: str | None) -> str | None:
    """A plus sign that was not percent-encoded reads as a blank."""
    if text is None:
        return None
    return "+" + text.removeprefix("whatsapp:").lstrip("+ ")


def _unusable() -> SettingsError:
    return SettingsError(
        "Réglage de WhatsApp illisible : attendu twilio://AC…:jeton@?from=+33… ou "
        "meta://:jeton@identifiant_du_numéro. Dans le jeton, les caractères spéciaux s’écrivent "
        "%XX."
    )
