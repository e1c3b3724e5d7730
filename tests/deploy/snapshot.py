"""What AWS holds, as it is told by its own answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from tests.deploy.aws import Aws

Document = dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """Everything by its name in AWS. `statements`: each function's resource policy; `roles`: inline
    policies by role; `rules`: expression, state and targets; `apis`: methods by path, by id;
    `retention`: days by log group."""

    functions: dict[str, Document]
    tags: dict[str, Document]
    statements: dict[str, list[Document]]
    roles: dict[str, Document]
    rules: dict[str, tuple[str, str, list[str]]]
    apis: dict[str, dict[str, set[str]]]
    layers: dict[str, list[str]]
    retention: dict[str, int | None]

    def of(self, stage: str) -> set[str]:
        """Names of that stage's functions, roles, rules and layers."""
        names = {*self.functions, *self.roles, *self.rules, *self.layers}
        return {name for name in names if name.startswith(f"ponctuel-{stage}")}

    def code(self, stage: str) -> set[str]:
        """The hashes of the code of the stage's functions."""
        found = (self.functions[name] for name in self.of(stage) & self.functions.keys())
        return {function["CodeSha256"] for function in found}

    def used_layers(self, stage: str) -> set[str]:
        found = (self.functions[name] for name in self.of(stage) & self.functions.keys())
        return {layer["Arn"] for function in found for layer in function["Layers"]}


def snapshot(aws: Aws) -> Snapshot:
    client, before = aws.client("lambda"), len(aws.calls)
    functions = {found["FunctionName"]: found for found in client.list_functions()["Functions"]}
    layers = [layer["LayerName"] for layer in client.list_layers()["Layers"]]
    taken = Snapshot(
        functions=functions,
        tags={
            name: client.list_tags(Resource=found["FunctionArn"])["Tags"]
            for name, found in functions.items()
        },
        statements={name: _statements(client, name) for name in functions},
        roles=_roles(aws),
        rules=_rules(aws),
        apis=_apis(aws),
        layers={
            name: [
                version["LayerVersionArn"]
                for version in client.list_layer_versions(LayerName=name)["LayerVersions"]
            ]
            for name in layers
        },
        retention={
            group["logGroupName"]: group.get("retentionInDays")
            for group in aws.client("logs").describe_log_groups()["logGroups"]
        },
    )
    del aws.calls[before:]  # ours, not the deployment's
    return taken


def _statements(client: Any, name: str) -> list[Document]:
    try:
        policy = json.loads(client.get_policy(FunctionName=name)["Policy"])
    except client.exceptions.ResourceNotFoundException:
        return []
    found: list[Document] = policy["Statement"]
    return found


def _roles(aws: Aws) -> dict[str, Document]:
    client, found = aws.client("iam"), {}
    for role in client.list_roles()["Roles"]:
        name = role["RoleName"]
        [policy] = client.list_role_policies(RoleName=name)["PolicyNames"] or [""]
        document = client.get_role_policy(RoleName=name, PolicyName=policy) if policy else {}
        content = document.get("PolicyDocument", {})
        found[name] = json.loads(unquote(content)) if isinstance(content, str) else content
    return found


def _rules(aws: Aws) -> dict[str, tuple[str, str, list[str]]]:
    client = aws.client("events")
    return {
        rule["Name"]: (
            rule["ScheduleExpression"],
            rule["State"],
            [target["Arn"] for target in client.list_targets_by_rule(Rule=rule["Name"])["Targets"]],
        )
        for rule in client.list_rules()["Rules"]
    }


def _apis(aws: Aws) -> dict[str, dict[str, set[str]]]:
    client = aws.client("apigateway")
    return {
        api["id"]: {
            resource["path"]: set(resource.get("resourceMethods", {}))
            for resource in client.get_resources(restApiId=api["id"])["items"]
        }
        for api in client.get_rest_apis()["items"]
    }
