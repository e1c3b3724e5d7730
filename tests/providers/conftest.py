"""Certificates and an AWS account for the tests of the providers."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest

from sandbox.dovecot import DovecotSandbox, absent
from sandbox.imap import ImapSandbox
from tests.certificates import server_context, sign


@dataclass(frozen=True)
class Certificate:
    """One for 127.0.0.1: the server's context, its file with the key, and the file of the authority
    that signed it."""

    context: ssl.SSLContext
    ca_file: Path
    pem: Path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificate")
    authority = sign("Autorité")
    ca_file = folder / "authority.pem"
    ca_file.write_text(authority.pem)
    context = server_context(folder, sign("sandbox", authority, host="127.0.0.1"))
    return Certificate(context, ca_file, folder / "server.pem")


@pytest.fixture
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that open nothing, and no other source of them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    """The address of a simulated AWS, one for each test process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@dataclass(frozen=True)
class Key:
    """An access key of the simulated AWS."""

    id: str
    secret: str


@pytest.fixture
def powerless(aws: str, aws_credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Key]:
    """Credentials that AWS knows and that have no right at all. While the test lasts, the simulated
    AWS looks at signatures and rights."""
    import boto3

    name = f"powerless-{uuid4().hex[:8]}"
    with closing(boto3.session.Session().client("iam", "eu-west-3", endpoint_url=aws)) as iam:
        iam.create_user(UserName=name)
        made = iam.create_access_key(UserName=name)["AccessKey"]
    key = Key(made["AccessKeyId"], made["SecretAccessKey"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key.secret)
    _calls_before_rights_count(aws, "0")
    yield key
    _calls_before_rights_count(aws, "inf")


def _calls_before_rights_count(aws: str, number: str) -> None:
    headers = {"Content-Type": "text/plain"}
    with urlopen(Request(f"{aws}/moto-api/reset-auth", number.encode(), headers)) as answer:
        assert answer.status == 200


@pytest.fixture(scope="session")
def dovecot_server(certificate: Certificate) -> Iterator[DovecotSandbox]:
    if reason := absent():
        pytest.skip(reason)
    with DovecotSandbox(certificate=certificate.pem) as dovecot:
        yield dovecot


@pytest.fixture
def dovecot(dovecot_server: DovecotSandbox) -> DovecotSandbox:
    """A real Dovecot whose mailbox `compta` is empty."""
    dovecot_server.empty("compta")
    return dovecot_server


@pytest.fixture(scope="session")
def pymap_server() -> Iterator[ImapSandbox]:
    with ImapSandbox() as server:
        yield server


@pytest.fixture
def pymap(pymap_server: ImapSandbox) -> ImapSandbox:
    """A real pymap whose mailbox is empty."""
    pymap_server.empty()
    return pymap_server
