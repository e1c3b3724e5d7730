"""A stage that cannot be asked: one French line that says what to do, exit code 1, no secret."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chalicelib import ssm
from cli.remote import address, client
from tests.cli.command_line import Answer, CommandLine

SECRET = "canary-secret-of-a-stage-0123456789-abcdef"
NO_ROUTE = {"message": "Missing Authentication Token"}
Reply = tuple[int, dict[str, str], bytes]


class Stub:
    """A server that answers one thing, and keeps what it was asked."""

    def __init__(self) -> None:
        self.reply: Callable[[str], Reply] = lambda _path: answer(200, {"success": True})
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"


def answer(status: int, body: Any, **headers: str) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"Content-Type": "application/json", **given}, content


@contextmanager
def served(stub: Stub, certificate: Path | None = None) -> Iterator[Stub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stub.asked.append((self.command, self.path, dict(self.headers)))
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            status, headers, content = stub.reply(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the name that http.server calls

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_request: object) -> None:
            """A client that gave up is what some tests are about."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        stub.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield stub
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONCTUEL_SECRET", SECRET)


@pytest.fixture
def stub() -> Iterator[Stub]:
    with served(Stub()) as stub:
        yield stub


def refused(found: Answer, *told: str) -> None:
    assert (found.code, found.out) == (1, "")
    assert found.err.count("\n") == 1, found.err
    for words in told:
        assert words in found.err, found.err
    assert SECRET not in found.err


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (answer(403, NO_ROUTE), ("ne connaît pas encore GET /messages", "déployez")),
        (answer(404, {"message": "Not Found"}), ("ne connaît pas encore GET /messages",)),
        (answer(401, {"success": False, "error": "Secret refusé."}),
         ("refuse le secret (PONCTUEL_SECRET)", "CRON_SECRET")),
        (answer(403, {"success": False, "error": "Secret refusé."}), ("refuse le secret",)),
        (answer(503, {"success": False, "error": "Aucun secret n'est configuré."}),
         ("Aucun secret n'est configuré.",)),
        (answer(500, {"success": False, "error": "La base de données ne répond pas."}),
         ("La base de données ne répond pas.",)),
        (answer(400, {"success": False, "error": "limit doit être un nombre."}), ("limit doit",)),
        (answer(502, {"message": "Internal server error"}), ("a échoué (HTTP 502)", "CloudWatch")),
        (answer(504, {"message": "Endpoint request timed out"}), ("29 secondes",)),
        (answer(429, {"message": "Too Many Requests"}), ("trop d'appels", "une minute")),
        (answer(200, b"<html>portail</html>", Content_Type="text/html; charset=utf-8"),
         ("ne répond pas en JSON (HTTP 200, text/html)", "proxy")),
        (answer(403, b"<html>pare-feu</html>", Content_Type="text/html"), ("HTTP 403, text/html",)),
        (answer(200, ["autre", "service"]), ("ne répond pas en JSON",)),
        (answer(200, {"success": True}), ("autre version",)),
        (answer(200, b"{" * 50_000), ("ne répond pas en JSON",)),
        (answer(500, {"success": False, "error": "a\u001b[2J\nb" * 999}), ("a [2J b",)),
        (answer(302, b"", Location="https://ailleurs.example/messages"),
         ("renvoie vers ailleurs.example", "le secret n'y est pas envoyé")),
        (answer(301, b""), ("renvoie vers",)),
    ],
)  # fmt: skip
def test_what_a_stage_answers_instead_is_one_french_line(
    stub: Stub, ponctuel: CommandLine, reply: Reply, told: tuple[str, ...]
) -> None:
    stub.reply = lambda _path: reply
    refused(ponctuel("messages", "--url", stub.url), *told)


def test_the_secret_goes_into_one_header_and_to_the_stage_only(
    stub: Stub, ponctuel: CommandLine
) -> None:
    with served(Stub()) as elsewhere:
        stub.reply = lambda _path: answer(307, b"", Location=f"{elsewhere.url}/messages")
        refused(ponctuel("messages", "--url", stub.url), "renvoie vers 127.0.0.1")
        assert elsewhere.asked == []
    ((method, path, headers),) = stub.asked
    assert (method, path, headers["Authorization"]) == (
        "GET",
        "/api/messages?limit=50",
        f"Bearer {SECRET}",
    )
    assert SECRET not in path


def test_a_redirection_within_the_stage_is_followed_but_not_for_ever(
    stub: Stub, ponctuel: CommandLine
) -> None:
    listed = answer(200, {"success": True, "items": []})
    moved = answer(301, b"", Location="/api/quarantine/")
    stub.reply = lambda path: listed if "quarantine/" in path else moved
    assert ponctuel("quarantine", "list", "--url", stub.url).out == "Rien n'est mis de côté.\n"
    stub.reply = lambda _path: answer(302, b"", Location="/api/again")
    refused(ponctuel("quarantine", "list", "--url", stub.url), "sans fin")
    refused(ponctuel("run", "followups", "--url", stub.url), "renvoie vers")


def test_a_stage_that_does_not_answer_is_given_up(
    stub: Stub, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, ended = threading.Event(), threading.Event()

    def silence(_path: str) -> Reply:
        asked.set()
        ended.wait(5)
        return answer(200, {})

    stub.reply = silence
    monkeypatch.setattr(client, "READ_S", 0.2)
    refused(ponctuel("jobs", "--url", stub.url), "ne répond pas en 0 secondes")
    assert asked.is_set()
    ended.set()


def test_a_stage_that_nobody_listens_for_is_told(ponctuel: CommandLine) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    refused(ponctuel("jobs", "--url", f"http://127.0.0.1:{port}"), "refuse ou coupe la connexion")


def test_a_connection_that_breaks_off_is_told(ponctuel: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=lambda: listening.accept()[0].close())
        thread.start()
        port = listening.getsockname()[1]
        refused(ponctuel("jobs", "--url", f"http://127.0.0.1:{port}"), "coupe la connexion")
        thread.join()


def test_a_name_that_does_not_exist_is_told(
    ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    def unknown(*_arguments: Any, **_options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    refused(ponctuel("jobs", "--url", "https://ponctuel.invalid/api"), "ponctuel.invalid n'existe")


def test_a_certificate_that_nobody_vouches_for_is_refused(
    ponctuel: CommandLine, self_signed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(Stub(), self_signed) as stub:
        url = f"https://localhost:{stub.port}"
        refused(ponctuel("jobs", "--url", url), "le certificat de localhost", "SSL_CERT_FILE")
        assert stub.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(self_signed))
        stub.reply = lambda _path: answer(200, {"success": True, "jobs": []})
        assert ponctuel("jobs", "--url", url).code == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://cron.example.fr/api",
        "https://anne:motdepasse@cron.example.fr/api",
        "https://cron.example.fr/api?secret=x",
        "https://cron.example.fr/api#x",
        "https://",
        "https://cron.example.fr:port",
        "https://cron exemple.fr",
        "ftp://cron.example.fr",
        "cron.example.fr",
        "http://127.0.0.1.example.fr",
        "https://[::1",
    ],
)
def test_an_address_on_whose_way_the_secret_could_be_read_is_refused(
    ponctuel: CommandLine, url: str
) -> None:
    found = ponctuel("jobs", "--url", url)
    refused(found, "L'adresse de l'étape doit être comme https://")
    assert "motdepasse" not in found.err


@pytest.mark.parametrize("secret", ["court", "é" * 40, "avec espace " * 4, "x\ny" * 20])
def test_a_secret_that_cannot_be_one_is_not_sent_and_not_shown(
    stub: Stub, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("PONCTUEL_SECRET", secret)
    found = ponctuel("jobs", "--url", stub.url)
    refused(found, "PONCTUEL_SECRET n'est pas un secret de Ponctuel")
    assert secret not in found.err
    assert stub.asked == []


@pytest.fixture
def parameters(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What SSM holds for the stage `prod`."""
    held: dict[str, str] = {}
    paths = {"/ponctuel/prod/": held}
    monkeypatch.setattr(ssm, "load", lambda path: paths[path])
    return held


def test_a_stage_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, str]
) -> None:
    from argparse import Namespace

    def found(**options: str) -> address.Address:
        return address.address(Namespace(stage="prod", **options), tmp_path)

    parameters |= {"PUBLIC_URL": "https://ssm.example/api", "CRON_SECRET": "s" * 40}
    assert found().url == "https://ssm.example/api"
    deployed = tmp_path / ".chalice/deployed/prod.json"
    deployed.parent.mkdir(parents=True)
    for unreadable in ("", "[]", '{"resources": [1]}', '{"resources": {}}'):
        deployed.write_text(unreadable)
        assert found().url == "https://ssm.example/api"
    resources = [{"name": "followups"}, {"rest_api_url": "https://id.execute-api.example/api/"}]
    deployed.write_text(json.dumps({"resources": resources}))
    assert found().url == "https://id.execute-api.example/api"
    monkeypatch.setenv("PONCTUEL_URL_PROD", "https://variable.example/api")
    assert found().url == "https://variable.example/api"
    assert found(url="https://option.example").url == "https://option.example"
    assert found().secret == SECRET
    monkeypatch.setenv("PONCTUEL_SECRET_PROD", "p" * 40)
    assert found().secret == "p" * 40
    monkeypatch.delenv("PONCTUEL_SECRET_PROD")
    monkeypatch.delenv("PONCTUEL_SECRET")
    assert (found().secret, found().secret_from) == (
        "s" * 40,
        "CRON_SECRET de l'étape prod dans SSM",
    )
    assert "s" * 40 not in repr(found())


def test_a_stage_without_an_address_or_a_secret_says_where_to_put_them(
    ponctuel: CommandLine, parameters: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(ponctuel("jobs", "--stage", "prod"), "PONCTUEL_URL_PROD", "secrets store PUBLIC_URL")
    monkeypatch.delenv("PONCTUEL_SECRET")
    parameters["PUBLIC_URL"] = "https://ssm.example/api"
    refused(
        ponctuel("jobs", "--stage", "prod"), "PONCTUEL_SECRET_PROD", "secrets store CRON_SECRET"
    )
    refused(ponctuel("jobs", "--url", "https://x.example"), "Renseignez PONCTUEL_SECRET")
    refused(ponctuel("jobs", "--stage", "local"), "L'étape local n'a pas d'adresse")
    refused(ponctuel("jobs", "--stage", "../prod"), "PONCTUEL_STAGE")


def test_without_aws_credentials_the_line_says_what_to_set(
    ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PONCTUEL_URL_PROD", "https://ssm.example/api")
    monkeypatch.delenv("PONCTUEL_SECRET")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    refused(ponctuel("jobs", "--stage", "prod"), "PONCTUEL_SECRET_PROD", "identifiants AWS")


def test_a_server_on_this_machine_that_wants_a_secret_says_which(
    stub: Stub, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PONCTUEL_SECRET")
    stub.reply = lambda _path: answer(401, {"success": False, "error": "Secret absent."})
    refused(ponctuel("jobs", "--url", stub.url), "demande un secret : renseignez PONCTUEL_SECRET")
    ((_method, _path, headers),) = stub.asked
    assert "Authorization" not in headers
