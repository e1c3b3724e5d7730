"""Where a deployed stage is, and the secret that it asks for. Neither is ever shown or logged."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chalicelib import ssm
from chalicelib.errors import BadRequest, PonctuelError, SettingsError
from chalicelib.setting_types import secret as usable_secret
from chalicelib.settings import LOCAL, Settings, settings

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Address:
    """`name`: what people call the stage. `url` has no slash at its end. `secret`: None when a
    server on this machine may need none; `secret_from`: where it was found, for an error."""

    name: str
    url: str
    secret: str | None = field(default=None, repr=False)
    secret_from: str = ""

    @property
    def option(self) -> str:
        """What the command line needs to come here again."""
        return f"--stage {self.name}" if self.name else f"--url {self.url}"


def address(arguments: Namespace, root: Path = ROOT) -> Address:
    """Of `--stage` and `--url`. Raises `SettingsError` and `BadRequest`, in French.

    The address: `--url`, PONCTUEL_URL_<STAGE>, what `chalice deploy` left in `.chalice/deployed`,
    PUBLIC_URL of the stage in SSM. The secret: PONCTUEL_SECRET_<STAGE>, PONCTUEL_SECRET,
    CRON_SECRET of the stage in SSM; never an argument, which every process can read.
    """
    given: str = getattr(arguments, "stage", None) or ""
    name = Settings.from_mapping({"PONCTUEL_STAGE": given}).stage if given else ""
    environment = settings().environment
    url = getattr(arguments, "url", None) or _environment(environment, "PONCTUEL_URL", name)
    url = url or _deployed(root, name) or _public_url(name)
    checked = usable(url)
    secret, source = _secret(environment, name, checked)
    return Address(name, checked, secret, source)


def usable(url: str) -> str:
    """The address without a slash at its end. Raises `BadRequest` when the secret could be read on
    its way there."""
    wrong = BadRequest(
        "L'adresse de l'étape doit être comme https://cron.example.fr/api, sans mot de passe ni "
        "paramètre ; http n'est accepté que pour cette machine."
    )
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        raise wrong from None
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    clean = not (parts.query or parts.fragment or "@" in parts.netloc)
    if not (parts.hostname and safe and clean and url.isprintable() and " " not in url.strip()):
        raise wrong
    return url.strip().rstrip("/")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _environment(environment: Mapping[str, str], prefix: str, name: str) -> str:
    suffix = f"_{name.upper().replace('-', '_')}" if name else ""
    return environment.get(f"{prefix}{suffix}", "").strip() if suffix else ""


def _deployed(root: Path, name: str) -> str:
    """The address that Chalice wrote down when it deployed the stage; empty without one."""
    try:
        content: Any = json.loads((root / ".chalice/deployed" / f"{name}.json").read_text())
        found = [resource.get("rest_api_url") for resource in content["resources"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    return str(next(filter(None, found), ""))


def _public_url(name: str) -> str:
    if name == LOCAL:
        raise SettingsError(
            "L'étape local n'a pas d'adresse : sans --stage la commande travaille sur votre base, "
            "et avec --url sur un serveur de cette machine (`make serve`)."
        )
    unknown = f"L'adresse de l'étape {name} n'est pas connue."
    variable = f"PONCTUEL_URL_{name.upper().replace('-', '_')}"
    how = (
        f"Donnez --url, ou {variable} dans l'environnement, ou enregistrez-la : "
        f"`./ponctuel secrets store PUBLIC_URL --stage {name}`."
    )
    try:
        found = ssm.load(f"/ponctuel/{name}/").get("PUBLIC_URL", "")
    except SettingsError as error:
        raise SettingsError(f"{unknown} {how} {error}") from None
    if not found:
        raise SettingsError(f"{unknown} {how}")
    return found


def _secret(environment: Mapping[str, str], name: str, url: str) -> tuple[str | None, str]:
    own = f"PONCTUEL_SECRET_{name.upper().replace('-', '_')}" if name else "PONCTUEL_SECRET"
    for variable in dict.fromkeys((own, "PONCTUEL_SECRET")):
        if given := environment.get(variable, "").strip():
            return _checked(given, variable), variable
    if is_loopback(urlsplit(url).hostname or ""):
        return None, own
    how = f"Renseignez {own} dans l'environnement de ce terminal."
    if not name:
        raise SettingsError(f"Le secret manque. {how}")
    try:
        found = ssm.load(f"/ponctuel/{name}/").get("CRON_SECRET", "").strip()
    except SettingsError as error:
        raise SettingsError(f"Le secret de l'étape {name} manque. {how} {error}") from None
    if not found:
        raise SettingsError(
            f"L'étape {name} n'a pas de CRON_SECRET dans SSM. Rangez-en un : "
            f"`./ponctuel secrets store CRON_SECRET --stage {name}`. {how}"
        )
    return _checked(found, "CRON_SECRET"), f"CRON_SECRET de l'étape {name} dans SSM"


def _checked(given: str, variable: str) -> str:
    """A secret that can stand in a header. Raises `SettingsError`, without it."""
    from chalicelib.redaction import conceal

    conceal(given)
    try:
        if not (given.isascii() and given.isprintable() and " " not in given):
            raise ValueError
        usable_secret(given)
    except (ValueError, PonctuelError):
        raise SettingsError(
            f"{variable} n'est pas un secret de Ponctuel : 32 caractères au moins, sans espace ni "
            "accent. Copiez-le de nouveau."
        ) from None
    return given
