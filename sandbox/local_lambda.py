"""Lambda on this machine: a fresh process per invocation, killed at the function's time limit.

Processes are forked from a warm server that has imported the jobs, and no more than a Lambda
container does: `app.py` is not imported there. An invocation is not retried when its handler
raises; the next tick takes up what it left.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal
from uuid import UUID

from chalicelib import jobs, logs
from chalicelib.runner import triggers
from chalicelib.runner.events import envelope
from sandbox.local_context import LocalContext

# What a Lambda that is no job gets (`scripts/config.py` has the deployed value).
TOOL_TIMEOUT_S = 900.0
# Another copy of the limit, in the process itself, for when this one is killed first.
BACKSTOP_S = 2.0

Handler = Callable[[Mapping[str, Any], Any], Any]
Outcome = Literal["returned", "raised", "timed_out", "died"]


@dataclass(frozen=True)
class Invocation:
    """How an invocation ended. `payload`: what the handler returned, None otherwise. `exit_code`:
    the process's, negative for a signal."""

    outcome: Outcome
    payload: Any = None
    exit_code: int | None = None


class LocalLambda:
    """Runs the functions named in `chalicelib.jobs`. `environment` is every process's, instead of
    this one's; `functions` adds handlers (`module:name`) with their time limit in seconds."""

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        functions: Mapping[str, tuple[str, float]] | None = None,
    ) -> None:
        self._environment = environment
        self._functions = {**_functions(), **(functions or {})}
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(
            ["sandbox.local_lambda", *sorted({h.split(":")[0] for h, _ in _functions().values()})]
        )
        self._running: dict[threading.Thread, Any] = {}
        self._lock = threading.Lock()
        self._closed = False

    def invoke(self, function: str, event: Mapping[str, Any]) -> Invocation:
        """A synchronous invocation: returns when the process has ended. Raises KeyError for a
        function that does not exist."""
        return self._invoke(function, event)

    def start(self, function: str, event: Mapping[str, Any]) -> None:
        """An asynchronous one: returns at once."""
        if function not in self._functions:
            raise KeyError(function)
        thread = threading.Thread(
            target=self._invoke, args=(function, event), name=f"lambda-{function}", daemon=True
        )
        with self._lock:
            if self._closed:
                return
            self._running[thread] = None
            thread.start()

    def idle(self) -> bool:
        """Whether nothing runs."""
        with self._lock:
            return not self._running

    def close(self, grace: float = 5.0) -> None:
        """Starts nothing more, lets what runs finish for `grace` seconds, then kills it."""
        with self._lock:
            self._closed = True
            threads = list(self._running)
        until = time.monotonic() + grace
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        with self._lock:
            left = [process for process in self._running.values() if process is not None]
        for process in left:
            process.kill()
        for thread in threads:
            thread.join(5)

    def __enter__(self) -> LocalLambda:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _invoke(self, function: str, event: Mapping[str, Any]) -> Invocation:
        handler, limit = self._functions[function]
        ours, theirs = self._processes.Pipe(duplex=False)
        environment = dict(os.environ if self._environment is None else self._environment)
        process = self._processes.Process(
            target=_run,
            args=(theirs, function, handler, dict(event), limit, environment),
            name=f"lambda-{function}",
        )
        thread = threading.current_thread()
        try:
            process.start()
            theirs.close()
            with self._lock:
                if thread in self._running:
                    self._running[thread] = process
            return self._follow(process, ours, function, limit)
        finally:
            ours.close()
            with self._lock:
                self._running.pop(thread, None)

    def _follow(
        self, process: Any, messages: Connection, function: str, limit: float
    ) -> Invocation:
        """Reads what the process says until it ends; kills it at the limit."""
        until = time.monotonic() + limit
        ended: Invocation | None = None
        try:
            while messages.poll(max(0.0, until - time.monotonic())):
                kind, value = messages.recv()
                if kind == "wake":
                    self.start(value["job"], envelope(**value))
                else:
                    ended = Invocation(kind, value)
        except EOFError:  # the process has closed its end, by ending
            process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            logs.error("lambda_timed_out", function=function, seconds=limit)
            process.kill()
            ended = Invocation("timed_out")
        process.join()
        if ended is None:
            logs.error("lambda_died", function=function, exit_code=process.exitcode)
            ended = Invocation("died")
        return Invocation(ended.outcome, ended.payload, process.exitcode)


class LocalTrigger:
    """Wakes a job as an asynchronous invocation does."""

    def __init__(self, functions: LocalLambda) -> None:
        self._functions = functions

    def wake(self, job: str, door: str, run_id: UUID | None) -> None:
        self._functions.start(job, envelope(job, door=door, run_id=run_id))


class _PipeTrigger:
    """Inside an invocation: waking is the parent's business, which outlives the process."""

    def __init__(self, messages: Connection) -> None:
        self._messages = messages

    def wake(self, job: str, door: str, run_id: UUID | None) -> None:
        self._messages.send(("wake", {"job": job, "door": door, "run_id": run_id}))


def _functions() -> dict[str, tuple[str, float]]:
    limits = {name: float(jobs.job(name).timeout_s) for name in jobs.NAMES}
    limits |= dict.fromkeys(jobs.TOOLS, TOOL_TIMEOUT_S)
    return {name: (f"chalicelib.jobs.{name}:handler", limit) for name, limit in limits.items()}


def _run(
    messages: Connection,
    function: str,
    handler: str,
    event: Mapping[str, Any],
    limit: float,
    environment: Mapping[str, str],
) -> None:
    """The whole life of an invocation's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the server's; it will close us
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limit + BACKSTOP_S)
    os.environ.clear()
    os.environ.update(environment)
    triggers.install(_PipeTrigger(messages))
    module, name = handler.split(":")
    context = LocalContext(function, limit)
    try:
        run: Handler = getattr(importlib.import_module(module), name)
        payload = run(event, context)
    except Exception as error:  # noqa: BLE001 - as Lambda: whatever the handler raises ends it here
        logs.error("lambda_raised", function=function, error=error)
        messages.send(("raised", None))
    else:
        messages.send(("returned", payload))
    messages.close()
