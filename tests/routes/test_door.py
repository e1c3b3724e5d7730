"""Who may pass, what goes wrong, and what never leaves: through API Gateway's events."""

from __future__ import annotations

import socket
import threading
import time

import pytest

import app
from chalicelib import settings as settings_module
from chalicelib.routes import refusals
from chalicelib.routes.call import Call
from chalicelib.routes.door import SECURITY, Route, respond
from chalicelib.settings import Settings
from sandbox.http import Api
from tests.routes.doors import CANARY, FOLLOWUPS, SECRET, Door, bearer

RUNS = "/jobs/followups/runs"


@pytest.fixture
def nowhere(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody:canary@127.0.0.1:{port}/nothing")


CLOSED = (
    ("GET", FOLLOWUPS, 403),
    ("POST", RUNS, 401),
    ("GET", "/jobs", 401),
    ("GET", RUNS, 401),
    ("GET", "/runs/1", 401),
    ("POST", "/jobs/followups/pause", 401),
    ("POST", "/jobs/followups/resume", 401),
    ("GET", "/health?deep=1", 401),
)


@pytest.mark.parametrize("headers", [{}, bearer("x" * 40), {"Authorization": SECRET}])
def test_without_the_secret_nothing_runs(door: Door, headers: dict[str, str]) -> None:
    for number, (method, path, status) in enumerate(CLOSED):
        reply = door.outside(method, path, headers=headers, address=f"203.0.113.{number}")
        assert (reply.status, reply.json()["success"]) == (status, False), path
        assert ("www-authenticate" in reply.headers) == (status == 401)
    assert door.trigger.woken == []
    assert door.deployment.rows("SELECT 1 FROM ponctuel.runs") == []
    refused = door.deployment.rows("SELECT path, caller FROM ponctuel.refused_calls ORDER BY id")
    assert [row["path"] for row in refused] == [path.partition("?")[0] for _, path, _ in CLOSED]
    assert {len(row["caller"]) for row in refused} == {16}


def test_an_operator_s_route_takes_no_secret_in_the_address(door: Door) -> None:
    reply = door.outside("POST", f"{RUNS}?secret={SECRET}")
    assert reply.status == 401
    assert "Authorization: Bearer" in reply.json()["error"]


def test_one_who_insists_waits_and_the_right_secret_does_not(door: Door) -> None:
    insistent = "203.0.113.7"
    for _ in range(8):
        refusals.record(
            door.deployment.database.engine(),
            caller=refusals.caller_of(insistent, SECRET),
            path=FOLLOWUPS,
            code="unauthorized",
        )
    took = {}
    for name, address, headers in [
        ("insistent", insistent, bearer("x" * 40)),
        ("another", "198.51.100.1", bearer("x" * 40)),
        ("right", insistent, bearer()),
    ]:
        begun = time.monotonic()
        door.outside("GET", "/health?deep=1", headers=headers, address=address)
        took[name] = time.monotonic() - begun
    assert took["insistent"] > 1.4
    assert max(took["another"], took["right"]) < 1.2


@pytest.mark.parametrize("secret", ["", "too-short"])
def test_a_deployed_stage_without_a_usable_secret_runs_nothing(
    door: Door, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {"DATABASE_URL": door.deployment.database.url, "CRON_SECRET": secret}
    deployed = Settings.from_mapping({"PONCTUEL_STAGE": "prod"}, held)
    monkeypatch.setattr(settings_module, "_current", deployed)
    reply = door.get(FOLLOWUPS)
    assert reply.status == 503
    assert "CRON_SECRET" in reply.json()["error"] or "secret" in reply.json()["error"]
    assert door.trigger.woken == []


@pytest.mark.usefixtures("nowhere")
def test_an_unreachable_database_is_500_with_what_to_do(door: Door) -> None:
    for reply in (door.get(FOLLOWUPS), door.post(RUNS, {"dry_run": True}), door.get("/jobs")):
        assert reply.status == 500
        assert "DATABASE_URL" in reply.json()["error"]
        assert b"canary" not in reply.body
        assert b"Traceback" not in reply.body


@pytest.mark.usefixtures("nowhere")
def test_who_has_no_secret_is_refused_also_while_the_database_is_away(door: Door) -> None:
    assert door.outside("GET", FOLLOWUPS).status == 403
    assert door.outside("GET", "/jobs").status == 401


def test_without_an_address_of_the_database_the_answer_names_the_setting(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    reply = door.get(FOLLOWUPS)
    assert (reply.status, "DATABASE_URL" in reply.json()["error"]) == (500, True)
    assert door.outside("GET", FOLLOWUPS).status == 403


def test_an_older_schema_is_500_and_says_to_migrate(door: Door) -> None:
    door.deployment.execute("DELETE FROM ponctuel.schema_versions")
    assert "migrate" in door.get(FOLLOWUPS).json()["error"]
    door.deployment.execute("DROP SCHEMA ponctuel CASCADE")
    reply = door.get(FOLLOWUPS)
    assert reply.status == 500
    assert "migrate" in reply.json()["error"]


def test_every_answer_has_the_security_headers(door: Door) -> None:
    replies = [
        door.outside("GET", "/health"),
        door.outside("GET", FOLLOWUPS),
        door.get("/runs/none"),
        door.get("/jobs"),
    ]
    for reply in replies:
        assert reply.headers["content-type"] == "application/json; charset=utf-8"
        for name, value in SECURITY.items():
            assert reply.headers[name.lower()] == value


def test_a_view_that_breaks_answers_without_its_reasons(capfd: pytest.CaptureFixture[str]) -> None:
    def broken(_call: Call) -> None:
        raise RuntimeError(f"a row of somebody: {CANARY}")

    route = Route("/x", ("GET",), broken, "Breaks.", access="open")  # type: ignore[arg-type]
    call = Call({"requestContext": {"requestId": "r-1"}}, {}, Settings.from_mapping({}))
    answer = respond(route, call)
    assert answer.status == 500
    assert "r-1" in str(answer.body["error"])
    assert CANARY not in str(answer.body)
    logged = capfd.readouterr()
    assert CANARY not in logged.err + logged.out
    assert "http_crashed" in logged.err


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/nothing"),
        ("GET", "/api"),
        ("HEAD", FOLLOWUPS),
        ("OPTIONS", FOLLOWUPS),
        ("DELETE", "/jobs"),
        ("GET", "/jobs//runs"),
    ],
)
def test_a_path_or_method_without_a_route_is_api_gateway_s_own_403(method: str, path: str) -> None:
    reply = Api(app.app).call(method, path, headers=bearer())
    assert (reply.status, reply.json()) == (403, {"message": "Missing Authentication Token"})


def test_no_secret_appears_in_logs_answers_or_the_ledger(
    door: Door, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CRON_SECRET", CANARY)
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    wrong = f"{CANARY}-wrong"
    replies = [
        door.outside("GET", f"{FOLLOWUPS}?secret={CANARY}"),
        door.outside("POST", f"{FOLLOWUPS}?secret={CANARY}", body=f"secret={CANARY}"),
        door.outside("GET", f"{FOLLOWUPS}?secret={wrong}"),
        door.outside("GET", f"{FOLLOWUPS}&secret={CANARY}"),
        door.outside("POST", RUNS, headers=bearer(CANARY), body={"dry_run": True, "reason": "x"}),
        door.outside("POST", RUNS, headers=bearer(CANARY), body={"as_of": CANARY}),
        door.outside("GET", f"/runs/{CANARY}", headers=bearer(wrong)),
        door.outside("GET", "/jobs", headers=bearer(CANARY)),
    ]
    for reply in replies:
        assert CANARY.encode() not in reply.body
        assert CANARY not in str(reply.headers)
    logged = capfd.readouterr()
    assert "http_answered" in logged.err
    assert CANARY not in logged.err + logged.out
    for table in ("runs", "refused_calls", "job_state", "api_waits", "messages"):
        assert CANARY not in str(door.deployment.rows(f"SELECT * FROM ponctuel.{table}"))


def test_calls_in_parallel_do_not_get_each_other_s_answers(door: Door) -> None:
    """Chalice keeps one current request per app."""
    paths = [f"/jobs/unknown-{number}/runs" for number in range(8)]
    said: dict[str, str] = {}

    def ask(path: str) -> None:
        said[path] = door.get(path).json()["error"]

    threads = [threading.Thread(target=ask, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for path in paths:
        assert path.split("/")[2] in said[path]
