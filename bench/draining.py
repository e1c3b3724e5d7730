"""Sending e-mails that are planned, against two others on the same server and the same sandbox.

- The floor: the same letters from a bare smtplib loop over as many kept connections. They are
  those that a delivery sent before, composed already; it neither looks anything up nor records
  anything. The delivery asks its guards, writes each letter, and has each of its calls in the
  ledger before and after.
- django-post_office, which queues in the database and renders on delivery, as we do. It reads
  nothing again before it sends, and notes the outcomes once per batch of 100: a death before that
  sends the batch again.

In turns, the three of them in each round.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from bench import sending
from bench.database import Server
from bench.measure import Measure
from bench.processes import Running, Took, client, run, running
from bench.sample import Sample
from chalicelib.settings import Settings
from sandbox.smtp_journal import deliveries

DRAINED = Sample("drained", 20_000, unpaid=5_000, due=5_000)
SMALL = Sample("drained_small", 400, unpaid=100, due=100)
GOAL = 0.8
POST_OFFICE_GOAL = 2.0
POST_OFFICE = "bench_post_office"
CONNECTIONS = Settings.sending_concurrency.default


def measure(server: Server, *, quick: bool) -> Iterator[Measure]:
    """The floor's time to the delivery's, and django-post_office's, once per round."""
    sample, rounds = (SMALL, 1) if quick else (DRAINED, 3)
    server.create(POST_OFFICE)
    floors, theirs, ours = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        drain(server, sample, folder / "letters")
        for number in range(rounds):
            floors.append(bare(server, sample, folder / "letters", folder / f"floor{number}"))
            theirs.append(post_office(server, sample, folder / f"theirs{number}"))
            ours.append(drain(server, sample, folder / f"ours{number}"))
    what = f"draining {sample.due} e-mails"
    yield sending.ratio(f"a bare smtplib loop / {what}", floors, ours, None if quick else GOAL)
    yield sending.ratio(
        f"django-post_office / {what}", theirs, ours, None if quick else POST_OFFICE_GOAL
    )


def drain(server: Server, sample: Sample, folder: Path) -> Took:
    """The planned e-mails of the sample, as production sends them."""

    def setting(port: str) -> dict[str, str]:
        return {"MAIL_URL": f"smtp://127.0.0.1:{port}?tls=none"}

    return sending.drain(server, sample, _sandbox(folder), deliveries, setting)


def bare(server: Server, sample: Sample, letters: Path, folder: Path) -> Took:
    """The letters in a sandbox's folder, by a loop that does nothing else."""

    def send(port: str) -> tuple[float, float]:
        return client("bench.smtp_floor", port, str(CONNECTIONS), str(letters))

    return sending.timed(server, _sandbox(folder), deliveries, sample.due, send)


def post_office(server: Server, sample: Sample, folder: Path) -> Took:
    """As many letters from a template, queued before the clock starts."""
    where = (POST_OFFICE, str(server.url.query["unix_sock"]), str(sample.due))
    run("bench.post_office", "queue", "0", *where)

    def send(port: str) -> tuple[float, float]:
        return client("bench.post_office", "send", port, *where)

    return sending.timed(server, _sandbox(folder), deliveries, sample.due, send)


def _sandbox(folder: Path) -> AbstractContextManager[Running]:
    return running("sandbox.smtp", folder=folder)
