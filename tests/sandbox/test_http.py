"""API Gateway on this machine, over a socket: its events, its limits, who it listens to."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from chalice.app import Chalice, Response

import app
from sandbox import http as gateway
from sandbox.http import Api

echo = Chalice("echo", configure_logs=False)


@echo.route("/things/{id}/parts", methods=["GET", "POST", "HEAD"], content_types=["*/*"])
def parts(id: str) -> Response:
    assert echo.current_request is not None
    event = echo.current_request.to_original_event()
    kept = {name: event[name] for name in event if name != "requestContext"}
    context = {**event["requestContext"], "requestId": ""}
    body = json.dumps({"id": id, "event": kept, "context": context})
    return Response(body, headers={"Content-Type": "application/json", "X-Several": ["a", "b"]})


@echo.route("/things/fixed/parts")
def fixed() -> dict[str, str]:
    return {"fixed": "yes"}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with gateway.server(echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def ask(
    port: int, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_a_request_becomes_a_rest_proxy_event(port: int) -> None:
    response, body = ask(
        port, "POST", "/things/a%20b/parts/?x=1&x=2&y=%C3%A9&z", {"X-Own": "1"}, "a=é".encode()
    )
    assert response.status == 200
    seen = json.loads(body)
    event, context = seen["event"], seen["context"]
    assert seen["id"] == "a%20b"
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"], "y": ["é"], "z": [""]}
    assert event["queryStringParameters"] == {"x": "2", "y": "é", "z": ""}
    assert event["headers"]["X-Own"] == "1"
    assert event["multiValueHeaders"]["X-Own"] == ["1"]
    assert (event["body"], event["isBase64Encoded"]) == ("a=é", False)
    assert (context["stage"], context["identity"]) == ("api", {"sourceIp": "127.0.0.1"})
    assert context["resourcePath"] == "/things/{id}/parts"
    assert isinstance(context["requestTimeEpoch"], int)
    assert response.headers["X-Several"] == "b"


def test_a_body_that_is_no_text_arrives_in_base64(port: int) -> None:
    _, body = ask(port, "POST", "/things/1/parts", body=b"\xff\x00")
    event = json.loads(body)["event"]
    assert (event["body"], event["isBase64Encoded"]) == ("/wA=", True)


def test_a_fixed_path_goes_before_a_parameter(port: int) -> None:
    assert json.loads(ask(port, "GET", "/things/fixed/parts")[1]) == {"fixed": "yes"}


def test_what_has_no_route_is_answered_as_api_gateway_does(port: int) -> None:
    for method, path in [("GET", "/nothing"), ("DELETE", "/things/1/parts"), ("GET", "/")]:
        response, body = ask(port, method, path)
        assert (response.status, json.loads(body)["message"]) == (
            403,
            "Missing Authentication Token",
        )


def test_head_has_headers_and_no_body(port: int) -> None:
    response, body = ask(port, "HEAD", "/things/1/parts")
    assert (response.status, body) == (200, b"")
    assert int(response.headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},  # a name of theirs that leads to 127.0.0.1
        {"Host": "localhost.evil.example:80"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_web_page_cannot_call_the_local_server(port: int, headers: dict[str, str]) -> None:
    assert ask(port, "POST", "/things/1/parts", headers)[0].status == 403


def test_a_link_of_an_e_mail_may_be_followed_and_nothing_else_of_a_web_page(port: int) -> None:
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    fetched = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}

    def refused(method: str, path: str, headers: dict[str, str]) -> bool:
        return b"Adresse refus" in ask(port, method, path, headers)[1]

    assert not refused("GET", "/unsubscribe/token", followed)
    assert not refused("GET", "/closer/token", followed)
    assert refused("POST", "/closer/token", followed)
    assert refused("GET", "/things/1/parts", followed)
    assert refused("POST", "/unsubscribe/token", followed)
    assert refused("GET", "/unsubscribe/token", fetched)
    assert refused("GET", "/unsubscribe/token", {**followed, "Host": "evil.example"})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:80"])
def test_this_machine_s_own_names_are_answered(port: int, host: str) -> None:
    assert ask(port, "GET", "/things/1/parts", {"Host": host})[0].status == 200


def test_a_body_without_a_length_or_too_long_is_refused(port: int) -> None:
    chunked = {"Transfer-Encoding": "chunked"}
    assert ask(port, "POST", "/things/1/parts", chunked, iter([b"x"]))[0].status == 411
    long = {"Content-Length": "10000001"}
    assert ask(port, "POST", "/things/1/parts", long)[0].status == 413
    assert ask(port, "POST", "/things/1/parts", {"Content-Length": "-1"})[0].status == 411


def test_the_stage_stands_before_the_path_of_an_execute_api_address() -> None:
    event = Api(app.app, under_stage=True).event("GET", "/api/api/health")
    assert event is not None
    assert event["requestContext"]["resourcePath"] == "/api/health"
    assert event["requestContext"]["path"] == "/api/api/health"
    assert event["path"] == "/api/health"


def test_the_local_server_serves_the_real_app() -> None:
    with gateway.server(app.app) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        port = server.server_address[1]
        response, body = ask(port, "GET", "/api/openapi.json")
        server.shutdown()
    assert json.loads(body)["servers"] == [{"url": f"http://127.0.0.1:{port}/api"}]
    assert response.headers["Cache-Control"] == "no-store"
