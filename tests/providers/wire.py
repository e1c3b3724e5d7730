"""Servers that say exactly what a test wants, byte by byte."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Conversation = Callable[[socket.socket], None]
Answer = bytes | Conversation | None


@contextlib.contextmanager
def serving(conversation: Conversation) -> Iterator[int]:
    """The port of a server that holds `conversation` with each client, then closes."""
    listener = socket.create_server(("127.0.0.1", 0))
    clients: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def hold(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            conversation(client)

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            clients.append(client)
            threads.append(threading.Thread(target=hold, args=(client,), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for client in clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def received(client: socket.socket, enough: Callable[[bytes], bool]) -> bytes:
    """What comes until it is enough. Raises `ConnectionError`, which ends the conversation, when
    the client closes before."""
    data = b""
    while not enough(data):
        piece = client.recv(65536)
        if not piece:
            raise ConnectionError("the client has closed before it said enough")
        data += piece
    return data


def http_request(client: socket.socket) -> tuple[bytes, bytes]:
    """One whole HTTP request: its head, and its body of the length that the head tells. Raises
    `ConnectionError`."""
    data = received(client, lambda data: b"\r\n\r\n" in data)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    left = length - len(body)
    return head, body + received(client, lambda data: len(data) >= left)


def until_closed(client: socket.socket) -> None:
    """Says nothing more, and waits for the client to give up."""
    while client.recv(65536):
        pass


def smtp(**answers: Answer | list[Answer]) -> Conversation:
    """An SMTP server with these answers for `greeting`, a command or `content`; None closes, and a
    list holds the answers to the first, second… time. What is not given is answered as it should
    be."""
    usual: dict[str, Answer | list[Answer]] = {
        "greeting": b"220 wire\r\n",
        "ehlo": b"250 wire\r\n",
        "data": b"354 go on\r\n",
        "content": b"250 2.0.0 Ok: queued as W1\r\n",
        "quit": b"221 bye\r\n",
    }
    usual.update(answers)

    def conversation(client: socket.socket) -> None:
        left = {point: list(chosen) for point, chosen in usual.items() if isinstance(chosen, list)}

        def answer(point: str) -> bytes:
            """What was said; nothing where the conversation is over."""
            chosen = usual.get(point, b"250 ok\r\n")
            if isinstance(chosen, list):
                chosen = left[point].pop(0) if left[point] else b"250 ok\r\n"
            if isinstance(chosen, bytes):
                client.sendall(chosen)
                return chosen
            if chosen is not None:
                chosen(client)
            return b""

        with client.makefile("rb") as lines:
            going_on = answer("greeting")
            while going_on and (line := lines.readline()):
                point = line.split()[0].decode().lower()
                going_on = answer(point)
                if point == "data" and going_on == b"354 go on\r\n":
                    while lines.readline() not in (b".\r\n", b""):
                        pass
                    going_on = answer("content")

    return conversation
