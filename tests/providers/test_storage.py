from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.errors import AttachmentUnavailable, ProviderError, SettingsError
from chalicelib.providers.storage import open_storage
from chalicelib.providers.storage.folder import FolderStorage
from chalicelib.providers.storage.port import Storage
from chalicelib.providers.storage.s3 import S3Storage
from tests.providers.wire import serving

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
    for use in (lambda: storage.read(key, max_bytes=10), lambda: storage.write(key, b"x")):
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
    with pytest.raises(AttachmentUnavailable):
        store.write("out/new.pdf", b"x")
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
    for use in (lambda: store.read(KEY, max_bytes=10), lambda: store.write(KEY, b"x")):
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


def test_a_bucket_out_of_reach_or_missing_leaves_the_message_in_the_queue(
    aws: str, bucket: Any, aws_credentials: None
) -> None:
    def cut(client: socket.socket) -> None:
        client.recv(65536)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")

    def denied(client: socket.socket) -> None:
        client.recv(65536)
        body = b"<Error><Code>AccessDenied</Code></Error>"
        client.sendall(b"HTTP/1.1 403 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with serving(cut) as cutting, serving(denied) as denying:
        for endpoint, name, code in (
            (aws, "no-such-bucket", "configuration"),
            (f"http://127.0.0.1:{cutting}", "documents", "connection"),
            (f"http://127.0.0.1:{denying}", "documents", "credentials"),
        ):
            store = S3Storage(name, region="eu-west-3", endpoint_url=endpoint)
            with pytest.raises(ProviderError) as error:
                store.read(KEY, max_bytes=1000)
            assert (error.value.code, error.value.permanent) == (code, False)
            store.close()


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
