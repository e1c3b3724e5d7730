"""A stage with a domain name of its own, which other applications may use too."""

from __future__ import annotations

import pytest

from tests.deploy.aws import ACCOUNT, REGION, Aws
from tests.deploy.workshop import Workshop

pytestmark = pytest.mark.slow

NAME = "ponctuel.example.fr"
TABLE = f"""
[dev.api_gateway_custom_domain]
domain_name = "{NAME}"
certificate_arn = "arn:aws:acm:{REGION}:{ACCOUNT}:certificate/00000000-0000-4000-8000-000000000000"
url_prefix = "api"

[prod]
"""


def paths(aws: Aws) -> dict[str, str]:
    """The paths of the domain, and the API of each."""
    found = aws.client("apigateway").get_base_path_mappings(domainName=NAME)["items"]
    return {mapping["basePath"]: mapping["restApiId"] for mapping in found}


def test_a_domain_is_kept_from_one_deployment_to_the_next_with_the_paths_of_others(
    aws: Aws, workshop: Workshop, stored: None
) -> None:
    workshop.edit(".chalice/stages.toml", "\n[prod]\n", TABLE)
    workshop.run("config").succeeded()
    workshop.commit("a domain")
    workshop.deploy().succeeded()
    client = aws.client("apigateway")
    [api] = client.get_rest_apis()["items"]
    assert paths(aws) == {"api": api["id"]}

    other = client.create_rest_api(name="shop")["id"]
    [root] = client.get_resources(restApiId=other)["items"]
    route = {"restApiId": other, "resourceId": root["id"], "httpMethod": "GET"}
    client.put_method(**route, authorizationType="NONE")
    client.put_integration(**route, type="MOCK")
    client.create_deployment(restApiId=other, stageName="live")
    client.create_base_path_mapping(domainName=NAME, basePath="shop", restApiId=other, stage="live")
    said = workshop.deploy().succeeded()
    assert "Deleting base path mapping" not in said, "callers would meet nothing meanwhile"
    assert paths(aws) == {"api": api["id"], "shop": other}

    workshop.run("undeploy", "--stage", "dev", typed="dev\n").succeeded()
    assert paths(aws)["shop"] == other
