"""Waking a job's Lambda: what leaves, and what a caller is told when it cannot be woken."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest

from chalicelib import jobs
from chalicelib.runner import events, triggers
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.request import request, run_or_raise
from chalicelib.runner.triggers import LambdaTrigger, NextTick
from tests.harness import Deployment
from tests.providers.wire import http_request, serving


@pytest.fixture(autouse=True)
def _stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of the stage `prod`, with credentials that open nothing."""
    environment = {
        "PONCTUEL_STAGE": "prod",
        "AWS_REGION": "eu-west-3",
        "AWS_DEFAULT_REGION": "eu-west-3",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "NO_PROXY": "127.0.0.1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """A simulated AWS."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@contextmanager
def without_docker(aws: str) -> Iterator[None]:
    """Functions answer without being run, and without being looked for."""

    def choose(use_docker: bool) -> None:
        choice = json.dumps({"lambda": {"use_docker": use_docker}}).encode()
        headers = {"Content-Type": "application/json"}
        urlopen(Request(f"{aws}/moto-api/config", choice, headers)).close()

    choose(False)
    try:
        yield
    finally:
        choose(True)


def deploy(aws: str, function: str) -> None:
    import boto3

    session = boto3.session.Session()
    with (
        closing(session.client("iam", endpoint_url=aws)) as iam,
        closing(session.client("lambda", endpoint_url=aws)) as functions,
    ):
        role = iam.create_role(RoleName=f"{function}-role", AssumeRolePolicyDocument="{}")
        functions.create_function(
            FunctionName=function,
            Runtime="python3.13",
            Role=role["Role"]["Arn"],
            Handler="chalicelib.jobs.followups.handler",
            Code={"ZipFile": b"nothing"},
        )


def test_a_job_that_is_deployed_is_woken_and_there_is_nothing_to_say(
    aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", aws)
    deploy(aws, "ponctuel-prod-followups")
    with without_docker(aws):
        assert LambdaTrigger().wake("followups", "http", uuid4()) is None


def test_a_job_that_is_not_deployed_is_named(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", aws)
    told = LambdaTrigger().wake("inbox_sync", "http", uuid4())
    assert told is not None
    assert told.startswith("La fonction ponctuel-prod-inbox_sync n'existe pas : déployez l'étape")
    assert told.endswith(".")


@contextmanager
def answering(
    monkeypatch: pytest.MonkeyPatch, status: str, code: str, body: bytes = b"{}"
) -> Iterator[list[bytes]]:
    """A Lambda API that always gives this answer; yields the requests."""
    heard: list[bytes] = []

    def play(client: socket.socket) -> None:
        heard.append(b"\r\n\r\n".join(http_request(client)))
        head = f"HTTP/1.1 {status}\r\nx-amzn-ErrorType: {code}\r\nConnection: close\r\n"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    with serving(play) as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{port}")
        yield heard


def test_the_event_is_one_of_ours_about_that_run_and_nobody_waits_for_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_id = uuid4()
    with answering(monkeypatch, "202 Accepted", "", b"") as heard:
        assert LambdaTrigger().wake("followups", "http", run_id) is None
    (call,) = heard
    head, _, body = call.partition(b"\r\n\r\n")
    assert head.splitlines()[0].startswith(
        b"POST /2015-03-31/functions/ponctuel-prod-followups/invocations"
    )
    assert b"x-amz-invocation-type: event" in head.lower()
    assert events.parse(json.loads(body)) == events.Call("http", run_id)


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        ("403 No", "AccessDeniedException", "lambda:InvokeFunction sur ponctuel-prod-followups"),
        ("404 No", "ResourceNotFoundException", "ponctuel-prod-followups n'existe pas"),
        ("403 No", "ExpiredTokenException", "identifiants valables : renouvelez-les"),
        ("403 No", "UnrecognizedClientException", "identifiants valables : renouvelez-les"),
        ("429 Slow", "TooManyRequestsException", "trop d'exécutions en même temps"),
        ("502 Bad", "EC2AccessDeniedException", "EC2AccessDeniedException"),
        ("500 Oops", "ServiceException", "ServiceException"),
        ("418 Teapot", "", "a refusé de démarrer"),
    ],
)
def test_a_refusal_is_said_in_french_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, status: str, code: str, says: str
) -> None:
    body = b'{"Message": "User: arn:aws:sts::1:assumed-role/x is not authorized"}'
    with answering(monkeypatch, status, code, body):
        told = LambdaTrigger().wake("followups", "http", uuid4())
    assert told is not None
    assert says in told
    assert told.endswith(".")
    assert "arn:" not in told


def test_throttling_that_passes_is_not_worth_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["429 Slow", "202 Accepted"])

    def play(client: socket.socket) -> None:
        http_request(client)
        client.sendall(f"HTTP/1.1 {next(answers)}\r\nContent-Length: 0\r\n\r\n".encode())

    with serving(play) as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{port}")
        assert LambdaTrigger().wake("followups", "http", uuid4()) is None


def test_an_api_out_of_reach_or_silent_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{port}")
    told = LambdaTrigger().wake("followups", "http", uuid4())
    assert told is not None
    assert told.startswith("AWS Lambda est injoignable")


def test_without_credentials_the_caller_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with answering(monkeypatch, "202 Accepted", "") as heard:
        told = LambdaTrigger().wake("followups", "http", uuid4())
    assert heard == []
    assert told is not None
    assert "identifiants" in told
    assert told.endswith(".")


def test_a_run_whose_job_could_not_be_woken_stays_queued_and_the_next_tick_takes_it(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PONCTUEL_STAGE", "local")
    deployment.open_business()
    deployment.invoice()
    followups = jobs.job("followups")
    with bench_for(followups, holder="test") as bench:
        run_id = request(bench.engine, followups, followups.zone, door="http")
        with answering(monkeypatch, "403 No", "AccessDeniedException"):
            assert LambdaTrigger().wake("followups", "http", run_id)
        assert run_or_raise(bench.engine, run_id)["status"] == "queued"
    deployment.tick()
    assert deployment.rows("SELECT status FROM ponctuel.runs WHERE id = :id", id=run_id) == [
        {"status": "succeeded"}
    ]
    assert [m["state"] for m in deployment.messages()] == ["accepted"]


def test_deployed_stages_wake_lambdas_and_a_machine_leaves_it_to_the_next_tick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert isinstance(triggers.trigger(), LambdaTrigger)
    monkeypatch.setenv("PONCTUEL_STAGE", "local")
    assert isinstance(triggers.trigger(), NextTick)
    assert NextTick().wake("followups", "http", None) is None
