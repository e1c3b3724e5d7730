"""Waking a job's own Lambda: after a call by hand, and to go on after a deadline.

Waking only shortens the wait: whatever a lost call leaves behind, the next tick takes up.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import Protocol
from uuid import UUID

from chalicelib import logs
from chalicelib.runner.events import envelope
from chalicelib.settings import settings

APP = "ponctuel"


class Trigger(Protocol):
    def wake(self, job: str, door: str, run_id: UUID | None) -> str | None:
        """Starts the job elsewhere and returns at once; never raises. Returns None, or the French
        sentence that says why the job was not started: there is nothing to wait for, and the run
        stays queued for the next tick."""
        ...


class LambdaTrigger:
    """An asynchronous invocation of `<app>-<stage>-<job>`."""

    def wake(self, job: str, door: str, run_id: UUID | None) -> str | None:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            CredentialRetrievalError,
            NoCredentialsError,
            PartialCredentialsError,
        )

        function = f"{APP}-{settings().stage}-{job}"
        config = Config(
            connect_timeout=2,
            read_timeout=5,
            retries={"total_max_attempts": 2, "mode": "standard"},
        )
        try:
            # A session of its own: two threads must not share boto3's default one.
            client = boto3.session.Session().client("lambda", config=config)
            with closing(client):
                client.invoke(
                    FunctionName=function,
                    InvocationType="Event",
                    Payload=json.dumps(envelope(job, door=door, run_id=run_id)).encode(),
                )
        except ClientError as error:
            details = error.response.get("Error", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code = str(details.get("Code", ""))
            logs.warning("wake_failed", job=job, code=code, status=status)
            return _refused(function, code, status)
        except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
            logs.warning("wake_failed", job=job, error=error)
            return _NO_CREDENTIALS
        except BotoCoreError as error:
            logs.warning("wake_failed", job=job, error=error)
            return "AWS Lambda est injoignable ou n'a pas répondu."
        return None


_NO_CREDENTIALS = "AWS ne reçoit pas d'identifiants valables : renouvelez-les."


def _refused(function: str, code: str, status: int) -> str:
    """Codes: Lambda's API reference, Invoke, errors."""
    if code == "ResourceNotFoundException":
        why = f"La fonction {function} n'existe pas : déployez l'étape, ou vérifiez son nom."
    elif code in ("ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId"):
        why = _NO_CREDENTIALS
    elif status in (401, 403):
        why = f"Il manque le droit lambda:InvokeFunction sur {function} : ajoutez-le au rôle."
    elif status == 429:
        why = "AWS Lambda est saturé : trop d'exécutions en même temps pour ce compte."
    else:
        why = f"AWS Lambda a refusé de démarrer {function} ({code[:60] or status})."
    return why


class NextTick:
    """Wakes nobody: the next tick, or the local scheduler, takes up the run."""

    def wake(self, job: str, door: str, run_id: UUID | None) -> str | None:
        logs.debug("wake_left_to_next_tick", job=job, door=door, run_id=str(run_id))
        return None


_installed: Trigger | None = None


def install(chosen: Trigger | None) -> None:
    """The local server's way of starting a job; None: back to the default."""
    global _installed
    _installed = chosen


def trigger() -> Trigger:
    """Lambda on deployed stages; on `local`, what the local server installed."""
    if _installed is not None:
        return _installed
    return NextTick() if settings().is_local else LambdaTrigger()
