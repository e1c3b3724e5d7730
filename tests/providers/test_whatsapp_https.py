"""The connection under the WhatsApp adapters: TLS, and whether a request may have been read."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
import tomllib
from pathlib import Path

import pytest

from chalicelib.providers import https
from chalicelib.providers.https import Answer, AnswerLost, HttpsClient, NotSent, usable
from chalicelib.providers.https_socket import NothingSent, TimedSocket
from tests.providers.conftest import Certificate
from tests.providers.wire import Conversation, received, serving, until_closed

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def post(client: HttpsClient, body: bytes = b"{}") -> Answer:
    return client.call("POST", "/messages", {"Authorization": "Bearer x"}, body)


def over_tls(certificate: Certificate, conversation: Conversation) -> Conversation:
    def play(client: socket.socket) -> None:
        with certificate.context.wrap_socket(client, server_side=True) as encrypted:
            conversation(encrypted)

    return play


def one_answer(kept: list[bytes], answer: bytes = OK) -> Conversation:
    def conversation(client: socket.socket) -> None:
        kept.append(received(client, lambda data: data.endswith(b"{}")))
        client.sendall(answer)

    return conversation


def test_over_tls_the_servers_certificate_is_verified(certificate: Certificate) -> None:
    kept: list[bytes] = []
    with serving(over_tls(certificate, one_answer(kept))) as port:
        url = f"https://127.0.0.1:{port}"
        with contextlib.closing(HttpsClient(url, ca_file=str(certificate.ca_file))) as client:
            assert post(client).status == 200
        with contextlib.closing(HttpsClient(url)) as client, pytest.raises(NotSent) as refused:
            post(client)
    assert refused.value.reason == "connection"
    assert len(kept) == 1  # nothing was sent to a stranger
    assert b"Host: 127.0.0.1:" in kept[0]


def test_a_certificate_for_another_name_is_refused(certificate: Certificate) -> None:
    kept: list[bytes] = []
    with serving(over_tls(certificate, one_answer(kept))) as port:
        client = HttpsClient(f"https://localhost:{port}", ca_file=str(certificate.ca_file))
        with contextlib.closing(client), pytest.raises(NotSent):
            post(client)
    assert kept == []


def test_a_truncated_answer_over_tls_is_lost(certificate: Certificate) -> None:
    cut = b'HTTP/1.1 201 OK\r\nContent-Length: 40\r\n\r\n{"sid": "SM'
    with serving(over_tls(certificate, one_answer([], cut))) as port:
        url = f"https://127.0.0.1:{port}"
        client = HttpsClient(url, ca_file=str(certificate.ca_file), call_timeout=2)
        with contextlib.closing(client), pytest.raises(AnswerLost):
            post(client)


def test_a_server_that_says_nothing_in_the_handshake_was_sent_nothing() -> None:
    with serving(until_closed) as port:
        client = HttpsClient(f"https://127.0.0.1:{port}", connect_timeout=0.2)
        with contextlib.closing(client), pytest.raises(NotSent) as refused:
            post(client)
    assert refused.value.reason == "timeout"


def test_the_whole_call_ends_in_time_however_slowly_the_server_reads_or_speaks() -> None:
    def reads_nothing(client: socket.socket) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        time.sleep(0.8)

    def drips(client: socket.socket) -> None:
        for byte in OK * 100:
            client.sendall(bytes([byte]))
            time.sleep(0.05)

    for conversation, body in ((reads_nothing, b"x" * 20_000_000), (drips, b"{}")):
        with serving(conversation) as port:
            client = HttpsClient(f"http://127.0.0.1:{port}", call_timeout=0.4)
            started = time.monotonic()
            with contextlib.closing(client), pytest.raises(AnswerLost):
                post(client, body)
            assert time.monotonic() - started < 0.7


def test_a_connection_is_kept_only_as_long_as_servers_keep_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connections = 0

    def conversation(client: socket.socket) -> None:
        nonlocal connections
        connections += 1
        while client.recv(65536).endswith(b"{}") or client.recv(65536):
            client.sendall(OK)

    with (
        serving(conversation) as port,
        contextlib.closing(HttpsClient(f"http://127.0.0.1:{port}")) as client,
    ):
        post(client)
        post(client)
        assert connections == 1
        monkeypatch.setattr(https, "MAX_IDLE_S", 0.0)
        post(client)
        assert connections == 2


def test_what_the_server_said_unasked_is_not_taken_for_an_answer() -> None:
    kept: list[bytes] = []
    usual = one_answer(kept)

    def talks_too_much(client: socket.socket) -> None:
        usual(client)
        time.sleep(0.05)
        client.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
        until_closed(client)

    with (
        serving(talks_too_much) as port,
        contextlib.closing(HttpsClient(f"http://127.0.0.1:{port}")) as client,
    ):
        first = post(client)
        time.sleep(0.2)
        assert [first.status, post(client).status] == [200, 200]
    assert len(kept) == 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "17"}, 17.0),
        ({"retry-after": "999999"}, 86_400.0),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sat, 21 Nov 2026 10:01:00 GMT"}, None),
        (
            {
                "retry-after": "Sat, 21 Nov 2026 10:01:00 GMT",
                "date": "Sat, 21 Nov 2026 10:00:00 GMT",
            },
            60.0,
        ),
        (
            {
                "retry-after": "Sat, 21 Nov 2026 10:01:00 GMT",
                "date": "Sat, 21 Nov 2026 11:00:00 GMT",
            },
            0.0,
        ),
    ],
)
def test_retry_after_is_seconds_or_a_date_after_the_answers_own(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert Answer(429, headers, b"").retry_after() == seconds


@pytest.mark.parametrize(
    "url",
    [
        "http://api.twilio.com",
        "http://127.0.0.1.evil.example",
        "https://",
        "https://user@api.twilio.com",
        "https://api.twilio.com/path",
        "https://api.twilio.com?x",
        "https://api.twilio.com:0",
        "https://api.twilio.com:99999",
        "ftp://127.0.0.1",
        "https://a b",
    ],
)
def test_only_https_and_the_loopback_are_called(url: str) -> None:
    assert not usable(url)
    with pytest.raises(ValueError, match="https"):
        HttpsClient(url)


def test_the_user_agent_is_this_version() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert f"ponctuel/{project['project']['version']}" == https.USER_AGENT


def test_tls_is_at_least_1_2() -> None:
    client = HttpsClient("https://api.twilio.com")
    context = client._trust()
    assert context is not None
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_write_that_fails_says_whether_the_content_had_begun_to_leave() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sock = TimedSocket(ours, time.monotonic() + 0.5)
        sock.sendall(b"POST / HTTP/1.1\r\n\r\n")
        with pytest.raises(TimeoutError):  # nobody reads: part of it is on its way
            sock.transmit(b"x" * 20_000_000)
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        sock = TimedSocket(ours, time.monotonic() + 5)
        sock.sendall(b"POST / HTTP/1.1\r\n\r\n")
        with pytest.raises(NothingSent) as nothing:
            sock.transmit(b"{}")
    assert isinstance(nothing.value.__cause__, BrokenPipeError)
