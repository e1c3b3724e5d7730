"""SSM Parameter Store, through botocore, against a local server that speaks its protocol."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator

import pytest
from moto.backends import get_backend
from moto.server import ThreadedMotoServer

from chalicelib import ssm
from chalicelib.errors import SettingsError
from chalicelib.settings import settings


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    get_backend("ssm")  # imported while nobody waits for an answer
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def aws(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "eu-west-3",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "LOG_FORMAT": "json",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def stage() -> str:
    """A stage that no other test has used: neither the server nor `ssm` knows it."""
    return f"s{uuid.uuid4().hex[:12]}"


@pytest.fixture
def path(stage: str) -> str:
    return f"/ponctuel/{stage}/"


@pytest.fixture
def put(aws: None) -> Callable[[str, str], None]:
    def put_parameter(name: str, value: str) -> None:
        ssm.connect().put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)

    return put_parameter


def test_every_page_is_read_and_nothing_of_another_stage_or_below(path, put):
    for number in range(11):
        put(f"{path}NAME_{number}", f"value {number}")
    put(f"/ponctuel/autre{path[10:]}CRON_SECRET", "of another stage")
    put(f"{path}deeper/CRON_SECRET", "of a deeper path")
    assert ssm.load(path) == {f"NAME_{number}": f"value {number}" for number in range(11)}


def test_values_are_kept_five_minutes_then_read_again(path, put):
    put(f"{path}CRON_SECRET", "old")
    start = 1_000_000.0
    assert ssm.load(path, now=start)["CRON_SECRET"] == "old"
    put(f"{path}CRON_SECRET", "new")
    assert ssm.load(path, now=start + 299)["CRON_SECRET"] == "old"
    assert ssm.load(path, now=start + 301)["CRON_SECRET"] == "new"


def test_a_clock_that_was_set_back_does_not_keep_values_for_ever(path, put):
    put(f"{path}CRON_SECRET", "old")
    ssm.load(path, now=2_000_000.0)
    put(f"{path}CRON_SECRET", "new")
    assert ssm.load(path, now=1_000_000.0)["CRON_SECRET"] == "new"


def test_a_refresh_that_fails_keeps_the_old_values_and_is_logged(path, put, monkeypatch, capsys):
    put(f"{path}CRON_SECRET", "a value that was read before")
    start = 1_000_000.0
    before = ssm.load(path, now=start)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert ssm.load(path, now=start + 301) is before
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["message"]) == ("ERROR", "settings_refresh_failed")
    assert line["error"]["code"] == "ssm"
    assert "a value" not in json.dumps(line)
    # AWS is left alone for half a minute, then asked again.
    assert ssm.load(path, now=start + 330) is before
    assert capsys.readouterr().err == ""


def test_forgetting_asks_again_at_once(path, put):
    put(f"{path}CRON_SECRET", "old")
    start = 1_000_000.0
    ssm.load(path, now=start)
    put(f"{path}CRON_SECRET", "new")
    ssm.forget()
    assert ssm.load(path, now=start + 1)["CRON_SECRET"] == "new"


def test_a_first_read_that_fails_says_what_to_look_at(path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(SettingsError, match=rf"{path} .*passerelle NAT"):
        ssm.load(path)


def test_missing_credentials_are_named(path, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="identifiants AWS"):
        ssm.load(path)


def test_a_missing_region_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="AWS_REGION"):
        ssm.connect()


def test_a_refusal_by_aws_names_the_rights_that_are_needed(path):
    from botocore.exceptions import ClientError

    answer = {"Error": {"Code": "AccessDeniedException", "Message": "arn:aws:iam::123:role/x"}}
    told = str(ssm.unreachable(path, ClientError(answer, "GetParametersByPath")))
    assert "ssm:GetParametersByPath" in told
    assert "arn:" not in told


def test_the_settings_of_a_deployed_stage_come_from_there(stage, path, put, monkeypatch):
    secret = "kept-in-the-parameter-store-and-nowhere-else"
    put(f"{path}CRON_SECRET", secret)
    monkeypatch.setenv("PONCTUEL_STAGE", stage)
    monkeypatch.setenv("CRON_SECRET", "x" * 40)
    assert settings().cron_secret == secret
    put(f"{path}CRON_SECRET", secret.upper())
    assert settings().cron_secret == secret
    assert settings(refresh=True).cron_secret == secret.upper()


def test_boto3_is_not_imported_and_botocore_only_when_aws_is_asked():
    program = (
        "import sys, chalicelib.ssm\n"
        "assert 'botocore' not in sys.modules\n"
        "chalicelib.ssm.load('/ponctuel/none/')\n"
        "assert 'boto3' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
