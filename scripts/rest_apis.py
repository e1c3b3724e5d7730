"""Which REST API of the account is a stage's. Its name tells nothing: all stages' have the same."""

from __future__ import annotations

from typing import Any

from chalicelib.runner.triggers import APP
from scripts.account import Account
from scripts.errors import DeploymentError


def find_rest_api(account: Account, function: str) -> str | None:
    """The id of the API that hands its calls to `function`, by name; None when there is none. One
    that was never published gives way to one that was: it is what a cut deployment left. Raises
    `DeploymentError` when that leaves several."""
    client = account.client("apigateway")
    named = [
        api
        for page in client.get_paginator("get_rest_apis").paginate()
        for api in page.get("items", [])
        if api["name"] == APP
    ]
    calling = [api["id"] for api in named if _calls(client, api["id"], function)]
    if len(calling) < 2:
        return calling[0] if calling else None
    published = [api for api in calling if client.get_stages(restApiId=api).get("item")]
    if len(published) == 1:
        return str(published[0])
    raise DeploymentError(
        f"Plusieurs API appellent {function} : {', '.join(sorted(calling))}. Gardez celle que "
        "vos appelants utilisent, et supprimez les autres : "
        "`aws apigateway delete-rest-api --rest-api-id …`, puis relancez."
    )


def _calls(client: Any, api: str, function: str) -> bool:
    pages = client.get_paginator("get_resources").paginate(restApiId=api, embed=["methods"])
    uris = (
        method.get("methodIntegration", {}).get("uri", "")
        for page in pages
        for resource in page.get("items", [])
        for method in resource.get("resourceMethods", {}).values()
    )
    return any(f":function:{function}/invocations" in uri for uri in uris)
