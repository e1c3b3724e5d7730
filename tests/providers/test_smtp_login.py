"""Who the SMTP provider says it is, and whom it says it to: AUTH and TLS."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.errors import ProviderError
from chalicelib.providers.mail import open_mail
from chalicelib.providers.mail.port import SENDER_WIDE_CODES, Accepted, Attachment, MailProvider
from chalicelib.providers.mail.smtp import SmtpProvider, SmtpSettings
from sandbox.smtp import SmtpSandbox
from tests.providers.conftest import Certificate
from tests.providers.mails import mail
from tests.providers.wire import Answer, serving, smtp

USER, PASSWORD = "lea@atelier.example", "s3cret/é"
URL = "lea%40atelier.example:s3cret%2F%C3%A9@127.0.0.1"


@contextlib.contextmanager
def provider(url: str) -> Iterator[MailProvider]:
    with contextlib.closing(open_mail(url)()) as opened:
        yield opened


def refused(sender: MailProvider) -> ProviderError:
    """The refusal, which must leave the message in the queue and say nothing secret."""
    with pytest.raises(ProviderError) as caught:
        sender.send(mail())
    assert not caught.value.permanent
    assert caught.value.code in SENDER_WIDE_CODES
    assert not any(secret in str(caught.value) for secret in ("s3cret", "lea", "@"))
    return caught.value


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpSandbox]:
    with SmtpSandbox(tmp_path, credentials=(USER, PASSWORD)) as sandbox:
        yield sandbox


def test_the_right_password_opens_the_door(server: SmtpSandbox) -> None:
    with provider(f"smtp://{URL}:{server.port}?tls=none") as sender:
        assert isinstance(sender.send(mail()), Accepted)


def test_a_wrong_password_is_not_the_recipients_fault(server: SmtpSandbox) -> None:
    with provider(f"smtp://lea:s3cret@127.0.0.1:{server.port}?tls=none") as sender:
        assert refused(sender).code == "credentials"
    assert server.accepted() == []


def test_a_password_that_is_suddenly_refused_keeps_messages_in_the_queue(
    server: SmtpSandbox,
) -> None:
    server.fail("refuse_auth", count=1)
    with provider(f"smtp://{URL}:{server.port}?tls=none") as sender:
        assert refused(sender).code == "credentials"
        assert isinstance(sender.send(mail()), Accepted)


def test_a_server_that_wants_a_password_is_told_that_there_is_none(server: SmtpSandbox) -> None:
    with provider(server.url) as sender:
        assert refused(sender).code == "configuration"


@pytest.mark.parametrize(
    ("extensions", "script", "code"),
    [
        (b"AUTH CRAM-MD5", {}, "configuration"),
        (b"SIZE 1000", {}, "configuration"),
        (b"AUTH PLAIN", {"auth": b"454 4.7.0 Temporary failure\r\n"}, "connection"),
        (b"AUTH PLAIN", {"auth": b"534 5.7.9 Application password needed\r\n"}, "credentials"),
        (b"AUTH PLAIN", {"auth": b"504 5.5.4 Not this way\r\n"}, "configuration"),
        (b"AUTH PLAIN", {"auth": b"334 \r\n"}, "connection"),
        (b"AUTH LOGIN", {"auth": b"535 5.7.8 lea@atelier.example: no\r\n"}, "credentials"),
        (b"AUTH PLAIN", {"auth": b"421 4.7.0 Too many attempts\r\n"}, "throttled"),
    ],
)
def test_a_login_that_fails_leaves_the_message_in_the_queue(
    extensions: bytes, script: dict[str, Answer], code: str
) -> None:
    ehlo = b"250-wire\r\n250 " + extensions + b"\r\n"
    with (
        serving(smtp(ehlo=ehlo, **script)) as port,
        provider(f"smtp://{URL}:{port}?tls=none") as sender,
    ):
        assert refused(sender).code == code


@pytest.mark.parametrize("extensions", [b"AUTH LOGIN", b"AUTH=LOGIN"])
def test_a_server_that_only_knows_auth_login_is_served_too(extensions: bytes) -> None:
    answers = {
        "ehlo": b"250-wire\r\n250 " + extensions + b"\r\n",
        "auth": b"334 VXNlcm5hbWU6\r\n",
        "bgvhqgf0zwxpzxiuzxhhbxbszq==": b"334 UGFzc3dvcmQ6\r\n",
        "cznjcmv0l8op": b"235 2.7.0 welcome\r\n",
    }
    with (
        serving(smtp(**answers)) as port,
        provider(f"smtp://{URL}:{port}?tls=none") as sender,
    ):
        assert sender.send(mail()).provider_id == "W1"


@pytest.mark.parametrize("implicit", [False, True])
def test_a_certificate_that_we_trust_is_accepted(
    tmp_path: Path, certificate: Certificate, implicit: bool
) -> None:
    with SmtpSandbox(
        tmp_path,
        credentials=(USER, PASSWORD),
        tls_context=certificate.context,
        implicit_tls=implicit,
    ) as server:
        scheme = "smtps" if implicit else "smtp"
        url = f"{scheme}://{URL}:{server.port}?ca_file={certificate.ca_file}"
        with provider(url) as sender:
            for _ in range(2):
                assert isinstance(sender.send(mail()), Accepted)
        assert server.connections == 1


def test_a_slow_reader_gets_the_whole_content_through_tls(certificate: Certificate) -> None:
    def slowly(client: socket.socket) -> None:
        client.sendall(b"354 go on\r\n")
        content = b""
        while not content.endswith(b"\r\n.\r\n") and (piece := client.recv(16_384)):
            content = content[-4:] + piece
            time.sleep(0.001)
        client.sendall(b"250 OK queued as W1\r\n")

    def encrypted(client: socket.socket) -> None:
        with certificate.context.wrap_socket(client, server_side=True) as wrapped:
            smtp(data=slowly)(wrapped)

    large = mail(attachments=(Attachment("a.pdf", bytes(4_000_000)),))
    with serving(encrypted) as port:
        url = f"smtps://127.0.0.1:{port}?ca_file={certificate.ca_file}"
        with provider(url) as sender:
            assert sender.send(large) == Accepted("W1")


@pytest.mark.parametrize("implicit", [False, True])
def test_a_certificate_that_nobody_vouches_for_is_refused_before_the_password(
    tmp_path: Path, certificate: Certificate, implicit: bool
) -> None:
    with SmtpSandbox(tmp_path, tls_context=certificate.context, implicit_tls=implicit) as server:
        scheme = "smtps" if implicit else "smtp"
        with provider(f"{scheme}://{URL}:{server.port}") as sender:
            assert refused(sender).code == "configuration"
        assert server.received() == []


def test_a_certificate_for_another_name_is_refused(
    tmp_path: Path, certificate: Certificate
) -> None:
    with SmtpSandbox(tmp_path, tls_context=certificate.context) as server:
        url = f"smtp://localhost:{server.port}?ca_file={certificate.ca_file}"
        with provider(url) as sender:
            assert refused(sender).code == "configuration"


def test_a_missing_file_of_authorities_is_a_matter_of_settings(
    tmp_path: Path, certificate: Certificate
) -> None:
    with SmtpSandbox(tmp_path, tls_context=certificate.context) as server:
        url = f"smtp://127.0.0.1:{server.port}?ca_file={tmp_path}/none.pem"
        with provider(url) as sender:
            assert refused(sender).code == "configuration"


def test_a_server_without_starttls_never_sees_the_password(server: SmtpSandbox) -> None:
    with provider(f"smtp://{URL}:{server.port}") as sender:
        assert refused(sender).code == "configuration"


def test_words_slipped_in_before_tls_are_not_taken_for_the_servers() -> None:
    answers = {
        "ehlo": b"250-wire\r\n250 STARTTLS\r\n",
        "starttls": b"220 go\r\n250 slipped in\r\n",
    }
    with serving(smtp(**answers)) as port, provider(f"smtp://127.0.0.1:{port}") as sender:
        assert refused(sender).code == "connection"


def test_a_handshake_that_stalls_ends_in_time() -> None:
    settings = SmtpSettings(host="127.0.0.1", port=1, tls="implicit")
    assert settings.call_timeout <= 60
    released = threading.Event()

    def stall(client: socket.socket) -> None:
        released.wait(2)

    with serving(stall) as port:
        quick = SmtpSettings(host="127.0.0.1", port=port, tls="implicit", connect_timeout=0.2)
        with contextlib.closing(SmtpProvider(quick)) as sender:
            assert refused(sender).code == "timeout"
        released.set()
