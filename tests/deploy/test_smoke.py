"""What the smoke test makes of an API's answers, from a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from scripts import smoke
from scripts.errors import DeploymentError

SECRET = "canary-secret-nobody-may-ever-read-98765"
WELL = {"status": "ok", "stage": "prod", "schema": ["domain_0006", "ledger_0010"]}


class Api(ThreadingHTTPServer):
    """Answers in the order of `answers`, the last one for ever."""

    answers: list[tuple[int, bytes]]
    asked: list[tuple[str, str]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/"

    def say(self, status: int, body: Any) -> None:
        self.answers.append((status, json.dumps(body).encode()))


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        answers = self.server.answers
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.server.asked.append((self.path, self.headers["Authorization"]))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api(("127.0.0.1", 0), Handler)
    server.answers, server.asked = [], []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_database_is_asked_too_with_the_secret_in_a_header(api: Api) -> None:
    api.say(200, WELL)
    assert smoke.answers(api.url, "prod", SECRET) == WELL["schema"]
    assert api.asked == [("/api/health?deep=1", f"Bearer {SECRET}")]


def test_an_api_that_is_not_known_everywhere_yet_is_asked_again(api: Api) -> None:
    api.say(403, {"message": "Missing Authentication Token"})
    api.say(500, {"message": "Internal server error"})
    api.say(200, WELL)
    assert smoke.answers(api.url, "prod", SECRET, pause_s=0.01) == WELL["schema"]


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (500, {"error": "La base ne répond pas."}, "réponse 500, La base ne répond pas."),
        (200, WELL | {"stage": "dev"}, "réponse 200, étape dev"),
        (403, {"message": "Forbidden"}, "réponse 403, Forbidden"),
        (200, ["ok"], "qui n'est pas la nôtre"),
    ],
)
def test_what_stays_wrong_is_told_without_the_secret(
    api: Api, status: int, body: Any, told: str
) -> None:
    api.say(status, body)
    with pytest.raises(DeploymentError) as raised:
        smoke.answers(api.url, "prod", SECRET, patience_s=0)
    assert told in str(raised.value)
    assert SECRET not in str(raised.value)


def test_a_page_that_is_no_json_and_a_server_that_is_not_there_are_told(api: Api) -> None:
    api.answers.append((200, b"<html>"))
    with pytest.raises(DeploymentError, match="qui n'est pas la nôtre"):
        smoke.answers(api.url, "prod", SECRET, patience_s=0)
    with pytest.raises(DeploymentError, match="pas de réponse"):
        smoke.answers("http://127.0.0.1:1/api/", "prod", SECRET, patience_s=0)


def test_an_emulators_address_is_used_where_its_endpoint_is() -> None:
    url = "https://abc.execute-api.eu-west-3.amazonaws.com/api/"
    assert smoke.address(url, "abc", {}) == url
    emulated = smoke.address(url, "abc", {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566/"})
    assert emulated == "http://127.0.0.1:4566/restapis/abc/api/_user_request_/"
