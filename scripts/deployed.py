"""What a stage has in AWS now, as the state from which `chalice deploy` works.

Chalice keeps its state in a file, writes it only when all went well, and makes a second API
without it. So the file is written anew from AWS before each deployment: a lost file, another
machine or a deployment that stopped half way then make no difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.runner.triggers import APP
from scripts.account import Account
from scripts.errors import DeploymentError
from scripts.rest_apis import find_rest_api

API = "api_handler"
COMMIT_TAG = "ponctuel-commit"
# https://github.com/aws/chalice: Config.tags
_CHALICE_TAG = "aws-chalice"
Resource = dict[str, Any]


@dataclass(frozen=True)
class Function:
    """A deployed function. `commit`: the sha that it was deployed from, "" when unknown."""

    arn: str
    runtime: str
    commit: str


@dataclass(frozen=True)
class Deployed:
    """What there is of a stage: functions by Chalice's resource name (`api_handler`, `followups`),
    role ARNs by the same, rule names by job, the layer's versions, newest first, the REST API's id
    and address, the custom domain as Chalice records it. Nothing of it need be there."""

    functions: Mapping[str, Function]
    roles: Mapping[str, str]
    rules: Mapping[str, str]
    layers: tuple[str, ...]
    rest_api: str | None
    url: str | None
    domain: Resource | None = None

    @property
    def runtimes(self) -> set[str]:
        """`python3.13`, as the functions run now."""
        return {function.runtime for function in self.functions.values()}

    @property
    def commit(self) -> str:
        """The commit of all functions; "" when they differ, as half a deployment leaves them, or
        when there are none."""
        commits = {function.commit for function in self.functions.values()}
        return commits.pop() if len(commits) == 1 else ""

    def state(self) -> dict[str, Any]:
        """`.chalice/deployed/<stage>.json`. Chalice deletes what is in it and no longer in the
        application, the last first. Log groups are not in it: Chalice would not delete them but
        their retention. Names are Chalice's (its ApplicationGraphBuilder): under another name it
        would delete what it has just deployed, so a test compares this with what it records."""
        resources: list[Resource] = []
        for version, arn in enumerate(self.layers):
            # Chalice replaces the newest; older ones, of deployments that stopped, it only deletes.
            name = f"managed-layer-{version}" if version else "managed-layer"
            resources.append(_resource("lambda_layer", name, layer_version_arn=arn))
        for name, arn in self.roles.items():
            short = arn.rpartition("/")[2]
            role = _resource("iam_role", f"{name}_role", role_arn=arn, role_name=short)
            resources.append(role)
        for name, function in self.functions.items():
            resources.append(_resource("lambda_function", name, lambda_arn=function.arn))
        for job, rule in self.rules.items():
            resources.append(_resource("cloudwatch_event", f"{job}-event", rule_name=rule))
        if self.rest_api:
            api = _resource("rest_api", "rest_api", rest_api_id=self.rest_api)
            resources.append(api | {"rest_api_url": self.url})
        if self.domain:
            resources.append(self.domain)
        return {"resources": resources, "schema_version": "2.0", "backend": "api"}


def read(account: Account, stage: str, known: Sequence[str], domain: str = "") -> Deployed:
    """What the stage has. `known`: the functions of the application, whose roles are looked up even
    when the function is missing; `domain`: the stage's own domain name, if it has one. Raises
    `DeploymentError` for a function that bears one of our names and is not ours."""
    functions = _functions(account, stage)
    if foreign := sorted(name for name, function in functions.items() if function is None):
        names = ", ".join(full_name(stage, name) for name in foreign)
        raise DeploymentError(
            f"Ces fonctions Lambda portent les noms de l'étape {stage} et ne viennent pas de "
            f"`make deploy` : {names}. Supprimez-les, ou donnez un autre nom à l'étape."
        )
    ours = {name: function for name, function in functions.items() if function}
    found = find_rest_api(account, full_name(stage, API))
    return Deployed(
        functions=ours,
        roles=_roles(account, stage, dict.fromkeys([*ours, *known])),
        rules=_rules(account, stage, {function.arn for function in ours.values()}),
        layers=_layers(account, f"{APP}-{stage}-managed-layer"),
        rest_api=found,
        url=found and f"https://{found}.execute-api.{account.region}.amazonaws.com/api/",
        domain=_domain(account, domain, found) if domain else None,
    )


def full_name(stage: str, name: str) -> str:
    return f"{APP}-{stage}" if name == API else f"{APP}-{stage}-{name}"


def _functions(account: Account, stage: str) -> dict[str, Function | None]:
    """By resource name; None for one that Chalice did not deploy for this application and stage."""
    client, prefix = account.client("lambda"), f"{APP}-{stage}"
    found: dict[str, Function | None] = {}
    for page in client.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            full = function["FunctionName"]
            if full != prefix and not full.startswith(f"{prefix}-"):
                continue
            tags = client.list_tags(Resource=function["FunctionArn"])["Tags"]
            name = API if full == prefix else full.removeprefix(f"{prefix}-")
            ours = tags.get(_CHALICE_TAG, "").endswith(f":stage={stage}:app={APP}")
            commit = tags.get(COMMIT_TAG, "")
            deployed = Function(function["FunctionArn"], function["Runtime"], commit)
            found[name] = deployed if ours else None
    return found


def _roles(account: Account, stage: str, names: Iterable[str]) -> dict[str, str]:
    """Those of the functions, and those that a deployment made before it stopped. Only with the
    names that Chalice gives: another role is somebody else's, whatever uses it."""
    client, found = account.client("iam"), {}
    for name in names:
        role = f"{APP}-{stage}-{name}"
        try:
            found[name] = client.get_role(RoleName=role)["Role"]["Arn"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchEntity":
                raise
    return found


def _rules(account: Account, stage: str, functions: set[str]) -> dict[str, str]:
    """The rules that wake nothing but these functions."""
    client, prefix, found = account.client("events"), f"{APP}-{stage}-", {}
    for page in client.get_paginator("list_rules").paginate(NamePrefix=prefix):
        for rule in page["Rules"]:
            match = re.fullmatch(f"{re.escape(prefix)}(.+)-event", rule["Name"])
            targets = client.list_targets_by_rule(Rule=rule["Name"])["Targets"]
            if match and {target["Arn"] for target in targets} <= functions:
                found[match[1]] = rule["Name"]
    return found


def _layers(account: Account, name: str) -> tuple[str, ...]:
    versions = account.client("lambda").list_layer_versions(LayerName=name)["LayerVersions"]
    newest_first = sorted(versions, key=lambda version: -int(version["Version"]))
    return tuple(version["LayerVersionArn"] for version in newest_first)


def _domain(account: Account, name: str, rest_api: str | None) -> Resource | None:
    """The domain with the paths that lead to our API, as Chalice records them. The others may be
    somebody else's: Chalice would delete them."""
    client = account.client("apigateway")
    try:
        domain = client.get_domain_name(domainName=name)
        mappings = client.get_base_path_mappings(domainName=name).get("items", [])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NotFoundException":
            raise
        return None
    paths = [
        mapping.get("basePath", "(none)")
        for mapping in mappings
        if mapping.get("restApiId") == rest_api
    ]
    return _resource(
        "domain_name",
        "api_gateway_custom_domain",
        domain_name=name,
        hosted_zone_id=domain.get("regionalHostedZoneId", ""),
        alias_domain_name=domain.get("regionalDomainName", ""),
        certificate_arn=domain.get("regionalCertificateArn", ""),
        security_policy=domain.get("securityPolicy", ""),
        api_mapping=[{"key": "/" if path == "(none)" else f"/{path}"} for path in paths],
    )


def _resource(kind: str, name: str, **values: Any) -> Resource:
    return {"name": name, "resource_type": kind, **values}
