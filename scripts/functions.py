"""What Chalice does not do for functions: log groups, and the call of `migrate`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from chalicelib.runner.triggers import APP
from scripts.account import Account
from scripts.deployed import full_name
from scripts.errors import DeploymentError

# A migration may take as long as its function may; asked again, it would run beside itself.
_PATIENT = Config(read_timeout=910, retries={"mode": "standard", "total_max_attempts": 1})


def keep_logs(account: Account, stage: str, names: Iterable[str], days: int | None) -> None:
    """Makes each function's log group and sets its retention (None: as it is). Before Chalice: it
    looks for a group by prefix, and finds another function's instead; and it gives the API's
    retention to a group that nothing uses (https://github.com/aws/chalice/issues/2079)."""
    client = account.client("logs")
    for name in names:
        group = f"/aws/lambda/{full_name(stage, name)}"
        try:
            client.create_log_group(logGroupName=group)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
                raise
        if days is not None:
            client.put_retention_policy(logGroupName=group, retentionInDays=days)


def migrate(account: Account, stage: str) -> list[str]:
    """Runs the stage's `migrate` and returns the revisions that its database has. Raises
    `DeploymentError` with the function's own reason."""
    name = full_name(stage, "migrate")
    client = account.client("lambda", _PATIENT)
    answer = client.invoke(FunctionName=name, Payload=b"{}")
    payload: Any = json.loads(answer["Payload"].read() or b"{}")
    if "FunctionError" in answer:
        # Ours are French and hold no secret; of any other only the sort is told.
        ours = payload.get("errorType") in _own_errors()
        reason = payload.get("errorMessage") if ours else payload.get("errorType", "erreur")
        raise DeploymentError(
            f"Le code est déployé, mais la base n'a pas été mise à jour : {reason}\nLes jobs "
            "attendent que ce soit fait. Corrigez, puis relancez `make deploy "
            f"STAGE={stage}`. Le détail : `aws logs tail /aws/lambda/{APP}-{stage}-migrate`."
        )
    return list(payload["revisions"])


def _own_errors() -> set[str]:
    from chalicelib import errors

    return {name for name, value in vars(errors).items() if isinstance(value, type)}
