from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.proxy import Proxy


class Echo:
    """Answers each line with the same line."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.lines: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as lines:
            try:
                for line in lines:
                    self.lines.append(line)
                    client.sendall(line)
            except OSError:
                return

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo(socket.create_server(("127.0.0.1", 0)))
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.listener.getsockname()[:2]) as opened:
        yield opened


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(proxy.address, timeout=5) as opened:
        yield opened


def ask(client: socket.socket, line: bytes = b"hello\n") -> bytes:
    client.sendall(line)
    return client.recv(4096)


def lost(client: socket.socket) -> bool:
    """Whether a question gets no answer: silence, an end or a reset."""
    try:
        return ask(client) == b""
    except OSError:
        return True


def test_bytes_go_through_and_each_question_is_one_round_trip(
    proxy: Proxy, client: socket.socket
) -> None:
    for _ in range(3):
        assert ask(client) == b"hello\n"
    assert proxy.round_trips == 3
    assert proxy.connections == 1


def test_a_unix_socket_can_be_the_target() -> None:
    with tempfile.TemporaryDirectory() as folder:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(Path(folder) / "s"))
        listener.listen()
        server = Echo(listener)
        with (
            Proxy(str(Path(folder) / "s")) as proxy,
            socket.create_connection(proxy.address, timeout=5) as client,
        ):
            assert ask(client) == b"hello\n"
        server.close()


def test_a_cut_ends_every_connection_and_new_ones_work(proxy: Proxy, client: socket.socket) -> None:
    assert ask(client) == b"hello\n"
    proxy.cut()
    assert lost(client)
    with socket.create_connection(proxy.address, timeout=5) as other:
        assert ask(other) == b"hello\n"


def test_half_open_swallows_bytes_and_keeps_the_connection(
    proxy: Proxy, echo: Echo, client: socket.socket
) -> None:
    proxy.half_open = True
    client.settimeout(0.05)
    with pytest.raises(TimeoutError):
        ask(client)
    assert echo.lines == []


def test_a_frozen_connection_is_dead_while_a_new_one_lives(
    proxy: Proxy, client: socket.socket
) -> None:
    assert ask(client) == b"hello\n"
    proxy.freeze()
    client.settimeout(0.05)
    with pytest.raises(TimeoutError):
        ask(client)
    with socket.create_connection(proxy.address, timeout=5) as other:
        assert ask(other) == b"hello\n"


def test_refused_connections_are_taken_again_on_the_same_port(proxy: Proxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(proxy.address, timeout=5)
    proxy.accept()
    with socket.create_connection(proxy.address, timeout=5) as client:
        assert ask(client) == b"hello\n"


def test_latency_is_paid_once_for_each_round_trip(proxy: Proxy, client: socket.socket) -> None:
    proxy.latency = 0.05
    started = time.monotonic()
    ask(client)
    ask(client)
    assert 0.1 <= time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("failure", "delivered"), [("cut", 1), ("cut_answer", 2), ("half_open", 1)]
)
def test_a_failure_comes_at_the_burst_that_it_is_set_for(
    proxy: Proxy, echo: Echo, client: socket.socket, failure: str, delivered: int
) -> None:
    proxy.fail_at(2, failure)  # type: ignore[arg-type] # one of the failures
    client.settimeout(0.5)
    assert ask(client) == b"hello\n"
    assert lost(client)
    assert len(echo.lines) == delivered


def test_a_target_that_is_away_closes_the_connection_at_once(proxy: Proxy, echo: Echo) -> None:
    echo.close()
    with socket.create_connection(proxy.address, timeout=5) as client:
        assert client.recv(1) == b""
    echo.listener = socket.create_server(("127.0.0.1", 0))
