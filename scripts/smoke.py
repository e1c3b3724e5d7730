"""The smoke test: the deployed API answers, as this stage, with a database that it can use."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import urllib3

from scripts.errors import DeploymentError

# A new API takes some seconds until all of API Gateway knows it.
PATIENCE_S = 60.0
PAUSE_S = 2.0


def address(url: str, rest_api: str, environment: Mapping[str, str]) -> str:
    """Where to call the API: `url`, or with AWS_ENDPOINT_URL the emulator's own address of it, in
    LocalStack's form (https://docs.localstack.cloud/aws/services/apigateway/)."""
    endpoint = environment.get("AWS_ENDPOINT_URL", "").rstrip("/")
    return f"{endpoint}/restapis/{rest_api}/api/_user_request_/" if endpoint else url


def answers(
    url: str,
    stage: str,
    secret: str,
    *,
    patience_s: float = PATIENCE_S,
    pause_s: float = PAUSE_S,
) -> list[str]:
    """Calls `/health?deep=1` until it says that all is well, and returns the database's revisions.
    Raises `DeploymentError` with the last answer when that takes longer than `patience_s`."""
    until = time.monotonic() + patience_s
    while True:
        body, reason = _ask(url, secret)
        if body.get("status") == "ok" and body.get("stage") == stage:
            return list(body.get("schema", []))
        if time.monotonic() > until:
            raise DeploymentError(
                f"Le code est déployé, mais {url}health ne répond pas comme il faut : {reason}"
            )
        time.sleep(pause_s)


def _ask(url: str, secret: str) -> tuple[dict[str, Any], str]:
    """The JSON of the answer, or an empty one; and what to tell about it."""
    headers = {"Authorization": f"Bearer {secret}"}
    try:
        answer = urllib3.request(
            "GET", f"{url}health?deep=1", headers=headers, timeout=30, retries=False
        )
        body = json.loads(answer.data)
    except urllib3.exceptions.HTTPError as error:
        return {}, f"pas de réponse ({type(error).__name__})."
    except ValueError:
        return {}, f"réponse {answer.status}, qui n'est pas la nôtre."
    if not isinstance(body, dict):
        return {}, f"réponse {answer.status}, qui n'est pas la nôtre."
    told = body.get("error") or body.get("message") or f"étape {body.get('stage')}"
    return body, f"réponse {answer.status}, {told}"
