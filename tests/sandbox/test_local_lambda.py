"""The local Lambda keeps Lambda's promises: a process of one's own, a limit, a clean end."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from chalicelib.runner.events import envelope
from sandbox.local_lambda import LocalLambda, LocalTrigger
from tests.harness import Deployment

HERE = "tests.sandbox.functions"


@pytest.fixture
def functions(tmp_path: Path) -> Iterator[LocalLambda]:
    environment = {**os.environ, "NOTES": str(tmp_path), "ONLY_HERE": "1"}
    named = {name: (f"{HERE}:{name}", 20.0) for name in ("describe", "fail", "die", "note", "wake")}
    with LocalLambda(environment, {**named, "hang": (f"{HERE}:hang", 0.4)}) as functions:
        yield functions


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_each_invocation_has_a_process_and_a_request_id_of_its_own(functions: LocalLambda) -> None:
    first, second = (functions.invoke("describe", {"n": n}) for n in range(2))
    assert (first.outcome, first.payload["event"]) == ("returned", {"n": 0})
    assert len({os.getpid(), first.payload["process"], second.payload["process"]}) == 3
    assert first.payload["request_id"] != second.payload["request_id"]
    assert first.payload["function_name"] == "ponctuel-local-describe"
    assert 19_000 < first.payload["remaining_ms"] <= 20_000


def test_an_invocation_has_the_environment_it_was_given_and_keeps_ours_clean(
    functions: LocalLambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SET_AFTERWARDS", "1")
    seen = functions.invoke("describe", {}).payload["environment"]
    assert seen["ONLY_HERE"] == "1"
    assert "SET_AFTERWARDS" not in seen
    assert "ONLY_HERE" not in os.environ


def test_an_invocation_that_goes_on_is_killed_at_its_limit(
    functions: LocalLambda, tmp_path: Path
) -> None:
    begun = time.monotonic()
    invocation = functions.invoke("hang", {"pid_file": str(tmp_path / "pid")})
    assert 0.3 < time.monotonic() - begun < 5
    assert (invocation.outcome, invocation.exit_code) == ("timed_out", -9)
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_a_handler_that_raises_or_dies_says_so_and_no_more(
    functions: LocalLambda, capfd: pytest.CaptureFixture[str]
) -> None:
    assert functions.invoke("fail", {}).outcome == "raised"
    died = functions.invoke("die", {})
    assert (died.outcome, died.exit_code) == ("died", -9)
    assert "canary-in-an-exception" not in capfd.readouterr().err


def test_an_asynchronous_invocation_returns_before_the_work_is_done(
    functions: LocalLambda, tmp_path: Path
) -> None:
    begun = time.monotonic()
    functions.start("note", {"id": "a"})
    assert time.monotonic() - begun < 0.1
    wait_for((tmp_path / "a").exists)
    wait_for(functions.idle)


def test_a_function_that_does_not_exist_is_refused(functions: LocalLambda) -> None:
    for begin in (functions.invoke, functions.start):
        with pytest.raises(KeyError):
            begin("nothing", {})


def test_many_at_once_leave_no_process_and_no_thread_behind(
    functions: LocalLambda, tmp_path: Path
) -> None:
    for number in range(12):
        functions.start("note", {"id": number})
    wait_for(functions.idle)
    assert len(list(tmp_path.iterdir())) == 12
    wait_for(lambda: not [t for t in threading.enumerate() if t.name.startswith("lambda-")])


def test_a_handler_can_wake_a_job_and_end(functions: LocalLambda, tmp_path: Path) -> None:
    assert functions.invoke("wake", {}).outcome == "returned"
    wait_for(lambda: len(list(tmp_path.iterdir())) == 1)


def test_closing_kills_what_does_not_end_and_starts_nothing_more(tmp_path: Path) -> None:
    functions = LocalLambda(functions={"hang": (f"{HERE}:hang", 60.0)})
    pid_file = tmp_path / "pid"
    functions.start("hang", {"pid_file": str(pid_file)})
    wait_for(lambda: pid_file.exists() and pid_file.read_text() != "")
    functions.close(grace=0.1)
    assert not is_alive(int(pid_file.read_text()))
    functions.start("hang", {"pid_file": str(tmp_path / "other")})
    assert functions.idle()


def test_a_woken_job_runs_in_a_process_and_writes_the_ledger(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.invoice()
    with LocalLambda() as functions:
        LocalTrigger(functions).wake("followups", "http", uuid4())  # a run that is not there
        wait_for(functions.idle, 20)
        deployment.database.advance(timedelta(hours=1))
        invocation = functions.invoke("followups", envelope("followups"))
    assert invocation.payload == {"job": "followups", "status": ["succeeded"]}
    assert len(deployment.smtp.accepted()) == 1
