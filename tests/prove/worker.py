"""One worker of `make prove`: a PostgreSQL and a mail server of its own, one trial after the other.

Reads seeds from its standard input, one per line, and answers each with a line of JSON. When its
input ends, for whatever reason, it stops what it has started, removes its folder and is gone.

    python -m tests.prove.worker LOG JOB…
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

import psutil  # type: ignore[import-untyped]  # it has no stubs
import pytest

from tests import database as databases
from tests.harness import Deployment, deployed
from tests.prove.proofs import BY_NAME
from tests.prove.seeds import Seed
from tests.reliability.points import passes
from tests.reliability.trial import Finding


class Bench:
    """The deployment that trials share: as new before each, and made anew after a failure."""

    def __init__(self, server: databases.Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._stack = ExitStack()
        self._built = 0
        self.deployment = self._build()

    def rebuild(self) -> None:
        """Ends the children that a trial has left, and gives the next one another database."""
        end_children()
        self._stack.close()
        self.deployment = self._build()

    def close(self) -> None:
        self._stack.close()

    def _build(self) -> Deployment:
        self._built += 1
        database = self._stack.enter_context(self._server.database())
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        folder = self._folder / f"deployment-{self._built}"
        return self._stack.enter_context(deployed(database, folder, patch))


def main() -> None:
    """See the module."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the controller's
    log, names = Path(sys.argv[1]), sys.argv[2:]
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, sys.stdout.fileno())
    os.dup2(descriptor, sys.stderr.fileno())
    os.environ["TEST_LOG"] = str(log)
    databases.name_directory()
    seeds: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(seeds,), daemon=True).start()
    server = databases.obtain_server(durable=True)
    bench = Bench(server, Path(os.environ[databases.DIRECTORY]))
    points = {name: sorted(passes(bench.deployment, name)) for name in names}
    _tell(answers, {"ready": True, "points": points, "postgresql": _version(bench.deployment)})
    while True:
        seed = Seed.parse(seeds.get())
        # Not before the next seed is there: the log of the trial before is kept until then.
        os.ftruncate(descriptor, 0)
        _tell(answers, _tried(bench, seed))


def _tried(bench: Bench, seed: Seed) -> dict[str, Any]:
    begun = time.monotonic()
    finding, error = Finding(Counter()), None
    try:
        bench.deployment.reset()
        trial = BY_NAME[seed.proof].trial
        finding = trial(bench.deployment, seed.job, seed.case, random.Random(str(seed)))
    except Exception as failure:  # noqa: BLE001 - whatever it is, it is the trial's failure
        traceback.print_exc()
        error = f"{type(failure).__name__}: {failure}"[:2000]
    if error is not None or not finding.passed:
        sys.stderr.write(_server_log())
        sys.stderr.flush()
        bench.rebuild()
    return {
        "seed": str(seed),
        "seconds": round(time.monotonic() - begun, 3),
        "wrong": dict(finding.wrong),
        "uncertain": finding.uncertain,
        "bound": finding.bound,
        "done": dict(finding.done),
        "error": error,
    }


def _tell(answers: TextIO, line: dict[str, Any]) -> None:
    answers.write(json.dumps(line, ensure_ascii=False) + "\n")


def _server_log() -> str:
    """The end of PostgreSQL's log, which is kept with the failure."""
    log = Path(os.environ[databases.DIRECTORY]) / "data" / "log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-60:]) + "\n"


def _version(deployment: Deployment) -> str:
    return str(deployment.rows("SHOW server_version")[0]["server_version"])


def _listen(seeds: SimpleQueue[str]) -> None:
    for line in sys.stdin:
        seeds.put(line.strip())
    # Whatever the main thread is in the middle of: nobody waits for it any more.
    _leave()


def _leave() -> None:
    directory = Path(os.environ[databases.DIRECTORY])
    end_children()
    databases.discard_server()
    for process in psutil.process_iter(["cmdline"]):
        # A server that was just being restarted.
        if str(directory / "data") in (process.info["cmdline"] or []):
            process.kill()
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(0)


def end_children() -> None:
    """Kills what this process has started, stopped processes included; not the fork server nor
    multiprocessing's own tracker, which end with us."""
    for process in psutil.Process().children(recursive=True):
        try:
            of_python = any("multiprocessing" in word for word in process.cmdline())
            if not (of_python and process.ppid() == os.getpid()):
                process.kill()
        except psutil.NoSuchProcess:
            continue


if __name__ == "__main__":
    main()
