"""Sending what is planned against its floor: the same letters from a bare smtplib loop.

Both in turns through the same SMTP sandbox, over as many kept connections. The floor's letters are
those that the delivery sent before, composed already: it neither looks anything up nor records
anything. The delivery asks its guards, writes each letter and commits twice around each call.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import text

from bench.database import Server
from bench.ledgers import ready
from bench.measure import Measure, seconds
from bench.processes import Took, client, processor_seconds, running
from bench.sample import Sample
from chalicelib.settings import Settings
from sandbox.smtp_journal import deliveries

DRAINED = Sample("drained", 20_000, unpaid=5_000, due=5_000)
SMALL = Sample("drained_small", 800, unpaid=200, due=200)
GOAL = 0.8
CONNECTIONS = Settings.sending_concurrency.default


def measure(server: Server, *, quick: bool) -> Iterator[Measure]:
    """The floor's time to the delivery's, once per round."""
    sample, rounds = (SMALL, 2) if quick else (DRAINED, 3)
    floors, ours = [], []
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "written"
        drain(server, sample, written)
        for number in range(rounds):
            ours.append(drain(server, sample, Path(folder) / f"ours{number}"))
            floors.append(bare(sample, written, Path(folder) / f"floor{number}"))
    yield Measure(
        f"a bare smtplib loop / draining {sample.due} e-mails",
        [floor.wall / mine.wall for floor, mine in zip(floors, ours, strict=True)],
        "×",
        None if quick else GOAL,
        f"{seconds([f.wall for f in floors])} / {seconds([m.wall for m in ours])}; "
        f"processor: {floors[-1]} / {ours[-1]}",
        bound="at least",
    )


def drain(server: Server, sample: Sample, folder: Path) -> Took:
    """The planned messages of the sample, by a run of `deliver_messages` in its own process."""
    engine = ready(server, sample)
    with running("sandbox.smtp", folder=folder) as smtp:
        environment = {
            "DATABASE_URL": server.address(sample).render_as_string(hide_password=False),
            "MAIL_URL": f"smtp://127.0.0.1:{smtp.said}?tls=none",
        }
        before = (processor_seconds(smtp.pid), processor_seconds(server.pid()))
        wall, processor = client("bench.deliverer", environment=environment)
        took = Took(
            wall,
            processor,
            processor_seconds(smtp.pid) - before[0],
            processor_seconds(server.pid()) - before[1],
        )
    check(sample, folder)
    with engine.begin() as connection:
        states = connection.execute(
            text(
                "SELECT state, count(*) FROM ponctuel.messages WHERE run_id IS NOT NULL GROUP BY 1"
            )
        ).all()
    assert [tuple(row) for row in states] == [("accepted", sample.due)], states
    return took


def bare(sample: Sample, written: Path, folder: Path) -> Took:
    """The letters in `written`, by a loop that does nothing else."""
    with running("sandbox.smtp", folder=folder) as smtp:
        before = processor_seconds(smtp.pid)
        arguments = (smtp.said, str(CONNECTIONS), str(written))
        wall, processor = client("bench.smtp_floor", *arguments)
        took = Took(wall, processor, processor_seconds(smtp.pid) - before)
    check(sample, folder)
    return took


def check(sample: Sample, folder: Path) -> None:
    """Every letter has arrived, once."""
    counts = deliveries(folder)
    assert len(counts) == sample.due, len(counts)
    assert set(counts.values()) == {1}
