"""SSM Parameter Store: everything under one path, read at once and kept for five minutes; and
single parameters with their version, which are not kept.

botocore alone is used, without boto3: the session and the client cost 165 ms of import instead of
190 ms (Python 3.11, medians of three, precompiled).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from chalicelib import logs
from chalicelib.errors import SettingsError

TTL_S = 300.0
# After a failed refresh the old values serve on; asking again at each access would slow everything.
RETRY_S = 30.0

_lock = threading.Lock()
_held: dict[str, tuple[float, Mapping[str, str]]] = {}


def load(path: str, client: Any = None, *, now: float | None = None) -> Mapping[str, str]:
    """The parameters directly under `path` (`/ponctuel/prod/`), decrypted, by their last name.

    Asks AWS on first use and when the values are older than five minutes; when a refresh fails the
    old values are kept and `settings_refresh_failed` is logged. `now` is in seconds since the
    epoch. Raises `SettingsError` when nothing was ever loaded and AWS cannot be asked.
    """
    # Wall time: while Lambda freezes a process, a monotonic clock may stand still.
    instant = time.time() if now is None else now
    with _lock:
        until, values = _held.get(path, (0.0, None))
        # The second bound is for a wall clock that was set back.
        if values is not None and until - TTL_S <= instant < until:
            return values
        try:
            loaded: Mapping[str, str] = MappingProxyType(_fetch(path, client))
        except SettingsError as error:
            if values is None:
                raise
            logs.error("settings_refresh_failed", error=error)
            _held[path] = (instant + RETRY_S, values)
            return values
        _held[path] = (instant + TTL_S, loaded)
        return loaded


def forget() -> None:
    """The next `load` asks AWS again, and keeps the old values if that fails."""
    with _lock:
        for path, (_, values) in _held.items():
            _held[path] = (0.0, values)


def connect() -> Any:
    """A botocore SSM client that gives up after about ten seconds. AWS_ENDPOINT_URL and the usual
    credential chain apply. Raises `SettingsError` without a region.

    It is kept, because making another costs 60 ms of processor time, at each refresh; and made
    again when the environment names another place or another key.
    """
    names = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID")
    return _client(*(os.environ.get(name) for name in names))


@lru_cache(maxsize=1)
def _client(_endpoint: str | None, region: str | None, *_who: str | None) -> Any:
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    limits = Config(
        connect_timeout=1.5, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}
    )
    try:
        # botocore itself only looks at AWS_DEFAULT_REGION.
        return botocore.session.get_session().create_client(
            "ssm", region_name=region or None, config=limits
        )
    except BotoCoreError as error:
        raise unreachable("/ponctuel/", error) from error


def get(name: str, version: int | None = None) -> tuple[str, int] | None:
    """The value of one parameter and its version (that one, or the newest); None if it does not
    exist. Raises `SettingsError`."""
    from botocore.exceptions import BotoCoreError, ClientError

    selected = name if version is None else f"{name}:{version}"
    try:
        found = connect().get_parameter(Name=selected)["Parameter"]
    except (BotoCoreError, ClientError) as error:
        response = getattr(error, "response", None) or {}
        if response.get("Error", {}).get("Code") in (
            "ParameterNotFound",
            "ParameterVersionNotFound",
        ):
            return None
        raise unreachable(name, error, "ssm:GetParameter") from error
    return str(found["Value"]), int(found["Version"])


def put(name: str, value: str) -> int:
    """Writes one parameter, unencrypted; returns its new version, one more than the last one was.
    Raises `SettingsError`."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = connect().put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    except (BotoCoreError, ClientError) as error:
        raise unreachable(name, error, "ssm:PutParameter") from error
    return int(answer["Version"])


def unreachable(path: str, error: Exception, right: str | None = None) -> SettingsError:
    """What to tell a person about a botocore error; the error's own text is left out. `right`: the
    one that is needed, where it is another than that of the settings."""
    response = getattr(error, "response", None) or {}
    code = str(response.get("Error", {}).get("Code", type(error).__name__))
    if "AccessDenied" in code and right is not None:
        advice = f"le rôle n'a pas le droit {right}"
    elif "AccessDenied" in code:
        advice = (
            f"le rôle n'a pas le droit de lire ou d'écrire {path}* "
            "(ssm:GetParametersByPath et kms:Decrypt ; pour changer, aussi ssm:PutParameter et "
            "ssm:DeleteParameters)"
        )
    elif "Credentials" in code or "Token" in code:
        advice = "les identifiants AWS manquent ou ont expiré"
    elif code == "NoRegionError":
        advice = "la région AWS manque : renseignez AWS_REGION"
    else:
        advice = (
            "AWS ne répond pas ; dans un réseau privé il faut une passerelle NAT ou un point "
            "d'accès pour ssm et kms"
        )
    return SettingsError(
        f"Les paramètres {path} ne sont pas accessibles : {advice} ({code}).", code="ssm"
    )


def _fetch(path: str, client: Any) -> dict[str, str]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        pages = (client or connect()).get_paginator("get_parameters_by_path")
        return {
            parameter["Name"].rpartition("/")[2]: parameter["Value"]
            for page in pages.paginate(Path=path, Recursive=False, WithDecryption=True)
            for parameter in page["Parameters"]
        }
    except (BotoCoreError, ClientError) as error:
        raise unreachable(path, error) from error
