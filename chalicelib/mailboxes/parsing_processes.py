"""Parsing in processes of their own, where there are cores for them: one runs one thread at a time.

They are plain child processes that read and write their pipes: Lambda has no shared memory, which
`multiprocessing`'s pools need. A child that dies takes no e-mail with it: those that it had stay
pending, and are parsed one by one later.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import IO, Any, Self

from chalicelib import logs
from chalicelib.mailboxes.parsed_rows import Raw, Read, read

# Fewer are parsed sooner than they are sent.
WORTH = 40
# More children than that wait for the one connection to the database.
MOST = 3
# Bytes on their way, where the system allows it: or each 64 kB of a mail would wake the other side.
PIPE = 1_000_000
_LENGTH = 8
_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")


class Processes:
    """`count` children, started when they are first worth it, ended with the block."""

    def __init__(self, count: int | None = None) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        self._count = min(cores, MOST) if count is None else count
        self._children: list[subprocess.Popen[bytes]] = []
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        for child in self._children:
            _end(child)

    def read(self, business_id: str, raws: Sequence[Raw]) -> list[Read] | None:
        """As `parsed_rows.read` with the parser of `chalicelib.mail`; None when it is better done
        here: there is one core only, they are few, or the children are busy."""
        if self._count < 2 or len(raws) < WORTH or not self._turn.acquire(blocking=False):
            return None
        try:
            self._start()
            count = len(self._children)
            shares = [raws[start::count] for start in range(count)]
            for child, share in zip(self._children, shares, strict=True):
                threading.Thread(target=_ask, args=(child, business_id, share), daemon=True).start()
            found: list[Read] = []
            for child, share in zip(list(self._children), shares, strict=True):
                found += self._answer(child, share)
            return sorted(found, key=lambda one: one.email_id)
        finally:
            self._turn.release()

    def _start(self) -> None:
        self._children = [child for child in self._children if child.poll() is None]
        while len(self._children) < self._count:
            self._children.append(
                subprocess.Popen(  # noqa: S603 - our own module, and nothing of a mail's
                    [sys.executable, "-c", f"from {__name__} import serve; serve()"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=_environment(),
                )
            )
            _widen(self._children[-1])

    def _answer(self, child: subprocess.Popen[bytes], share: Sequence[Raw]) -> list[Read]:
        assert child.stdout is not None
        try:
            answer: list[Read] = _receive(child.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            logs.error("parser_died", error=error)
            self._children.remove(child)
            _end(child)
            return [Read(raw.email_id, error="ParserDied") for raw in share]
        return answer


def _widen(child: subprocess.Popen[bytes]) -> None:
    if not hasattr(fcntl, "F_SETPIPE_SZ"):  # macOS
        return
    for pipe in (child.stdin, child.stdout):
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)  # type: ignore[arg-type]  # they are pipes


def _environment() -> dict[str, str]:
    """What Python needs, and no secret: foreign e-mails are read there."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(sys.path)}


def serve() -> None:
    """The child: answers until its input ends."""
    from chalicelib.mail.parse import parse

    while True:
        try:
            business_id, raws = _receive(sys.stdin.buffer)
        except EOFError:
            return
        found = [
            replace(one, error=type(one.error).__name__) if one.error is not None else one
            for one in read(business_id, raws, parse)
        ]
        _send(sys.stdout.buffer, found)


def _ask(child: subprocess.Popen[bytes], business_id: str, share: Sequence[Raw]) -> None:
    assert child.stdin is not None
    with contextlib.suppress(OSError):  # it has died: its answer tells
        _send(child.stdin, (business_id, list(share)))


def _send(pipe: IO[bytes], message: Any) -> None:
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.write(len(data).to_bytes(_LENGTH, "big"))
    pipe.write(data)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    length = pipe.read(_LENGTH)
    if len(length) < _LENGTH:
        raise EOFError
    # From our own child, whose words are ours.
    return pickle.loads(pipe.read(int.from_bytes(length, "big")))  # noqa: S301


def _end(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    try:
        child.wait(1)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
