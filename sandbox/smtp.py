"""A real SMTP server on the loopback that keeps what it accepts and misbehaves on demand.

In a test:

    with SmtpSandbox(folder) as server:
        server.fail("accept_then_close", recipient="client7", count=1)

On its own, until it is stopped: `python -m sandbox.smtp --folder DIR [--port 0] [--port-file FILE]
[--control FILE]`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import ssl
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from sandbox.smtp_faults import Fault, FaultKind, FaultPlan
from sandbox.smtp_journal import Entry, Journal, read_journal

_AT_RECIPIENT: dict[FaultKind, str] = {
    "refuse_permanent": "550 5.1.1 No such mailbox",
    "refuse_temporary": "451 4.3.0 Try again later",
    "throttle": "421 4.7.0 Too many messages, closing",
}
_AFTER_CONTENT: dict[FaultKind, str] = {
    "too_large": "552 5.3.4 Message too big",
    "disk_full": "452 4.3.1 Insufficient system storage",
}
_AFTER_ACCEPTANCE: tuple[FaultKind, ...] = ("accept_then_silence", "accept_then_close", "slow")


class _Connection(SMTP):
    """One connection: aiosmtpd's, with the faults put in."""

    def __init__(self, sandbox: SmtpSandbox, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            sandbox,
            hostname="sandbox.invalid",
            ident="ponctuel sandbox",
            data_size_limit=sandbox.size_limit,
            tls_context=None if sandbox.implicit_tls else sandbox.tls_context,
            auth_require_tls=False,
            authenticator=sandbox.authenticate,
            loop=loop,
        )
        self._sandbox = sandbox

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._sandbox.open_connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._sandbox.open_connections.discard(self)
        super().connection_lost(error)

    async def hang_up(self) -> None:
        """Cuts the connection; `connection_lost` then cancels the task that waits here."""
        self.abort()
        await asyncio.Event().wait()

    def abort(self) -> None:
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    async def _handle_client(self) -> None:
        self._sandbox.faults.reread()
        if self._sandbox.faults.pick(["drop_at_connect"]):
            await self.hang_up()
        await super()._handle_client()

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802 - aiosmtpd looks for this name
        if self._sandbox.faults.pick(["refuse_auth"]):
            await self.push("535 5.7.8 Authentication credentials invalid")
        else:
            await super().smtp_AUTH(arg)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd looks for this name
        assert self.envelope is not None
        people = self.envelope.rcpt_tos
        fault = self._sandbox.faults.pick(["drop_before_data", "drop_in_data"], people)
        if fault is None or not people:
            await super().smtp_DATA(arg)
            return
        self._sandbox.journal.refuse(fault.kind, self.envelope.mail_from or "", people)
        if fault.kind == "drop_in_data":
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            await self._reader.read(64)
        await self.hang_up()


class SmtpSandbox:
    """The server in a thread of its own, from `with` to the end of the block.

    `credentials` (user, password) makes AUTH compulsory; `tls_context` offers STARTTLS, or with
    `implicit_tls` expects TLS from the start; `size_limit` is in bytes; `pipelining`: as nearly all
    servers do, it says that commands may come in groups (RFC 2920).
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        faults: Iterable[Fault] = (),
        seed: int = 0,
        control: Path | None = None,
        credentials: tuple[str, str] | None = None,
        tls_context: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        size_limit: int = 32 * 1024 * 1024,
        pipelining: bool = True,
    ) -> None:
        self.folder = folder
        self.host = "127.0.0.1"
        self.port = port
        self.faults = FaultPlan(faults, seed=seed, control=control)
        self.journal = Journal(folder)
        self.credentials = credentials
        self.tls_context = tls_context
        self.implicit_tls = implicit_tls
        self.size_limit = size_limit
        self.pipelining = pipelining
        self.open_connections: set[_Connection] = set()
        self.connections = 0  # since the start
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="smtp-sandbox", daemon=True)

    @property
    def url(self) -> str:
        """What `open_mail` takes, without the credentials."""
        return f"smtp://{self.host}:{self.port}?tls=none"

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
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result(5)

    def __enter__(self) -> SmtpSandbox:
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *exception: object) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        """Serves until the block ends; every connection is closed before it returns."""
        self._loop = asyncio.get_running_loop()
        server = await self._loop.create_server(
            self._connection,
            self.host,
            self.port,
            ssl=self.tls_context if self.implicit_tls else None,
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        await self._drop()
        with contextlib.suppress(TimeoutError):  # a client that has stopped in its TLS handshake
            await asyncio.wait_for(server.wait_closed(), 1)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:  # the port is taken
            self._failure = error
        finally:
            self._ready.set()

    def _connection(self) -> _Connection:
        self.connections += 1
        return _Connection(self, asyncio.get_running_loop())

    async def _drop(self) -> None:
        dropped = set(self.open_connections)
        for connection in dropped:
            connection.abort()
        while dropped & self.open_connections:
            await asyncio.sleep(0.001)

    # What aiosmtpd asks its handler.

    def authenticate(
        self, server: SMTP, session: Any, envelope: Any, mechanism: str, login: LoginPassword
    ) -> AuthResult:
        given = (login.login.decode(), login.password.decode())
        return AuthResult(success=given == self.credentials, handled=False)

    async def handle_EHLO(  # noqa: N802 - aiosmtpd looks for this name
        self,
        server: _Connection,
        session: Any,
        envelope: Any,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]] if self.pipelining else responses

    async def handle_MAIL(  # noqa: N802 - aiosmtpd looks for this name
        self, server: _Connection, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        self.faults.reread()
        if self.credentials and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        return "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd looks for this name
        self, server: _Connection, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        fault = self.faults.pick(_AT_RECIPIENT, [address])
        if fault is None:
            envelope.rcpt_tos.append(address)
            return "250 2.1.5 Ok"
        self.journal.refuse(fault.kind, envelope.mail_from, [address])
        if fault.kind == "throttle":
            await server.push(_AT_RECIPIENT[fault.kind])
            await server.hang_up()
        return _AT_RECIPIENT[fault.kind]

    async def handle_DATA(  # noqa: N802 - aiosmtpd looks for this name
        self, server: _Connection, session: Any, envelope: Any
    ) -> str:
        sender, people, content = envelope.mail_from, envelope.rcpt_tos, envelope.content
        fault = self.faults.pick((*_AFTER_CONTENT, *_AFTER_ACCEPTANCE), people)
        if fault is not None and fault.kind in _AFTER_CONTENT:
            self.journal.refuse(fault.kind, sender, people, content)
            return _AFTER_CONTENT[fault.kind]
        try:
            entry = self.journal.accept(sender, people, content, fault.kind if fault else "")
        except OSError:  # the disk really is full: nothing was kept, so nothing is accepted
            return _AFTER_CONTENT["disk_full"]
        if fault is not None and fault.kind == "accept_then_silence":
            await asyncio.Event().wait()  # until the client gives up, which cancels this
        elif fault is not None and fault.kind == "accept_then_close":
            await server.hang_up()
        elif fault is not None:
            await asyncio.sleep(fault.seconds)
        return f"250 2.0.0 Ok: queued as {entry.file.partition('-')[0]}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.smtp", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port-file", type=Path, help="written once the server answers")
    parser.add_argument("--control", type=Path, help="JSON list of faults, read at each message")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with SmtpSandbox(
        options.folder, port=options.port, seed=options.seed, control=options.control
    ) as server:
        print(
            f"SMTP sandbox on {server.host}:{server.port}, messages in {options.folder}", flush=True
        )
        if options.port_file is not None:
            part = options.port_file.with_suffix(".part")
            part.write_text(str(server.port))
            part.replace(options.port_file)
        stopped.wait()


if __name__ == "__main__":
    main()
