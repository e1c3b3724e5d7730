"""What moto 5.2 lacks for a `chalice deploy`, and a Lambda that runs the deployed zips.

Nothing here replaces code of ours: Chalice and the scripts talk to it over HTTP, as to AWS.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from moto.apigateway.models import APIGatewayBackend, apigateway_backends
from moto.awslambda.models import LambdaFunction, lambda_backends

# As Lambda's own bootstrap: the handler of the zip, with nothing else in reach.
_BOOTSTRAP = """
import importlib, json, os, sys
path, handler, seconds, request = json.load(sys.stdin)
sys.path[:0] = path
class Context:
    aws_request_id = "00000000-0000-4000-8000-000000000000"
    function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
    def get_remaining_time_in_millis(self):
        return 1000 * seconds
module, _, name = handler.rpartition(".")
try:
    answer = getattr(importlib.import_module(module), name)(request, Context())
except Exception as error:
    answer = {"errorType": type(error).__name__, "errorMessage": str(error)}
    print(json.dumps({"failed": True, "answer": answer}))
else:
    print(json.dumps({"failed": False, "answer": answer}))
"""


def import_rest_api(original: Any) -> Any:
    """APIGatewayBackend.import_rest_api, for Chalice's Swagger 2.0."""

    def wrapped(self: APIGatewayBackend, document: Any, *args: Any, **options: Any) -> Any:
        return original(self, _openapi(document), *args, **options)

    return wrapped


def put_rest_api(original: Any) -> Any:
    """APIGatewayBackend.put_rest_api, for Chalice's Swagger 2.0."""

    def wrapped(
        self: APIGatewayBackend, api: str, document: Any, *args: Any, **options: Any
    ) -> Any:
        return original(self, api, _openapi(document), *args, **options)

    return wrapped


def _openapi(document: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in document.items() if name != "swagger"}
    return kept | {"openapi": "3.0.0", "info": {"description": "", **document["info"]}}


def layer_version(account: str, region: str, arn: str) -> tuple[int, bytes]:
    """GetLayerVersionByArn, from the backend's own table."""
    found = lambda_backends[account][region].layers_versions_by_arn(arn)
    if found is None:
        body = {"Type": "User", "message": "The resource you requested does not exist."}
        return 404, json.dumps(body).encode()
    return 200, json.dumps(found.get_layer_version()).encode()


def domain_name(account: str, region: str, name: str) -> tuple[int, bytes]:
    """UpdateDomainName: nothing to update here, and the answer of GetDomainName."""
    found = apigateway_backends[account][region].get_domain_name(name)
    return 200, json.dumps(found.to_json()).encode()


def api_mappings(account: str, region: str, name: str) -> tuple[int, bytes]:
    """GetApiMappings of version 2 of the service, which knows those of version 1 too."""
    backend = apigateway_backends[account][region]
    if name not in backend.domain_names:
        return 404, b'{"__type": "NotFoundException", "message": "Invalid domain name"}'
    found = backend.get_base_path_mappings(name)
    items = [
        {
            "apiId": mapping.rest_api_id,
            "apiMappingId": mapping.base_path,
            "apiMappingKey": "" if mapping.base_path == "(none)" else mapping.base_path,
            "stage": mapping.stage,
        }
        for mapping in found
    ]
    return 200, json.dumps({"items": items}).encode()


class Containers:
    """Runs functions from their zips, in fresh processes that talk to `endpoint`."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self._folder, self._endpoint = folder, endpoint
        self._lock = threading.Lock()

    def invoke(self, function: LambdaFunction, event: Any) -> tuple[str, bool, str]:
        """(answer, whether it failed, log), as moto's own."""
        request = json.loads(event) if isinstance(event, str) else event
        answer = self.run(function, request)
        return json.dumps(answer["answer"]), bool(answer["failed"]), ""

    def run(self, function: LambdaFunction, request: Any) -> Mapping[str, Any]:
        """`{"failed": …, "answer": …}`. Raises AssertionError when the process itself fails."""
        version = function.run_time or ""
        layers = [layer["Arn"] for layer in function.layers]
        backend = lambda_backends[function.account_id][function.region]
        path = [str(self._unzipped(function.code_bytes))]
        for arn in layers:
            found = backend.layers_versions_by_arn(arn)
            assert found is not None, f"{function.function_name} uses {arn}, which is not there"
            opt = self._unzipped(found.code_bytes)
            path.append(str(opt / "python" / "lib" / version / "site-packages"))
        environment = {
            **function.environment_vars,
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "AWS_REGION": function.region,
            "AWS_DEFAULT_REGION": function.region,
            "AWS_ACCESS_KEY_ID": "role",
            "AWS_SECRET_ACCESS_KEY": "role",
            "AWS_ENDPOINT_URL": self._endpoint,
            "PATH": os.environ["PATH"],
        }
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", _BOOTSTRAP],
            input=json.dumps([path, function.handler, function.timeout, request]),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        # What comes before the last line are the function's logs.
        answer: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    def _unzipped(self, content: bytes) -> Path:
        folder = self._folder / sha256(content).hexdigest()
        with self._lock:
            if not folder.exists():
                with ZipFile(io.BytesIO(content)) as archive:
                    archive.extractall(folder)
        return folder


def proxy_answer(answer: Mapping[str, Any]) -> tuple[int, bytes]:
    """The status and body of a function's REST proxy answer."""
    body = answer.get("body") or ""
    raw = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
    return int(answer["statusCode"]), raw
