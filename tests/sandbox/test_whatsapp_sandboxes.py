from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.providers.whatsapp import open_whatsapp
from sandbox import contracts
from sandbox.whatsapp_faults import Fault
from sandbox.whatsapp_journal import deliveries, read_journal
from tests.providers.whatsapps import PERSON, Stage, message, provider_at, staged

OTHER = "+33700000001"


@pytest.fixture(params=("twilio", "meta"))
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with staged(request.param, tmp_path) as found:
        yield found


def test_a_fault_goes_off_for_whom_and_as_often_as_it_was_told(stage: Stage) -> None:
    stage.sandbox.fail("server_error", recipient=OTHER, count=2)
    assert stage.outcome() == "accepted"
    outcomes = [stage.outcome(message(recipient=OTHER)) for _ in range(3)]
    assert outcomes == ["unknown", "unknown", "accepted"]
    stage.sandbox.fail("server_error")
    assert stage.outcome() == "unknown"
    stage.sandbox.heal()
    assert stage.outcome() == "accepted"


def test_a_share_of_the_calls_fails_and_the_same_seed_fails_the_same_ones(tmp_path: Path) -> None:
    def outcomes(folder: str) -> list[str]:
        faults = [Fault("server_error", rate=0.5)]
        with staged("meta", tmp_path / folder, faults=faults, seed=7) as stage:
            return [stage.outcome() for _ in range(40)]

    first = outcomes("first")
    assert set(first) == {"accepted", "unknown"}
    assert first == outcomes("second")


def test_faults_can_be_told_through_a_file_while_the_server_runs(tmp_path: Path) -> None:
    control = tmp_path / "control.json"
    with staged("twilio", tmp_path / "journal", control=control) as stage:
        assert stage.outcome() == "accepted"
        control.write_text(json.dumps([{"kind": "refuse", "code": 63016}]))
        assert stage.outcome() == "window_closed"
        control.write_text("[{")  # half-written: the rules stay
        assert stage.outcome() == "window_closed"
        control.write_text("[]")
        assert stage.outcome() == "accepted"


def test_a_fault_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        Fault("nonsense")  # type: ignore[arg-type] # that is the point


def test_the_journal_tells_what_was_taken_what_was_not_and_doubles(stage: Stage) -> None:
    stage.outcome()
    stage.sandbox.fail("accept_then_close", count=1)
    stage.outcome()
    stage.sandbox.fail("refuse", code=131050, count=1)
    stage.outcome()
    entries = read_journal(stage.sandbox.folder)
    assert [(entry.outcome, entry.fault) for entry in entries] == [
        ("accepted", ""),
        ("accepted", "accept_then_close"),
        ("131050", ""),
    ]
    assert deliveries(stage.sandbox.folder) == {("3f2a91bc-42", PERSON): 2}
    assert read_journal(stage.sandbox.folder / "elsewhere") == []


def test_many_senders_are_served_at_once_and_each_message_is_kept(stage: Stage) -> None:
    def send(first: int) -> None:
        provider = provider_at(stage.name, stage.sandbox.base_url)
        for number in range(first, first + 10):
            provider.send(message(reference=f"3f2a91bc-{number}"))
        provider.close()

    threads = [threading.Thread(target=send, args=(10 * i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert deliveries(stage.sandbox.folder) == {(f"3f2a91bc-{i}", PERSON): 1 for i in range(60)}


def test_a_server_that_is_stopped_lets_go_of_silent_calls(tmp_path: Path) -> None:
    with staged("meta", tmp_path) as stage:
        stage.sandbox.fail("accept_then_silence")
        waiting = threading.Thread(target=stage.outcome)
        waiting.start()
        while not stage.sandbox.accepted():
            pass
    waiting.join(2)
    assert not waiting.is_alive()


def test_the_documents_are_looked_for_where_they_were_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PONCTUEL_CONTRACTS", str(tmp_path))
    assert contracts.folder() == tmp_path
    monkeypatch.setenv("PONCTUEL_CONTRACTS", str(tmp_path / "absent"))
    assert contracts.folder() is None


def test_a_parameter_in_an_address_is_held_against_its_schema() -> None:
    schema = {"type": "string", "pattern": "^AC[0-9]+$"}
    operation = {
        "requestBody": {
            "content": {
                contracts.FORM: {
                    "schema": {"type": "object", "properties": {"To": {"type": "string"}}}
                }
            }
        }
    }
    found = contracts.Contract(
        {
            "openapi": "3.0.1",
            "paths": {
                "/Accounts/{Sid}/Messages.json": {
                    "parameters": [{"name": "Sid", "in": "path", "schema": schema}],
                    "post": operation,
                }
            },
            "components": {"schemas": {}},
        }
    )
    headers = {"content-type": contracts.FORM}

    def problems(path: str, form: dict[str, str]) -> list[str]:
        return found.request_problems("POST", path, headers, form)

    assert problems("/Accounts/AC1/Messages.json", {"To": "x"}) == []
    assert len(problems("/Accounts/AB1/Messages.json", {"To": "x"})) == 1
    assert problems("/Accounts/AC1/Messages.json", {"To": "x", "Tp": "y"}) == ["unknown field Tp"]
    assert problems("/Accounts/AC1/Calls.json", {}) != []


def test_a_sandbox_runs_on_its_own_until_it_is_stopped(tmp_path: Path) -> None:
    url_file = tmp_path / "url"
    command = [sys.executable, "-m", "sandbox.whatsapp", "meta", "--folder", str(tmp_path / "box")]
    with subprocess.Popen([*command, "--url-file", str(url_file)], stdout=subprocess.DEVNULL) as it:
        deadline = time.monotonic() + 20
        while not url_file.exists():
            assert it.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with contextlib.closing(open_whatsapp(url_file.read_text())()) as provider:
            provider.send(message())
        it.terminate()
        assert it.wait(5) == 0
    assert deliveries(tmp_path / "box") == {("3f2a91bc-42", PERSON): 1}
