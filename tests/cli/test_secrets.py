"""`./ponctuel secrets`, as an operator uses it, against a local server that speaks SSM."""

from __future__ import annotations

import argparse
import io
import re
import shlex
import subprocess
import uuid
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from chalicelib import ssm
from chalicelib.errors import BadRequest, PonctuelError, SettingsError
from chalicelib.routes.auth import authorize
from chalicelib.settings import Settings
from cli import secrets

TODAY = date(2026, 11, 21)
SECRET = "a-secret-that-was-there-before-the-change"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def stage(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A stage of its own, empty."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "eu-west-3",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    return f"s{uuid.uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PONCTUEL_STAGE", "CRON_SECRET", "CRON_SECRET_PREVIOUS", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def held(stage: str) -> dict[str, str]:
    ssm.forget()
    return dict(ssm.load(f"/ponctuel/{stage}/"))


def may_call(stage: str, secret: str) -> bool:
    settings = Settings.from_mapping({"PONCTUEL_STAGE": stage}, held(stage))
    headers = {"Authorization": f"Bearer {secret}"}
    try:
        authorize(headers, None, settings=settings, allow_query=False)
    except PonctuelError:
        return False
    return True


def command(*words: str, typed: str = "") -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stage", default=None)
    secrets.register(parser.add_subparsers())
    args = parser.parse_args(words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(typed))
        status: int = args.run(args)
    return status


def test_a_generated_secret_is_strong_enough_and_needs_no_escaping():
    made = {secrets.generate() for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43,}", secret) for secret in made)
    assert all(Settings.from_mapping({"CRON_SECRET": secret}).cron_secret for secret in made)


def test_a_stored_value_is_read_back_and_encrypted_when_it_is_secret(stage):
    address = "postgresql://u:p@db.example.fr/ponctuel"
    told = secrets.store(stage, "DATABASE_URL", f"{address}\n")
    assert address not in told
    secrets.store(stage, "WAIT_SECONDS", "5")
    assert held(stage) == {"DATABASE_URL": address, "WAIT_SECONDS": "5"}
    answer = ssm.connect().get_parameters_by_path(Path=f"/ponctuel/{stage}/")
    kinds = {found["Name"].rpartition("/")[2]: found["Type"] for found in answer["Parameters"]}
    assert kinds == {"DATABASE_URL": "SecureString", "WAIT_SECONDS": "String"}


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("CRON_SECRET", "tooshort-tooshort", SettingsError),
        ("DATABASE_URL", "mysql://tooshort@h/d", SettingsError),
        ("DATABASE_URL", "  ", BadRequest),
        ("DATABASE_UR", "postgresql://tooshort@h/d", BadRequest),
        ("LOG_LEVEL", "DEBUG", BadRequest),
        ("SCHEDULE_FOLLOWUPS", "0 8 * * *", BadRequest),
        ("../prod/CRON_SECRET", SECRET, BadRequest),
        ("DATABASE_CA", "-----BEGIN CERTIFICATE-----" + "x" * 4096, BadRequest),
    ],
)
def test_a_value_that_could_not_work_is_not_stored(stage, name, value, error):
    with pytest.raises(error) as caught:
        secrets.store(stage, name, value)
    assert "tooshort" not in str(caught.value)
    assert held(stage) == {}


def test_the_cron_secret_is_not_replaced_by_accident(stage):
    secrets.store(stage, "CRON_SECRET", SECRET)
    with pytest.raises(BadRequest, match=f"rotate --stage {stage}"):
        secrets.store(stage, "CRON_SECRET", "x" * 40)
    assert held(stage) == {"CRON_SECRET": SECRET}
    secrets.store(stage, "CRON_SECRET", "x" * 40, force=True)
    assert held(stage) == {"CRON_SECRET": "x" * 40}


def test_a_rotation_cuts_nobody_off_until_it_is_finished(stage):
    secrets.store(stage, "CRON_SECRET", SECRET)
    told = secrets.rotate(stage, today=TODAY)
    new = held(stage)["CRON_SECRET"]
    assert new in told
    assert SECRET not in told
    assert "21/12/2026" in told
    assert may_call(stage, new)
    assert may_call(stage, SECRET)
    secrets.retire(stage)
    assert may_call(stage, new)
    assert not may_call(stage, SECRET)
    assert "rien à faire" in secrets.retire(stage)


def test_a_second_rotation_waits_for_the_end_of_the_first_unless_it_is_forced(stage):
    secrets.store(stage, "CRON_SECRET", SECRET)
    secrets.rotate(stage, today=TODAY)
    second = held(stage)["CRON_SECRET"]
    with pytest.raises(BadRequest, match=f"retire --stage {stage}"):
        secrets.rotate(stage, today=TODAY)
    assert may_call(stage, SECRET)
    secrets.rotate(stage, today=TODAY, force=True)
    third = held(stage)["CRON_SECRET"]
    assert [may_call(stage, secret) for secret in (SECRET, second, third)] == [False, True, True]


def test_the_first_rotation_of_an_empty_stage_makes_its_first_secret(stage):
    told = secrets.rotate(stage, today=TODAY)
    assert "retire" not in told
    assert list(held(stage)) == ["CRON_SECRET"]
    assert may_call(stage, held(stage)["CRON_SECRET"])


def test_a_rotation_that_stopped_halfway_can_be_started_again(stage):
    secrets.store(stage, "CRON_SECRET", SECRET)
    secrets.store(stage, "CRON_SECRET_PREVIOUS", SECRET)
    secrets.rotate(stage, today=TODAY)
    assert may_call(stage, SECRET)
    assert may_call(stage, held(stage)["CRON_SECRET"])


def test_a_secret_that_was_too_short_is_replaced_and_not_kept(stage):
    client = ssm.connect()
    for name in ("CRON_SECRET", "CRON_SECRET_PREVIOUS"):
        client.put_parameter(Name=f"/ponctuel/{stage}/{name}", Value="short", Type="SecureString")
    secrets.rotate(stage, today=TODAY)
    assert list(held(stage)) == ["CRON_SECRET"]
    assert may_call(stage, held(stage)["CRON_SECRET"])


def test_a_list_has_names_and_dates_and_values_only_when_asked(stage, capsys):
    secrets.store(stage, "CRON_SECRET", SECRET)
    assert command("secrets", "list", "--stage", stage) == 0
    output = capsys.readouterr().out
    assert re.search(r"^CRON_SECRET +\d\d/\d\d/\d{4} \d\d:\d\d$", output, re.MULTILINE)
    assert re.search(r"^DATABASE_URL +manque$", output, re.MULTILINE)
    assert SECRET not in output
    assert SECRET not in repr(secrets.listing(stage, show=True))
    assert command("--stage", stage, "secrets", "list", "--show") == 0
    assert SECRET in capsys.readouterr().out


def test_a_value_is_read_from_a_pipe_and_never_shown(stage, capsys):
    assert command("secrets", "store", "CRON_SECRET", "--stage", stage, typed=f"{SECRET}\n") == 0
    assert held(stage) == {"CRON_SECRET": SECRET}
    assert SECRET not in capsys.readouterr().out


def test_a_stage_name_cannot_lead_to_another_path():
    with pytest.raises(SettingsError, match="PONCTUEL_STAGE"):
        command("secrets", "list", "--stage", "../prod")


def test_locally_the_lines_to_run_are_printed_and_work_in_a_shell(monkeypatch, capsys):
    value = 'it\'s a "secret" of $HOME & more than 32'
    assert command("secrets", "store", "CRON_SECRET", typed=value) == 0
    assert in_shell(capsys.readouterr().out)["CRON_SECRET"] == value
    monkeypatch.setenv("CRON_SECRET", value)
    assert command("secrets", "rotate") == 0
    after = in_shell(capsys.readouterr().out)
    assert after["CRON_SECRET_PREVIOUS"] == value
    assert len(after["CRON_SECRET"]) == 43
    assert command("secrets", "list") == 0
    assert "CRON_SECRET" in capsys.readouterr().out
    assert command("secrets", "retire") == 0
    assert capsys.readouterr().out == "unset CRON_SECRET_PREVIOUS\n"


def in_shell(lines: str) -> dict[str, Any]:
    shown = subprocess.run(
        ["sh", "-c", f"{lines}\nenv -0"], capture_output=True, text=True, check=True, env={}
    )
    return dict(entry.split("=", 1) for entry in shown.stdout.split("\0") if "=" in entry)


def test_generate_prints_one_word_for_a_script(capsys):
    assert command("secrets", "generate") == 0
    assert len(shlex.split(capsys.readouterr().out)) == 1


def test_a_stage_that_cannot_be_reached_is_explained(stage, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for attempt in (
        lambda: secrets.rotate(stage, today=TODAY),
        lambda: secrets.store(stage, "CRON_SECRET", SECRET),
        lambda: secrets.listing(stage),
    ):
        with pytest.raises(SettingsError, match=f"/ponctuel/{stage}/ .*AWS ne répond pas"):
            attempt()
