"""AWS on this machine: moto's server, what it lacks, faults on demand, and a list of the calls."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import botocore.session
import pytest
from moto.apigateway.models import APIGatewayBackend, apigateway_backends
from moto.awslambda.models import LambdaFunction, lambda_backends
from moto.core.responses import BaseResponse
from moto.events.models import events_backends
from moto.iam.models import iam_backends
from moto.logs.models import logs_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.ssm.models import ssm_backends
from werkzeug.serving import WSGIRequestHandler, make_server

from sandbox.http import Api
from tests.deploy import moto_gaps

ACCOUNT, REGION = "123456789012", "eu-west-3"
BACKENDS = (
    apigateway_backends,
    lambda_backends,
    iam_backends,
    events_backends,
    logs_backends,
    ssm_backends,
)
_READS = re.compile(":(Get|List|Describe)")
Start = Callable[[str, list[tuple[str, str]]], Any]


@dataclass
class Aws:
    """`calls`: every operation that was asked for, as `lambda:CreateFunction`. `refuse` makes one
    operation fail, as for somebody who lacks the right."""

    endpoint: str
    calls: list[str] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)

    def refuse(self, operation: str, *, after: int = 0) -> None:
        """Each call of `service:Operation` is refused, once `after` of them have passed."""
        self.refused[operation] = after

    def changes(self) -> list[str]:
        """Those of the calls that made, changed or deleted something."""
        return [call for call in self.calls if not _READS.search(call)]

    def allow_all(self) -> None:
        self.refused.clear()

    def client(self, service: str) -> Any:
        return botocore.session.Session().create_client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def environment(self) -> dict[str, str]:
        """What a terminal needs to deploy here."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def running(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """A server of its own, empty at the start and at the end."""
    _reset()
    moto = DomainDispatcherApplication(create_backend_app)
    aws = Aws("")

    def application(environ: dict[str, Any], start: Start) -> Any:
        path, query = environ["PATH_INFO"], parse_qs(environ.get("QUERY_STRING", ""))
        if "/_user_request_/" in path:
            return _reply(start, *_call_api(environ, path, containers))
        if path.endswith("/layers") and query.get("find") == ["LayerVersion"]:
            aws.calls.append("lambda:GetLayerVersionByArn")
            return _reply(start, *moto_gaps.layer_version(ACCOUNT, REGION, query["Arn"][0]))
        if environ["REQUEST_METHOD"] == "PATCH" and path.startswith("/domainnames/"):
            return _reply(start, *moto_gaps.domain_name(ACCOUNT, REGION, path.split("/")[2]))
        if path.startswith("/v2/domainnames/") and path.endswith("/apimappings"):
            return _reply(start, *moto_gaps.api_mappings(ACCOUNT, REGION, path.split("/")[3]))
        if path.startswith("/v2/tags/"):  # a domain's; moto has tags for APIs of version 2 only
            return _reply(start, 200, b'{"tags": {}}')
        return moto(environ, start)

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
    aws.endpoint = f"http://127.0.0.1:{server.server_port}"
    containers = moto_gaps.Containers(folder, aws.endpoint)
    for name in ("import_rest_api", "put_rest_api"):
        wrapped = getattr(moto_gaps, name)(getattr(APIGatewayBackend, name))
        patch.setattr(APIGatewayBackend, name, wrapped)
    invoke = lambda self, event=None: containers.invoke(self, event)  # noqa: E731
    patch.setattr(LambdaFunction, "_invoke_lambda", invoke)
    patch.setattr(BaseResponse, "call_action", _watched(aws, BaseResponse.call_action))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield aws
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        _reset()


def _watched(aws: Aws, original: Any) -> Any:
    def call_action(self: BaseResponse) -> Any:
        operation = f"{(self.service_name or '').removeprefix('aws')}:{self._get_action()}"
        aws.calls.append(operation)
        left = aws.refused.get(operation)
        if left == 0:
            body = {"message": "not authorized", "__type": "AccessDeniedException"}
            headers = {"status": 403, "x-amzn-errortype": "AccessDeniedException"}
            return 403, headers, json.dumps(body)
        if left is not None:
            aws.refused[operation] = left - 1
        return original(self)

    return call_action


def _call_api(
    environ: dict[str, Any], path: str, containers: moto_gaps.Containers
) -> tuple[int, bytes]:
    """API Gateway's own part of a call: the route, the function it leads to, its answer."""
    before, _, wanted = path.partition("/_user_request_/")
    _, _, rest_api, stage = before.split("/")
    backend = apigateway_backends[ACCOUNT][REGION]
    api = backend.apis.get(rest_api)
    if api is None or stage not in api.stages:
        return 403, b'{"message":"Forbidden"}'
    methods = {
        resource.get_path(): resource.resource_methods for resource in api.resources.values()
    }
    found = methods.get(f"/{wanted}", {}).get(environ["REQUEST_METHOD"])
    if found is None:
        return 403, b'{"message":"Missing Authentication Token"}'
    assert found.method_integration is not None
    uri = found.method_integration.uri
    function = uri.partition("/functions/")[2].removesuffix("/invocations")
    headers = {"Authorization": environ.get("HTTP_AUTHORIZATION", "")}
    # Only its event is used: the application of the zip answers, not this one's.
    from app import app

    event = Api(app).event(
        environ["REQUEST_METHOD"], f"/{wanted}?{environ.get('QUERY_STRING', '')}", headers=headers
    )
    deployed = lambda_backends[ACCOUNT][REGION].get_function(function)
    answer = containers.run(deployed, event)
    if answer["failed"]:
        return 502, b'{"message": "Internal server error"}'
    return moto_gaps.proxy_answer(answer["answer"])


def _reply(start: Start, status: int, body: bytes) -> list[bytes]:
    start(f"{status} .", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _reset() -> None:
    for backends in BACKENDS:
        backends.reset()


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Thousands of requests would hide what failed."""
