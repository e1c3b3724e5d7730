"""The AWS account and region that a deployment goes to, and French words for AWS's refusals."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)

from scripts.errors import DeploymentError
from scripts.stages import Stage

# Each operation is asked once more at most: some of them make something each time.
_CONFIG = Config(
    connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 2}
)
_NO_CREDENTIALS = (
    "AWS ne reçoit pas d'identifiants valables. Connectez-vous (`aws sso login`, ou `aws "
    "configure`), ou choisissez un profil : AWS_PROFILE=…"
)
_CREDENTIAL_ERRORS = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)
_CREDENTIAL_CODES = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


@dataclass(frozen=True)
class Account:
    """Where to deploy. `number`: twelve digits; `region`: `eu-west-3`; `who`: the caller's ARN."""

    session: Any
    number: str
    region: str
    who: str

    def client(self, service: str, config: Config | None = None) -> Any:
        """A client of the region. AWS_ENDPOINT_URL applies."""
        merged = _CONFIG.merge(config) if config else _CONFIG
        return self.session.create_client(service, region_name=self.region, config=merged)


def connect(stage: Stage, environment: Mapping[str, str]) -> Account:
    """The account that the credentials of `environment` open. Raises `DeploymentError` when there
    are none, no region, or when they open another account or region than the stage's."""
    with asking():
        session = botocore.session.Session()
        chosen = environment.get("AWS_REGION") or session.get_config_variable("region")
        region = chosen or stage.aws_region
        if not region:
            raise DeploymentError(
                "La région AWS manque. Ajoutez aws_region à l'étape dans .chalice/stages.toml "
                '(par exemple aws_region = "eu-west-3", Paris), ou renseignez AWS_REGION.'
            )
        if stage.aws_region and region != stage.aws_region:
            raise DeploymentError(
                f"L'étape {stage.name} est dans la région {stage.aws_region} (stages.toml), et "
                f"ce terminal vise {region} : rien n'a été changé. Retirez AWS_REGION et "
                "AWS_DEFAULT_REGION, ou choisissez le bon profil."
            )
        client = session.create_client("sts", region_name=region, config=_CONFIG)
        caller = client.get_caller_identity()
    account = Account(session, caller["Account"], region, caller["Arn"])
    if stage.aws_account_id and account.number != stage.aws_account_id:
        raise DeploymentError(
            f"L'étape {stage.name} est dans le compte AWS {stage.aws_account_id} (stages.toml), "
            f"et ces identifiants ouvrent le compte {account.number} : rien n'a été changé. "
            "Choisissez le bon profil : AWS_PROFILE=…"
        )
    return account


@contextmanager
def asking() -> Iterator[None]:
    """Turns what botocore raises into a `DeploymentError` that says what to do."""
    try:
        yield
    except _CREDENTIAL_ERRORS as error:
        raise DeploymentError(f"{_NO_CREDENTIALS} ({type(error).__name__})") from error
    except ClientError as error:
        raise DeploymentError(_refused(error)) from error
    except BotoCoreError as error:
        raise DeploymentError(
            f"AWS ne répond pas : vérifiez le réseau et la région, puis relancez ({error})."
        ) from error


def _refused(error: ClientError) -> str:
    code = str(error.response.get("Error", {}).get("Code", ""))
    said = str(error.response.get("Error", {}).get("Message", ""))
    if code in _CREDENTIAL_CODES:
        return f"{_NO_CREDENTIALS} ({code})"
    if "AccessDenied" in code or "Unauthorized" in code or code == "Forbidden":
        action = re.search(r"perform: (\S+)", said)
        what = action[1] if action else error.operation_name
        return (
            f"Il vous manque un droit AWS : {what}. La liste complète est dans "
            "docs/deploying.md (« Your own rights »)."
        )
    return f"AWS a refusé {error.operation_name} ({code}) : {said}"
