"""A database behind a proxy that can be made to fail, with waits as in production, but shorter."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, event, make_url

from chalicelib.db import engine as database_engine
from chalicelib.outbox import lane, recording
from chalicelib.runner import engine, invocation
from sandbox.proxy import Proxy
from tests.harness import Deployment

# Every wait is as in production, forty times shorter.
SHORTER = 40
SOCKET_TIMEOUT_S = database_engine.SOCKET_TIMEOUT_S / SHORTER


@dataclass
class Wire:
    """What stands between the handlers and the server; the test itself goes straight there."""

    deployment: Deployment
    proxy: Proxy
    direct: str
    through: str

    def tick(self, job: str, **options: Any) -> None:
        """A tick whose database is behind the proxy."""
        os.environ["DATABASE_URL"] = self.through
        try:
            self.deployment.tick(job, **options)
        finally:
            os.environ["DATABASE_URL"] = self.direct
            # A run that ended early leaves failures that were meant for it.
            self.proxy.forget_failures()


@contextmanager
def wired(deployment: Deployment) -> Iterator[Wire]:
    """The deployment's database behind a proxy, and short waits, as long as the block lasts."""
    direct = deployment.database.url
    url = make_url(direct)
    unix = url.query.get("unix_sock")
    target = str(unix) if unix else (str(url.host), url.port or 5432)
    with pytest.MonkeyPatch.context() as patch, Proxy(target) as proxy:
        hurry(patch)
        through = url.set(host=proxy.host, port=proxy.port, query={})
        yield Wire(deployment, proxy, direct, through.render_as_string(hide_password=False))


def hurry(patch: pytest.MonkeyPatch, sleeps: float = SHORTER) -> None:
    """Time-outs on the database are SHORTER in this process, and the waits for it to come back
    `sleeps` times shorter."""
    patch.setattr(invocation, "make_engine", _make_engine)
    for name in ("IDLE_IN_TRANSACTION_MS", "LOCK_TIMEOUT_MS"):
        patch.setattr(database_engine, name, getattr(database_engine, name) // SHORTER)
    for module in (engine, lane, recording):
        patch.setattr(module, "time", Hurried(sleeps))


def _make_engine(*arguments: Any, **options: Any) -> Engine:
    """With the short time-out, and without the 40 ms that Nagle's algorithm and a delayed
    acknowledgement cost each statement of more than 8 KiB on a loopback."""
    made = database_engine.make_engine(
        *arguments, **options | {"socket_timeout_s": SOCKET_TIMEOUT_S}
    )

    def send_at_once(connection: Any, _record: object) -> None:
        if connection._usock.family == socket.AF_INET:
            connection._usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    event.listen(made, "connect", send_at_once)
    return made


@dataclass(frozen=True)
class Hurried:
    """The module `time`, whose sleeps are `factor` times shorter."""

    factor: float = SHORTER
    monotonic = staticmethod(time.monotonic)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self.factor)
