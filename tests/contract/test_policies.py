"""The rights of each function: what the code calls, on names that are ours, and nothing more."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from chalicelib import jobs
from chalicelib.domain.accounts.tombstones import FOLDER as TOMBSTONES
from chalicelib.mailboxes.parsing import header_key
from chalicelib.providers.storage.keys import business_folder, mail_key, mail_part_key
from scripts import stages
from scripts.policies import NETWORK_ACTIONS, ROLES, policy
from tests.contract.paths import CODE, ROOT

COMMITTED = sorted((ROOT / ".chalice").glob("policy-*.json"))
# What nobody calls, and is needed all the same.
WITHOUT_A_CALL = {
    "kms:Decrypt",  # done by SSM in our name
    "logs:CreateLogGroup",  # done by Lambda in our name, as are the next two
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "ses:SendRawEmail",  # what SES asks for when SendEmail has raw content
}
# IAM's name of an operation, where it is not `<service>:<Operation>`.
RENAMED = {
    "sesv2:SendEmail": "ses:SendEmail",
    "lambda:Invoke": "lambda:InvokeFunction",
    # S3 has no right of this name: HEAD asks for the one to read.
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
}
CLIENT_MAKERS = {"client", "create_client", "resource"}

Statement = dict[str, Any]


def stage(text: str = "[prod]") -> stages.Stage:
    [found] = stages.parse(text, functions=[*jobs.NAMES, "api_handler"], jobs=jobs.NAMES)
    return found


EVERYTHING = stage(
    """
    [prod]
    subnet_ids = ["subnet-1"]
    xray = true
    [prod.environment_variables]
    STORAGE_URL = "s3://documents/factures"
    """
)


def allowed(document: dict[str, Any]) -> set[str]:
    return {
        action
        for statement in document["Statement"]
        if statement["Effect"] == "Allow"
        for action in statement["Action"]
    }


def by_sid(document: dict[str, Any]) -> dict[str, Statement]:
    return {statement["Sid"]: statement for statement in document["Statement"]}


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_a_committed_policy_is_a_policy_that_iam_takes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    document = json.loads(text)
    assert document["Version"] == "2012-10-17"
    assert len(text) - len(re.findall(r"\s", text)) <= 10_240  # IAM's limit of a role's policies
    sids = [statement["Sid"] for statement in document["Statement"]]
    assert len(set(sids)) == len(sids)
    for statement in document["Statement"]:
        assert re.fullmatch(r"[A-Za-z0-9]+", statement["Sid"])
        assert statement["Action"]
        assert statement["Resource"]
        assert statement.keys() <= {"Sid", "Effect", "Action", "Resource", "Condition"}


@pytest.mark.parametrize("role", ROLES)
def test_nothing_is_written_to_everything(role: str) -> None:
    for statement in policy(EVERYTHING, role)["Statement"]:
        assert "*" not in "".join(statement["Action"]), "an action is written in full"
        if statement["Effect"] == "Deny" or statement["Sid"] in ("AttachToNetwork", "Trace"):
            continue  # AWS has no narrower resource; the first is denied to our code below
        for resource in statement["Resource"]:
            assert resource != "*"
            assert re.match(r"arn:aws:[a-z0-9]+:", resource)


@pytest.mark.parametrize("role", ROLES)
def test_names_in_a_policy_are_this_stages_and_no_other_stages(role: str) -> None:
    named = ("WriteLogs", "ReadParameters", "WakeJobs", "KeepLedgerMark")
    for sid, statement in by_sid(policy(stage(), role)).items():
        if sid in named:
            for resource in statement["Resource"]:
                assert re.search(r"ponctuel[-/]prod(?![a-z0-9])", resource), resource


@pytest.mark.parametrize("role", ROLES)
def test_parameters_are_decrypted_for_this_stage_and_through_ssm_only(role: str) -> None:
    condition = by_sid(policy(stage(), role))["DecryptParameters"]["Condition"]["StringLike"]
    assert condition == {
        "kms:ViaService": "ssm.*.amazonaws.com",
        "kms:EncryptionContext:PARAMETER_ARN": "arn:aws:ssm:*:*:parameter/ponctuel/prod/*",
    }


def test_only_jobs_send_and_read_documents_and_a_tool_wakes_nobody() -> None:
    api, job, tool = (allowed(policy(EVERYTHING, role)) for role in ROLES)
    assert {action for action in api | tool if action.startswith(("ses:", "s3:"))} == set()
    assert {"ses:SendEmail", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"} <= job
    assert "lambda:InvokeFunction" in api & job
    assert "lambda:InvokeFunction" not in tool


def test_only_jobs_keep_the_ledgers_mark_and_write_no_other_parameter() -> None:
    [statement] = [
        statement
        for statement in policy(stage(), "job")["Statement"]
        if "ssm:PutParameter" in statement["Action"]
    ]
    assert statement["Resource"] == ["arn:aws:ssm:*:*:parameter/ponctuel/prod/ledger/mark"]
    for role in ("api", "tool"):
        assert "ssm:PutParameter" not in allowed(policy(EVERYTHING, role))


def test_the_api_cannot_call_itself() -> None:
    [resource] = by_sid(policy(stage(), "api"))["WakeJobs"]["Resource"]
    pattern = re.escape(resource).replace(r"\*", ".*")
    assert re.fullmatch(pattern, "arn:aws:lambda:eu-west-3:1:function:ponctuel-prod-followups")
    assert not re.fullmatch(pattern, "arn:aws:lambda:eu-west-3:1:function:ponctuel-prod")


@pytest.mark.parametrize(
    ("url", "read", "bucket"),
    [
        ("s3://documents/a/b", "arn:aws:s3:::documents/a/b/*", "arn:aws:s3:::documents"),
        (
            "s3://documents/a/?region=eu-west-1",
            "arn:aws:s3:::documents/a/*",
            "arn:aws:s3:::documents",
        ),
        ("s3://documents", "arn:aws:s3:::documents/*", "arn:aws:s3:::documents"),
    ],
)
def test_documents_are_read_where_storage_url_says(url: str, read: str, bucket: str) -> None:
    found = stage(f'[prod.environment_variables]\nSTORAGE_URL = "{url}"')
    statements = by_sid(policy(found, "job"))
    assert statements["ReadDocuments"]["Resource"] == [read]
    assert statements["TellMissingDocuments"]["Resource"] == [bucket]


def test_a_job_may_write_the_tombstones_of_erased_accounts() -> None:
    found = stage('[prod.environment_variables]\nSTORAGE_URL = "s3://documents/a"')
    [resource] = by_sid(policy(found, "job"))["KeepTombstones"]["Resource"]
    assert resource == f"arn:aws:s3:::documents/a/{TOMBSTONES}/*"


@pytest.mark.parametrize(
    ("url", "inside"), [("s3://documents/a/b", "documents/a/b/"), ("s3://documents", "documents/")]
)
@pytest.mark.parametrize("business", ["B1", "Dupont & Fils", "mail", "é" * 200])
def test_received_mail_is_kept_under_the_names_that_may_be_written_and_no_document_is(
    url: str, inside: str, business: str
) -> None:
    found = stage(f'[prod.environment_variables]\nSTORAGE_URL = "{url}"')
    [resource] = by_sid(policy(found, "job"))["KeepMail"]["Resource"]
    pattern = re.escape(resource).replace(r"\*", ".*")
    whole = mail_key(business, b"\x01" * 32)
    for key in (whole, header_key(whole), mail_part_key(business, b"\x02" * 32)):
        assert re.fullmatch(pattern, f"arn:aws:s3:::{inside}{key}")
    for key in ("factures/F-1042.pdf", "F-1042.pdf", "mail.pdf"):
        own = f"arn:aws:s3:::{inside}{business_folder(business)}/{key}"
        assert not re.fullmatch(pattern, own)
    assert not re.fullmatch(pattern, f"arn:aws:s3:::others/{whole}")


def test_without_storage_no_bucket_is_open() -> None:
    assert not [action for action in allowed(policy(stage(), "job")) if action.startswith("s3:")]


def test_mail_may_be_limited_to_some_identities() -> None:
    found = stage('[prod.permissions]\nses_identities = ["example.fr"]')
    assert by_sid(policy(found, "job"))["SendMail"]["Resource"] == [
        "arn:aws:ses:*:*:identity/example.fr",
        "arn:aws:ses:*:*:configuration-set/*",
    ]


@pytest.mark.parametrize("role", ROLES)
def test_lambda_may_attach_to_a_private_network_and_our_code_may_not(role: str) -> None:
    statements = by_sid(policy(EVERYTHING, role))
    assert statements["AttachToNetwork"]["Action"] == NETWORK_ACTIONS
    denied = statements["NotFromOwnCode"]
    assert (denied["Effect"], denied["Action"]) == ("Deny", NETWORK_ACTIONS)
    assert denied["Condition"] == {
        "ArnLike": {"lambda:SourceFunctionArn": "arn:aws:lambda:*:*:function:ponctuel-prod*"}
    }
    assert "AttachToNetwork" not in by_sid(policy(stage(), role))


def test_every_call_to_aws_in_the_code_is_allowed_and_nothing_else_is() -> None:
    calls = calls_to_aws()
    assert {path.name for path, found in calls.items() if not found} == set(), (
        "a module that makes a client calls it itself, or this test cannot see what it calls"
    )
    called = set().union(*calls.values())
    granted = allowed(policy(EVERYTHING, "job")) - set(NETWORK_ACTIONS)
    granted = {action for action in granted if not action.startswith("xray:")}
    assert called == granted - WITHOUT_A_CALL


def test_the_test_of_calls_sees_the_clients_that_exist() -> None:
    makers = {
        path
        for path in CODE.rglob("*.py")
        if re.search(r"\.(create_client|client|resource)\(", path.read_text(encoding="utf-8"))
    }
    assert makers == set(calls_to_aws())


def calls_to_aws() -> dict[Path, set[str]]:
    """The IAM actions of the AWS operations that each module which makes a client calls."""
    session = botocore.session.get_session()
    found: dict[Path, set[str]] = {}
    for path in sorted(CODE.rglob("*.py")):
        calls = [
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        ]
        makers = [call for call in calls if call_name(call) in CLIENT_MAKERS]
        for service in {service for call in makers if (service := text_of(call))}:
            operations = session.get_service_model(service).operation_names
            by_method = {xform_name(operation): operation for operation in operations}
            names = {call_name(call) for call in calls}
            pages = [call for call in calls if call_name(call) == "get_paginator"]
            names |= {name for call in pages if (name := text_of(call))}
            actions = {f"{service}:{by_method[name]}" for name in names if name in by_method}
            found.setdefault(path, set()).update(RENAMED.get(name, name) for name in actions)
    return found


def call_name(call: ast.Call) -> str:
    assert isinstance(call.func, ast.Attribute)
    return call.func.attr


def text_of(call: ast.Call) -> str | None:
    """The first argument, where it is a literal text."""
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
