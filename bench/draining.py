"""Sending e-mails that are planned, against two others on the same server and the same sandbox.

- The floor: the same letters from a bare smtplib loop over as many kept connections. They are
  those that a delivery sent before, composed already; it neither looks anything up nor records
  anything. The delivery asks its guards, writes each letter, and has each of its calls in the
  ledger before and after.
- django-post_office, which queues in the database and renders on delivery, as we do. It reads
  nothing again before it sends, and notes the outcomes once per batch of 100: a death before that
  sends the batch again.

In turns, the three of them in each round. What is judged is a sandbox that answers at once; shown
besides is one that takes 20 ms to accept a letter, as WhatsApp's does: the least that a provider on
the Internet takes.
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
SLOWLY = Sample("drained_slowly", 4_000, unpaid=1_000, due=1_000)
SMALL = Sample("drained_small", 400, unpaid=100, due=100)
GOAL = 0.8
POST_OFFICE_GOAL = 2.0
POST_OFFICE = "bench_post_office"
ANSWER_S = 0.02
CONNECTIONS = Settings.sending_concurrency.default


def measure(server: Server, *, quick: bool) -> Iterator[Measure]:
    """The floor's time to the delivery's, and django-post_office's, once per round."""
    server.create(POST_OFFICE)
    for sample, after, judged in ((DRAINED, 0.0, True), (SLOWLY, ANSWER_S, False)):
        measured = SMALL if quick else sample
        floors, theirs, ours = _rounds(server, measured, after, 1 if quick else 3)
        what = f"draining {measured.due} e-mails, answers {sending.answering(after)}"
        goals = (GOAL, POST_OFFICE_GOAL) if judged and not quick else (None, None)
        yield sending.ratio(f"a bare smtplib loop / {what}", floors, ours, goals[0])
        yield sending.ratio(f"django-post_office / {what}", theirs, ours, goals[1])


def _rounds(
    server: Server, sample: Sample, after: float, rounds: int
) -> tuple[list[Took], list[Took], list[Took]]:
    """What the floor, django-post_office and the delivery take; the sandbox accepts a letter
    `after` so many seconds."""
    floors, theirs, ours = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        control = sending.slowed(folder, after)

        def sandbox(name: str) -> AbstractContextManager[Running]:
            return running("sandbox.smtp", *control, folder=folder / name)

        drain(server, sample, sandbox("letters"))
        for number in range(rounds):
            floors.append(bare(server, sample, folder / "letters", sandbox(f"floor{number}")))
            theirs.append(post_office(server, sample, sandbox(f"theirs{number}")))
            ours.append(drain(server, sample, sandbox(f"ours{number}")))
    return floors, theirs, ours


def drain(server: Server, sample: Sample, sandbox: AbstractContextManager[Running]) -> Took:
    """The planned e-mails of the sample, as production sends them."""

    def setting(port: str) -> dict[str, str]:
        return {"MAIL_URL": f"smtp://127.0.0.1:{port}?tls=none"}

    return sending.drain(server, sample, sandbox, deliveries, setting)


def bare(
    server: Server, sample: Sample, letters: Path, sandbox: AbstractContextManager[Running]
) -> Took:
    """The letters in a sandbox's folder, by a loop that does nothing else."""

    def send(port: str) -> tuple[float, float]:
        return client("bench.smtp_floor", port, str(CONNECTIONS), str(letters))

    return sending.timed(server, sandbox, deliveries, sample.due, send)


def post_office(server: Server, sample: Sample, sandbox: AbstractContextManager[Running]) -> Took:
    """As many letters from a template, queued before the clock starts."""
    where = (POST_OFFICE, str(server.url.query["unix_sock"]), str(sample.due))
    run("bench.post_office", "queue", "0", *where)

    def send(port: str) -> tuple[float, float]:
        return client("bench.post_office", "send", port, *where)

    return sending.timed(server, sandbox, deliveries, sample.due, send)
