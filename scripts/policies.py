"""The IAM policies of a stage: what its functions may do, and nothing else. Pure.

JSON has no variables, so each stage has its files. Regions and accounts are `*`, because a role
has no rights outside of its own account anyway; names are what separates stages and applications.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from chalicelib.domain.accounts.tombstones import FOLDER as TOMBSTONES
from chalicelib.providers.ledger_mark import parameter_of
from chalicelib.runner.triggers import APP
from scripts.stages import Stage

Statement = dict[str, Any]
ROLES = ("api", "job", "tool")

# What Lambda needs to attach a function to a private network; several of them only work on `*`.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
NETWORK_ACTIONS = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
]


def policy(stage: Stage, role: str) -> dict[str, Any]:
    """The policy document of `role`: `api` (the HTTP handler), `job`, or `tool` (unscheduled)."""
    statements = [*_logs(stage), *_parameters(stage)]
    if role in ("api", "job"):
        statements.append(_wake(stage))
    if role == "job":
        statements += [_ledger_mark(stage), *_mail(stage), *_documents(stage)]
    if stage.in_private_network:
        statements += _network(stage)
    if stage.chalice.get("xray"):
        statements.append(_tracing())
    return {"Version": "2012-10-17", "Statement": statements}


def _logs(stage: Stage) -> list[Statement]:
    # Chalice creates the jobs' groups, but the API's is created by its first call.
    return [
        _allow(
            "WriteLogs",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            [
                f"arn:aws:logs:*:*:log-group:/aws/lambda/{APP}-{stage.name}:*",
                f"arn:aws:logs:*:*:log-group:/aws/lambda/{APP}-{stage.name}-*",
            ],
        )
    ]


def _parameters(stage: Stage) -> list[Statement]:
    path = f"arn:aws:ssm:*:*:parameter/{APP}/{stage.name}"
    decrypt = _allow("DecryptParameters", ["kms:Decrypt"], ["arn:aws:kms:*:*:key/*"])
    # Through SSM only, and for this stage's parameters only, whichever key encrypts them:
    # https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
    decrypt["Condition"] = {
        "StringLike": {
            "kms:ViaService": "ssm.*.amazonaws.com",
            "kms:EncryptionContext:PARAMETER_ARN": f"{path}/*",
        }
    }
    return [
        _allow("ReadParameters", ["ssm:GetParametersByPath"], [path, f"{path}/*"]),
        decrypt,
    ]


def _ledger_mark(stage: Stage) -> Statement:
    return _allow(
        "KeepLedgerMark",
        ["ssm:GetParameter", "ssm:PutParameter"],
        [f"arn:aws:ssm:*:*:parameter{parameter_of(stage.name)}"],
    )


def _wake(stage: Stage) -> Statement:
    # The API's own function has no suffix: nothing here can call it.
    functions = f"arn:aws:lambda:*:*:function:{APP}-{stage.name}-*"
    return _allow("WakeJobs", ["lambda:InvokeFunction"], [functions])


def _mail(stage: Stage) -> list[Statement]:
    # Sending raw content needs both actions, although the API's call is SendEmail:
    # https://github.com/anymail/django-anymail/issues/384
    identities = stage.ses_identities if stage.ses_identities is not None else ("*",)
    return [
        _allow(
            "SendMail",
            ["ses:SendEmail", "ses:SendRawEmail"],
            [
                *(f"arn:aws:ses:*:*:identity/{identity}" for identity in identities),
                "arn:aws:ses:*:*:configuration-set/*",
            ],
        )
    ]


def _documents(stage: Stage) -> list[Statement]:
    parts = urlsplit(stage.storage_url)
    if parts.scheme != "s3":
        return []
    bucket, prefix = f"arn:aws:s3:::{parts.netloc}", unquote(parts.path).strip("/")
    inside = f"{bucket}/{prefix}/" if prefix else f"{bucket}/"
    return [
        _allow("ReadDocuments", ["s3:GetObject"], [f"{inside}*"]),
        # Each business's received mail, beside its documents, which nothing here may replace.
        _allow("KeepMail", ["s3:PutObject"], [f"{inside}*/mail/*"]),
        # Of erased accounts: what a restored backup is compared with.
        _allow("KeepTombstones", ["s3:PutObject"], [f"{inside}{TOMBSTONES}/*"]),
        # Of accounts that are erased, and of accounting records whose time is up.
        _allow("EraseDocuments", ["s3:DeleteObject"], [f"{inside}*"]),
        # Without it S3 answers 403 for a document that is missing, which reads like a lost right:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        _allow("TellMissingDocuments", ["s3:ListBucket"], [bucket]),
    ]


def _network(stage: Stage) -> list[Statement]:
    # Lambda itself uses these, never our code: the second statement takes them back from it.
    own_code = {
        "ArnLike": {"lambda:SourceFunctionArn": f"arn:aws:lambda:*:*:function:{APP}-{stage.name}*"}
    }
    return [
        _allow("AttachToNetwork", NETWORK_ACTIONS, ["*"]),
        {
            "Sid": "NotFromOwnCode",
            "Effect": "Deny",
            "Action": NETWORK_ACTIONS,
            "Resource": ["*"],
            "Condition": own_code,
        },
    ]


def _tracing() -> Statement:
    # X-Ray has no narrower resource:
    # https://docs.aws.amazon.com/xray/latest/devguide/security_iam_service-with-iam.html
    return _allow("Trace", ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"])


def _allow(sid: str, actions: list[str], resources: list[str]) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
