"""The floor of sending WhatsApp messages: a bare http.client loop over kept connections, without a
database.

`python -m bench.http_floor URL CONNECTIONS FOLDER` makes the requests of a sandbox's journal, which
are put together before the clock starts. URL: what WHATSAPP_URL takes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

from bench.processes import Stopwatch
from chalicelib.errors import ProviderError
from chalicelib.providers.https import NotSent
from chalicelib.providers.whatsapp import open_whatsapp
from chalicelib.providers.whatsapp.port import Template, WhatsAppMessage
from sandbox.whatsapp_journal import Entry, read_journal


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    body: bytes


class _Recorder:
    """Stands for a provider's HTTP client, and keeps what it would have sent."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def call(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> NoReturn:
        assert method == "POST"
        self.requests.append(Request(path, headers, body))
        raise NotSent("connection")


def requests(url: str, entries: Sequence[Entry]) -> list[Request]:
    """What the provider's adapter asks for these messages."""
    provider: Any = open_whatsapp(url)()
    recorder = _Recorder()
    provider._client = recorder
    for entry in entries:
        content = Template(entry.template, "fr", tuple(entry.variables.values()))
        with suppress(ProviderError):
            provider.send(WhatsAppMessage(entry.reference, entry.recipient, content))
    return recorder.requests


def main(url: str, connections: int, folder: Path) -> None:
    made = requests(url, read_journal(folder))
    address = urlsplit(parse_qs(urlsplit(url).query)["base_url"][0]).netloc

    def send(mine: Sequence[Request]) -> None:
        connection = HTTPConnection(address)
        for request in mine:
            connection.request("POST", request.path, request.body, dict(request.headers))
            answer = connection.getresponse()
            answer.read()
            assert answer.status < 300, answer.status
        connection.close()

    with ThreadPoolExecutor(connections) as pool, Stopwatch():
        list(pool.map(send, [made[first::connections] for first in range(connections)]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
