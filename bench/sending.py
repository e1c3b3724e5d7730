"""One round of sending, whoever sends: a sandbox of its own, how long it took, and who worked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import text

from bench.database import Server
from bench.ledgers import ready
from bench.measure import Measure
from bench.processes import Running, Took, client, processor_seconds
from bench.sample import Sample

Send = Callable[[str], tuple[float, float]]
"""Sends all, given what the sandbox said; seconds by the clock and of its own processor time."""
Arrived = Callable[[Path], Counter[Any]]
"""How often each message has arrived, by the journal of a sandbox's folder."""


def timed(
    server: Server,
    sandbox: AbstractContextManager[Running],
    arrived: Arrived,
    count: int,
    send: Send,
) -> Took:
    """What `send` takes. Each of `count` messages arrives, once."""
    with sandbox as running:
        before = processors(server, running)
        wall, own = send(running.said)
        after = processors(server, running)
    counts = arrived(running.folder)
    assert len(counts) == count, (len(counts), count)
    assert set(counts.values()) == {1}
    return Took(wall, own, after[0] - before[0], after[1] - before[1])


def drain(
    server: Server,
    sample: Sample,
    sandbox: AbstractContextManager[Running],
    arrived: Arrived,
    setting: Callable[[str], dict[str, str]],
    channel: Literal["email", "whatsapp"] = "email",
) -> Took:
    """The planned messages of the sample, by a run of `deliver_messages` in its own process.
    `setting`: the provider's, given what the sandbox said."""
    engine = ready(server, sample, channel)
    database = {"DATABASE_URL": server.address(sample).render_as_string(hide_password=False)}
    took = timed(
        server,
        sandbox,
        arrived,
        sample.due,
        lambda said: client("bench.deliverer", environment=database | setting(said)),
    )
    with engine.begin() as connection:
        found = connection.execute(
            text("SELECT DISTINCT state FROM ponctuel.messages WHERE run_id IS NOT NULL")
        )
        assert found.scalars().all() == ["accepted"]
    return took


def slowed(folder: Path, after: float) -> tuple[str, str]:
    """The option that has a sandbox take `after` so many seconds for each message."""
    control = folder / "faults"
    control.write_text(json.dumps([{"kind": "slow", "seconds": after}] if after else []))
    return "--control", str(control)


def answering(after: float) -> str:
    """How a table says it."""
    return f"after {after * 1000:.0f} ms" if after else "at once"


def ratio(name: str, others: Sequence[Took], ours: Sequence[Took], goal: float | None) -> Measure:
    """The others' time to ours, once per round; the round in the middle in full."""
    return Measure(
        name,
        [other.wall / mine.wall for other, mine in zip(others, ours, strict=True)],
        "×",
        goal,
        f"{_middle(others)} / {_middle(ours)}",
        bound="at least",
    )


def processors(server: Server, sandbox: Running) -> tuple[float, float]:
    """Processor seconds so far, of the sandbox and of PostgreSQL."""
    return processor_seconds(sandbox.pid), processor_seconds(server.pid())


def _middle(rounds: Sequence[Took]) -> Took:
    return sorted(rounds, key=lambda took: took.wall)[len(rounds) // 2]
