"""What is in the account already, under the names of a stage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.account import connect
from scripts.release import RUNTIME
from scripts.rest_apis import find_rest_api
from scripts.stages import Stage
from tests.deploy.aws import ACCOUNT, REGION, Aws
from tests.deploy.workshop import Workshop

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_changes")]


@pytest.fixture
def existing(aws: Aws) -> Iterator[dict[str, str]]:
    """A function `ponctuel-dev-followups`, of Python 3.9; its tags can be changed."""
    client = aws.client("lambda")
    iam = aws.client("iam")
    role = iam.create_role(RoleName="any", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    made = client.create_function(
        FunctionName="ponctuel-dev-followups",
        Runtime="python3.9",
        Role=role,
        Handler="a.b",
        Code={"ZipFile": b"PK\x05\x06" + bytes(18)},
    )
    aws.calls.clear()
    yield {"arn": made["FunctionArn"]}
    calls = [*aws.calls]
    client.delete_function(FunctionName="ponctuel-dev-followups")
    iam.delete_role(RoleName="any")
    aws.calls[:] = calls


def tag(aws: Aws, arn: str, value: str) -> None:
    aws.client("lambda").tag_resource(Resource=arn, Tags={"aws-chalice": value})
    aws.calls.clear()


@pytest.mark.parametrize(
    "value", ["", "version=1.34.0:stage=prod:app=ponctuel", "version=1.34.0:stage=dev:app=other"]
)
def test_a_function_of_that_name_which_is_not_ours(
    workshop: Workshop, aws: Aws, existing: dict[str, str], value: str
) -> None:
    if value:
        tag(aws, existing["arn"], value)
    reason = workshop.deploy().refused()
    assert "ponctuel-dev-followups" in reason
    assert "ne viennent pas de `make deploy`" in reason


def test_another_python_than_the_functions_run(
    workshop: Workshop, aws: Aws, existing: dict[str, str]
) -> None:
    tag(aws, existing["arn"], "version=1.34.0:stage=dev:app=ponctuel")
    reason = workshop.deploy().refused()
    assert "python3.9" in reason
    assert RUNTIME in reason
    assert "CHANGE_PYTHON=yes" in reason


def test_several_published_apis_of_one_function(workshop: Workshop, aws: Aws) -> None:
    client = aws.client("apigateway")
    ids = [make_api(aws, "ponctuel-dev") for _ in range(2)]
    aws.calls.clear()
    reason = workshop.deploy().refused()
    assert all(name in reason for name in ids)
    assert "aws apigateway delete-rest-api" in reason
    calls = [*aws.calls]
    for name in ids:
        client.delete_rest_api(restApiId=name)
    aws.calls[:] = calls


@pytest.mark.parametrize("published", [0, 1])
def test_an_api_that_was_never_published_gives_way_to_one_that_was(
    aws: Aws, published: int
) -> None:
    ids = [make_api(aws, "ponctuel-dev", published=index == published) for index in range(2)]
    others = [make_api(aws, name) for name in ("ponctuel-prod", "ponctuel-dev-2", "elsewhere")]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws.environment().items():
            patch.setenv(name, value)
        account = connect(Stage("dev"), aws.environment())
        assert find_rest_api(account, "ponctuel-dev") == ids[published]
    for made in [*ids, *others]:
        aws.client("apigateway").delete_rest_api(restApiId=made)
    aws.calls.clear()


def make_api(aws: Aws, function: str, *, published: bool = True) -> str:
    """An API with the name that every stage's has, which calls `function`."""
    client = aws.client("apigateway")
    made = str(client.create_rest_api(name="ponctuel")["id"])
    [root] = client.get_resources(restApiId=made)["items"]
    route = {"restApiId": made, "resourceId": root["id"], "httpMethod": "GET"}
    client.put_method(**route, authorizationType="NONE")
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/"
    uri += f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}/invocations"
    client.put_integration(**route, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    if published:
        client.create_deployment(restApiId=made, stageName="api")
    return made
