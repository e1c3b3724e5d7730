"""The ledger's mark, outside of the database: in SSM and in a file. It only rises."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from moto.backends import get_backend
from moto.server import ThreadedMotoServer

from chalicelib import ssm
from chalicelib.errors import SettingsError
from chalicelib.providers.ledger_mark import (
    UNREADABLE,
    FileMark,
    Mark,
    MarkStore,
    ParameterMark,
    open_mark_store,
    parameter_of,
)

HERE, ELSEWHERE = uuid.uuid4(), uuid.uuid4()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    get_backend("ssm")  # imported while nobody waits for an answer
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def parameter(
    endpoint: str, aws_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> ParameterMark:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    return ParameterMark(f"s{uuid.uuid4().hex[:12]}")


@pytest.fixture(params=["parameter", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> MarkStore:
    if request.param == "file":
        return FileMark(tmp_path / "kept" / "mark.json")
    found: MarkStore = request.getfixturevalue("parameter")
    return found


def test_there_is_none_at_first(store: MarkStore) -> None:
    assert store.read() is None


def test_it_is_kept_and_only_rises(store: MarkStore) -> None:
    assert store.raise_to(Mark(HERE, 5)) == Mark(HERE, 5)
    assert store.raise_to(Mark(HERE, 4)) == Mark(HERE, 5)
    assert store.raise_to(Mark(HERE, 7)) == store.read() == Mark(HERE, 7)


def test_another_deployments_mark_is_left_alone_except_by_an_operator(store: MarkStore) -> None:
    store.raise_to(Mark(ELSEWHERE, 5))
    assert store.raise_to(Mark(HERE, 9)) == Mark(ELSEWHERE, 5)
    store.replace(Mark(HERE, 1))
    assert store.read() == Mark(HERE, 1)


def test_many_at_once_leave_the_highest(tmp_path: Path) -> None:
    store = FileMark(tmp_path / "mark.json")
    with ThreadPoolExecutor(8) as pool:
        numbers = sorted(range(1, 101), key=lambda number: number * 37 % 101)
        kept = list(pool.map(lambda number: store.raise_to(Mark(HERE, number)), numbers))
    assert store.read() == Mark(HERE, 100)
    assert all(mark.claims >= number for mark, number in zip(kept, numbers, strict=True))


@pytest.fixture
def before_each_write() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Registers what another process does between our reading and our writing, once."""
    client = ssm.connect()
    handlers: list[Any] = []

    def register(happens: Callable[[], None]) -> None:
        def handler(**_: Any) -> None:
            client.meta.events.unregister("before-call.ssm.PutParameter", handler)
            happens()

        client.meta.events.register("before-call.ssm.PutParameter", handler)
        handlers.append(handler)

    yield register
    for handler in handlers:
        client.meta.events.unregister("before-call.ssm.PutParameter", handler)


@pytest.mark.parametrize(
    ("theirs", "kept"),
    [
        (Mark(HERE, 9), Mark(HERE, 9)),  # a later claim
        (Mark(HERE, 3), Mark(HERE, 5)),  # an earlier one
        (Mark(ELSEWHERE, 1), Mark(ELSEWHERE, 1)),  # an operator accepted another database
    ],
)
def test_what_another_process_wrote_meanwhile_in_ssm_is_not_lost(
    parameter: ParameterMark, before_each_write: Any, theirs: Mark, kept: Mark
) -> None:
    parameter.raise_to(Mark(HERE, 1))
    before_each_write(lambda: parameter.replace(theirs))
    assert parameter.raise_to(Mark(HERE, 5)) == kept
    assert parameter.read() == kept


def test_the_settings_do_not_read_it(parameter: ParameterMark) -> None:
    parameter.raise_to(Mark(HERE, 1))
    path = parameter.where.removesuffix("ledger/mark")
    ssm.put(f"{path}LOG_LEVEL", "INFO")
    assert ssm.load(path) == {"LOG_LEVEL": "INFO"}


def test_ssm_that_is_away_or_refuses_says_so_and_names_the_right(
    parameter: ParameterMark, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ClientError

    answer = {"Error": {"Code": "AccessDeniedException", "Message": "arn:aws:iam::123:role/x"}}
    told = str(ssm.unreachable("/x", ClientError(answer, "GetParameter"), "ssm:GetParameter"))
    assert "ssm:GetParameter " in told
    assert "arn:" not in told
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for call in (parameter.read, lambda: parameter.replace(Mark(HERE, 1))):
        with pytest.raises(SettingsError, match=parameter.where):
            call()


@pytest.mark.parametrize("text", ["", "5", "[]", "null", '{"claims": 1}', '{"deployment": "x"}'])
def test_what_is_no_mark_is_told_and_not_taken_for_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mark.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match="ledger reconcile") as caught:
        FileMark(path).read()
    assert caught.value.code == UNREADABLE


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "mark.json"
    folder.mkdir()
    store = FileMark(folder)
    for call in (store.read, lambda: store.raise_to(Mark(HERE, 1))):
        with pytest.raises(SettingsError, match="LEDGER_MARK_FILE"):
            call()


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "mark.json"
    FileMark(path).raise_to(Mark(HERE, 1))
    assert json.loads(path.read_text()) == {"deployment": str(HERE), "claims": 1}
    assert {found.name for found in tmp_path.iterdir()} == {"mark.json", "mark.json.lock"}


def test_each_stage_has_a_mark_of_its_own_and_local_only_where_asked(tmp_path: Path) -> None:
    assert open_mark_store("local", None) is None
    file = str(tmp_path / "mark.json")
    local = open_mark_store("local", file)
    prod = open_mark_store("prod", file)
    assert local is not None
    assert prod is not None
    assert local.where == file
    assert prod.where == parameter_of("prod") == "/ponctuel/prod/ledger/mark"
