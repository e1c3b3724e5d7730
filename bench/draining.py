"""Sending e-mails that are planned, against two others on the same server and the same sandbox.

- The floor: the same letters from a bare smtplib loop over as many kept connections. They are
  those that a delivery sent before, composed already; it neither looks anything up nor records
  anything. The delivery asks its guards, writes each letter, and has each of its calls in the
  ledger before and after.
- django-post_office, which queues in the database and renders on delivery, as we do. It reads
  again nothing before it sends, and notes the outcomes once per batch of 100: a death before that
  sends the batch again.

In turns, the three of them in each round.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import text

from bench.database import Server
from bench.ledgers import ready
from bench.measure import Measure
from bench.processes import Running, Took, client, processor_seconds, run, running
from bench.sample import Sample
from chalicelib.settings import Settings
from sandbox.smtp_journal import deliveries

DRAINED = Sample("drained", 20_000, unpaid=5_000, due=5_000)
SMALL = Sample("drained_small", 800, unpaid=200, due=200)
GOAL = 0.8
POST_OFFICE_GOAL = 2.0
POST_OFFICE = "bench_post_office"
CONNECTIONS = Settings.sending_concurrency.default


def measure(server: Server, *, quick: bool) -> Iterator[Measure]:
    """The floor's time to the delivery's, and django-post_office's, once per round."""
    sample, rounds = (SMALL, 1) if quick else (DRAINED, 3)
    server.create(POST_OFFICE)
    floors, ours, theirs = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        ours.append(drain(server, sample, folder / "letters"))
        for number in range(rounds):
            floors.append(bare(server, sample, folder / "letters", folder / f"floor{number}"))
            theirs.append(post_office(server, sample, folder / f"theirs{number}"))
            ours.append(drain(server, sample, folder / f"ours{number}"))
    del ours[0]  # the first one warmed what the others find warm
    for name, others, goal in (
        ("a bare smtplib loop", floors, GOAL),
        ("django-post_office", theirs, POST_OFFICE_GOAL),
    ):
        yield Measure(
            f"{name} / draining {sample.due} e-mails",
            [other.wall / mine.wall for other, mine in zip(others, ours, strict=True)],
            "×",
            None if quick else goal,
            f"{middle(others)} / {middle(ours)}",
            bound="at least",
        )


def middle(rounds: Sequence[Took]) -> Took:
    """The round that took the median time."""
    return sorted(rounds, key=lambda took: took.wall)[len(rounds) // 2]


def drain(server: Server, sample: Sample, folder: Path) -> Took:
    """The planned messages of the sample, by a run of `deliver_messages` in its own process."""
    engine = ready(server, sample)

    def send(port: str) -> tuple[float, float]:
        environment = {
            "DATABASE_URL": server.address(sample).render_as_string(hide_password=False),
            "MAIL_URL": f"smtp://127.0.0.1:{port}?tls=none",
        }
        return client("bench.deliverer", environment=environment)

    took = _timed(server, sample, folder, send)
    with engine.begin() as connection:
        found = connection.execute(
            text("SELECT DISTINCT state FROM ponctuel.messages WHERE run_id IS NOT NULL")
        )
        assert found.scalars().all() == ["accepted"]
    return took


def bare(server: Server, sample: Sample, letters: Path, folder: Path) -> Took:
    """The letters in a sandbox's folder, by a loop that does nothing else."""
    arguments = (str(CONNECTIONS), str(letters))
    return _timed(server, sample, folder, lambda port: client("bench.smtp_floor", port, *arguments))


def post_office(server: Server, sample: Sample, folder: Path) -> Took:
    """As many letters with a template, queued before the clock starts."""
    where = (POST_OFFICE, str(server.url.query["unix_sock"]), str(sample.due))
    run("bench.post_office", "queue", "0", *where)
    return _timed(
        server, sample, folder, lambda port: client("bench.post_office", "send", port, *where)
    )


def _timed(
    server: Server, sample: Sample, folder: Path, send: Callable[[str], tuple[float, float]]
) -> Took:
    """What `send` takes, given the port of a sandbox of its own. Each letter arrives once."""
    with running("sandbox.smtp", folder=folder) as smtp:
        before = _processors(server, smtp)
        wall, own = send(smtp.said)
        sandbox, database = (
            after - start for after, start in zip(_processors(server, smtp), before, strict=True)
        )
    counts = deliveries(folder)
    assert len(counts) == sample.due, len(counts)
    assert set(counts.values()) == {1}
    return Took(wall, own, sandbox, database)


def _processors(server: Server, smtp: Running) -> tuple[float, float]:
    return processor_seconds(smtp.pid), processor_seconds(server.pid())
