"""An HTTP server on the loopback that plays a WhatsApp provider, and misbehaves on demand.

What Twilio's and Meta's sandboxes have in common; see `whatsapp_twilio` and `whatsapp_meta`.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from sandbox.contracts import Contract
from sandbox.whatsapp_faults import OF_A_MESSAGE, Fault, FaultKind, FaultPlan
from sandbox.whatsapp_http import HTML, JSON, Handler, Manner, Reply, Request, Server
from sandbox.whatsapp_journal import Entry, Journal, read_journal

_MANNERS: dict[FaultKind, Manner] = {
    "accept_then_close": "nothing",
    "accept_then_cut": "half",
    "accept_then_silence": "silence",
    "accept_then_drip": "drip",
    "slow": "late",
}


class WhatsAppSandbox(ABC):
    """The server in threads of its own, from `with` to the end of the block.

    Accepts what the real provider accepts; with a `contract`, only what its public document allows.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        faults: Iterable[Fault] = (),
        seed: int = 0,
        control: Path | None = None,
        contract: Contract | None = None,
    ) -> None:
        self.folder = folder
        self.journal = Journal(folder)
        self.faults = FaultPlan(faults, seed=seed, control=control)
        self.contract = contract
        self.problems: list[str] = []  # what the contract had against the requests
        self.requests = 0  # since the start
        self.connections = 0
        self.stopped = threading.Event()
        self.open_sockets: set[socket.socket] = set()
        self._port = port
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        return self._server.server_address[1] if self._server else self._port

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fail(self, kind: FaultKind, **rule: Any) -> None:
        """Adds one rule; see `Fault`."""
        self.faults.add(Fault(kind, **rule))

    def heal(self) -> None:
        self.faults.replace(())

    def received(self) -> list[Entry]:
        return read_journal(self.folder)

    def accepted(self) -> list[Entry]:
        return [entry for entry in self.received() if entry.outcome == "accepted"]

    def drop_connections(self) -> None:
        """Closes every connection from the server's side, as an idle time-out does."""
        for sock in list(self.open_sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    @abstractmethod
    def answer(self, request: Request) -> Reply:
        """The provider's answer to one whole request."""

    @abstractmethod
    def error(self, code: int, status: int = 0) -> Reply:
        """The provider's way of telling an error."""

    def take(self, entry: Entry, accept: Callable[[], Reply]) -> Reply:
        """Writes the message to the journal and answers, unless a fault goes off. `accept` makes
        the answer to a message that was taken."""
        fault = self.faults.pick(OF_A_MESSAGE, entry.recipient)
        if fault is None:
            self.journal.add(entry)
            return accept()
        refused = self._refused(fault)
        if refused is not None:
            outcome = str(fault.code) if fault.kind == "refuse" else fault.kind
            self.journal.add(replace(entry, outcome=outcome, provider_id=""))
            return refused
        self.journal.add(replace(entry, fault=fault.kind))
        reply = accept()
        if fault.kind == "accept_then_server_error":
            return Reply(fault.status or 500, b"<html>Internal Server Error</html>", HTML)
        if fault.kind == "accept_then_html":
            return Reply(200, b"<html><body>Welcome to the portal</body></html>", HTML)
        if fault.kind == "accept_then_empty":
            return Reply(200, b"")
        return Reply(reply.status, reply.body, reply.headers, _MANNERS[fault.kind], fault.seconds)

    def _refused(self, fault: Fault) -> Reply | None:
        """The answer for a fault that accepts nothing."""
        if fault.kind == "refuse":
            return self.error(fault.code, fault.status)
        if fault.kind == "throttle":
            reply = self.error(fault.code, 429)
            return Reply(429, reply.body, {**reply.headers, "Retry-After": f"{fault.seconds:.0f}"})
        if fault.kind == "server_error":
            return Reply(fault.status or 500, b"<html>Service Unavailable</html>", HTML)
        if fault.kind == "redirect":
            return Reply(302, b"", {"Location": "https://elsewhere.invalid/"})
        if fault.kind == "error_inside":
            return Reply(200, self.error(fault.code).body, JSON)
        return None

    def __enter__(self) -> Self:
        class Bound(Handler):
            sandbox: WhatsAppSandbox = self

        self._server = Server(("127.0.0.1", self._port), Bound)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="whatsapp-sandbox", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stopped.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self.drop_connections()
            self._server.server_close()
