from __future__ import annotations

import contextlib
import os
import re
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.errors import AttachmentUnavailable, ProviderError, SettingsError
from chalicelib.providers.storage import open_storage
from chalicelib.providers.storage.folder import FolderStorage
from chalicelib.providers.storage.keys import business_folder, checked, mail_key, mail_part_key
from chalicelib.providers.storage.port import Storage
from chalicelib.providers.storage.s3 import S3Storage
from tests.providers.conftest import Key
from tests.providers.wire import received, serving

KEY = "B1/factures/F-1042.pdf"


@pytest.fixture(scope="module")
def bucket(aws: str) -> Iterator[Any]:
    import boto3

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        client = boto3.client("s3", region_name="eu-west-3", endpoint_url=aws)
        client.create_bucket(
            Bucket="documents", CreateBucketConfiguration={"LocationConstraint": "eu-west-3"}
        )
        yield client
        client.close()


@pytest.fixture(params=["folder", "s3"])
def storage(
    request: pytest.FixtureRequest, tmp_path: Path, aws_credentials: None
) -> Iterator[Storage]:
    if request.param == "folder":
        yield open_storage(tmp_path.as_uri())
        return
    request.getfixturevalue("bucket")
    endpoint = request.getfixturevalue("aws")
    store = open_storage(f"s3://documents/{tmp_path.name}?region=eu-west-3&endpoint_url={endpoint}")
    assert isinstance(store, S3Storage)
    yield store
    store.close()


def test_a_document_reads_back_as_it_was_kept(storage: Storage) -> None:
    content = os.urandom(10_000)
    storage.write(KEY, b"first")
    storage.write(KEY, content)
    assert storage.read(KEY, max_bytes=10_000) == content
    storage.write("Factures/été – n° 1.pdf", b"")
    assert storage.read("Factures/été – n° 1.pdf", max_bytes=0) == b""


def test_a_document_that_is_missing_is_said_to_be(storage: Storage) -> None:
    storage.write(KEY, b"x")
    for key in ("B1/factures/F-1043.pdf", "B1/factures", f"{KEY}/x", "é" * 400):
        with pytest.raises(AttachmentUnavailable) as error:
            storage.read(key, max_bytes=10)
        assert "introuvable" in str(error.value)


def test_a_document_that_is_too_large_is_refused(storage: Storage) -> None:
    storage.write(KEY, b"x" * 2001)
    with pytest.raises(AttachmentUnavailable, match="0,0 Mo"):
        storage.read(KEY, max_bytes=2000)


def test_a_file_is_kept_as_it_is_and_what_is_kept_is_known(
    storage: Storage, tmp_path: Path
) -> None:
    content = os.urandom(3_000_001)
    source = tmp_path / "source.eml"
    source.write_bytes(content)
    assert not storage.exists("B1/mail/ab/x.eml")
    storage.write_file("B1/mail/ab/x.eml", source)
    assert storage.exists("B1/mail/ab/x.eml")
    assert not storage.exists("B1/mail/ab")
    assert storage.read("B1/mail/ab/x.eml", max_bytes=3_000_001) == content
    with pytest.raises(FileNotFoundError):
        storage.write_file("B1/mail/ab/y.eml", tmp_path / "not-there")
    assert not storage.exists("B1/mail/ab/y.eml")


def test_what_is_deleted_is_gone_and_may_be_deleted_again(storage: Storage) -> None:
    storage.write(KEY, b"x")
    storage.write(f"{KEY}.eml", b"y")
    for _ in range(2):
        storage.delete(KEY)
        assert not storage.exists(KEY)
    assert storage.read(f"{KEY}.eml", max_bytes=1) == b"y"


def test_the_keys_of_a_folder_are_told_with_those_below_it_and_no_others(storage: Storage) -> None:
    assert storage.keys("traces") == []
    for key in ("traces/b/2.json", "traces/a.json", "traces/b/1.json", "traces-2/x", "x"):
        storage.write(key, b"x")
    assert storage.keys("traces") == ["traces/a.json", "traces/b/1.json", "traces/b/2.json"]
    with pytest.raises(AttachmentUnavailable):
        storage.keys("../traces")


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_large_file_is_never_in_memory_as_a_whole(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, aws_credentials: None
) -> None:
    source = tmp_path / "source.eml"
    with source.open("wb") as file:
        file.truncate(60_000_000)

    def receive(client: socket.socket) -> None:
        """A server that takes one upload and keeps none of it: moto's would, in this process."""
        head, buffer = received(client, lambda data: b"\r\n\r\n" in data), bytearray(65536)
        if b"100-continue" in head.lower():
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        left = 60_000_000 - len(head.partition(b"\r\n\r\n")[2])
        while left > 0 and (size := client.recv_into(buffer)):
            left -= size
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with contextlib.ExitStack() as stack:
        if kind == "folder":
            store: Storage = FolderStorage(tmp_path)
        else:
            port = stack.enter_context(serving(receive))
            url = f"http://127.0.0.1:{port}"
            store = S3Storage("documents", region="eu-west-3", endpoint_url=url)
            stack.enter_context(contextlib.closing(store))
            store._client  # noqa: B018 - its own memory is not what is measured
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        store.write_file("B1/mail/large.eml", source)
        # A third of it: threads that other tests have left have memory too.
        assert tracemalloc.get_traced_memory()[1] < 20_000_000


@given(st.text(max_size=150), st.text(max_size=150))
def test_each_business_has_a_folder_of_its_own_whatever_its_id(one: str, other: str) -> None:
    folder = business_folder(one)
    assert re.fullmatch(r"[A-Za-z0-9_%-]{1,100}", folder)
    assert (folder == business_folder(other)) == (one == other)
    key = mail_part_key(one, b"\xab" * 32)
    assert checked(key) == key


def test_the_folder_of_a_plain_id_is_the_id_and_of_any_other_no_plain_id() -> None:
    assert business_folder("acme-2_B") == "acme-2_B"
    assert mail_key("B1", b"\x01" * 32) == f"B1/mail/01/{'01' * 32}.eml"
    assert business_folder("../é/%") == "%2e%2e%2f%c3%a9%2f%25"
    for strange in ("", "\ud800", "x" * 101, "a.b", "mail/parts"):
        assert "%" in business_folder(strange)


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "/etc/passwd",
        "../secret",
        "B1/../../secret",
        "B1/./x",
        "B1//x",
        "B1/",
        "B1\\..\\x",
        "B1/x\x00.pdf",
        "B1/x\n.pdf",
        "B1/\u202efdp",
        "x" * 1025,
    ],
)
def test_a_key_that_leads_out_of_the_store_is_refused(storage: Storage, key: str) -> None:
    uses: list[Callable[[], object]] = [
        lambda: storage.read(key, max_bytes=10),
        lambda: storage.write(key, b"x"),
        lambda: storage.write_file(key, Path(__file__)),
        lambda: storage.exists(key),
        lambda: storage.delete(key),
    ]
    for use in uses:
        with pytest.raises(AttachmentUnavailable) as error:
            use()
        assert len(key) < 2 or key not in str(error.value)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.text("ab./\\~\x00é", max_size=12))
def test_no_key_reads_a_file_outside_the_folder(tmp_path: Path, key: str) -> None:
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    (tmp_path / "a").write_bytes(b"secret")
    store = FolderStorage(root)
    try:
        store.write(key, b"inside")
        assert store.read(key, max_bytes=10) == b"inside"
        store.delete(key)
        assert not store.exists(key)
    except (AttachmentUnavailable, ProviderError):
        pass
    assert (tmp_path / "a").read_bytes() == b"secret"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "root"]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.pdf").write_bytes(b"secret")
    (root / "link.pdf").symlink_to("../secret.pdf")
    (root / "out").symlink_to(tmp_path)
    (root / "loop.pdf").symlink_to("loop.pdf")
    store = FolderStorage(root)
    for key in ("link.pdf", "out/secret.pdf", "loop.pdf"):
        with pytest.raises(AttachmentUnavailable):
            store.read(key, max_bytes=100)
    for use in (lambda: store.write("out/new.pdf", b"x"), lambda: store.delete("link.pdf")):
        with pytest.raises(AttachmentUnavailable):
            use()
    assert (tmp_path / "secret.pdf").exists()
    assert not (tmp_path / "new.pdf").exists()


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.pdf").write_bytes(b"content")
    (tmp_path / "link.pdf").symlink_to("real.pdf")
    assert FolderStorage(tmp_path).read("link.pdf", max_bytes=100) == b"content"


def test_what_is_not_a_plain_file_is_no_document(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for key in ("pipe", "folder"):
        with pytest.raises(AttachmentUnavailable):
            FolderStorage(tmp_path).read(key, max_bytes=100)


def test_a_folder_that_is_not_there_is_a_store_out_of_reach(tmp_path: Path) -> None:
    store = FolderStorage(tmp_path / "not-mounted")
    for use in (
        lambda: store.read(KEY, max_bytes=10),
        lambda: store.write(KEY, b"x"),
        lambda: store.exists(KEY),
        lambda: store.delete(KEY),
    ):
        with pytest.raises(ProviderError) as error:
            use()
        assert not error.value.permanent
    assert not (tmp_path / "not-mounted").exists()


def test_a_document_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "B1").mkdir()
    (tmp_path / "B1" / "factures").write_bytes(b"a file where a folder should be")
    with pytest.raises(ProviderError):
        FolderStorage(tmp_path).write(KEY, b"x")
    (tmp_path / "taken.pdf").mkdir()
    with pytest.raises(ProviderError):
        FolderStorage(tmp_path).write("taken.pdf", b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["B1", "taken.pdf"]


def told(endpoint: str, bucket: str = "documents") -> ProviderError:
    """What S3 at this address makes of reading KEY: the message waits, whatever it is."""
    store = S3Storage(bucket, region="eu-west-3", endpoint_url=endpoint)
    with contextlib.closing(store), pytest.raises(ProviderError) as error:
        store.read(KEY, max_bytes=1000)
    assert not error.value.permanent
    assert error.value.provider == "s3"
    return error.value


def test_a_bucket_that_does_not_exist_is_a_setting_to_correct(
    aws: str, bucket: Any, aws_credentials: None
) -> None:
    for name in ("no-such-bucket", "Impossible Name"):
        error = told(aws, name)
        assert error.code == "configuration"
        assert "STORAGE_URL" in str(error)


def test_a_document_that_may_not_be_read_names_the_rights_and_a_bad_key_the_credentials(
    aws: str, bucket: Any, powerless: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = told(aws)
    assert denied.code == "credentials"
    assert "s3:GetObject" in str(denied)
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        monkeypatch.setenv(name, "wrong")
        unknown = told(aws)
        assert unknown.code == "credentials"
        assert "identifiants" in str(unknown)


def test_without_credentials_the_role_is_to_be_looked_at(
    aws: str, bucket: Any, aws_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    error = told(aws)
    assert error.code == "credentials"
    assert "rôle" in str(error)


@pytest.mark.parametrize(
    ("status", "error_code", "code", "says"),
    [
        ("400 Bad", "ExpiredToken", "credentials", "expirés"),
        ("400 Bad", "InvalidToken", "credentials", "identifiants"),
        ("403 No", "RequestTimeTooSkewed", "credentials", "identifiants"),
        ("403 No", "AccessDenied", "credentials", "s3:GetObject"),
        ("400 Bad", "AuthorizationHeaderMalformed", "configuration", "?region="),
        ("400 Bad", "IllegalLocationConstraintException", "configuration", "?region="),
        ("301 Moved", "PermanentRedirect", "configuration", "?region="),
        ("404 No", "NoSuchBucket", "configuration", "n’existe pas"),
        ("503 Slow", "SlowDown", "throttled", "ralentir"),
        ("400 Bad", "RequestLimitExceeded", "throttled", "ralentir"),
        ("500 Oops", "InternalError", "connection", "injoignable"),
        ("503 Busy", "ServiceUnavailable", "connection", "injoignable"),
    ],
)
def test_what_s3_says_is_put_into_french_with_what_to_do(
    aws_credentials: None,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    error_code: str,
    code: str,
    says: str,
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)  # between botocore's three tries
    body = f"<Error><Code>{error_code}</Code><Message>no</Message></Error>".encode()
    answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    def play(client: socket.socket) -> None:
        while asked := client.recv(65536):
            # After a redirect botocore asks where the bucket is: not said either.
            nowhere = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
            client.sendall(nowhere if asked.startswith(b"HEAD") else answer)

    with serving(play) as port:
        error = told(f"http://127.0.0.1:{port}")
    assert error.code == code
    assert says in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart",
        b"HTTP/1.1 404 No\r\nContent-Length: 21\r\n\r\n<html>a portal</html>",
        b"HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\nbroken",
        b"",
    ],
)
def test_an_answer_that_is_cut_or_not_s3s_is_a_store_out_of_reach(
    aws_credentials: None, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)

    def play(client: socket.socket) -> None:
        client.recv(65536)
        client.sendall(answer)

    with serving(play) as port:
        assert told(f"http://127.0.0.1:{port}").code == "connection"


def test_throttling_that_passes_is_not_worth_a_word(
    aws_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    slow = (
        b"HTTP/1.1 503 Slow\r\nContent-Length: 37\r\n\r\n<Error><Code>SlowDown</Code></Error>\r\n"
    )
    answers = iter([slow, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\npdf"])

    def play(client: socket.socket) -> None:
        while client.recv(65536):
            client.sendall(next(answers))

    with serving(play) as port:
        store = S3Storage("documents", region="eu-west-3", endpoint_url=f"http://127.0.0.1:{port}")
        with contextlib.closing(store):
            assert store.read(KEY, max_bytes=1000) == b"pdf"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3:///x",
        "file://",
        "file:///",
        "file://host/x",
        "/srv",
        "s3://b?x=1",
        "ftp://h/x",
        "s3://[b",
    ],
)
def test_a_setting_that_names_no_store_is_refused_with_advice(url: str) -> None:
    with pytest.raises(SettingsError, match=re.escape("s3://compartiment")):
        open_storage(url)
