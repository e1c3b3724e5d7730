"""Sending planned WhatsApp templates against a bare HTTP loop, through each provider's sandbox.

As `draining` does with e-mails: in turns, over as many kept connections; the floor's requests are
those that a delivery made before, without a database.

A sandbox that answers at once takes a third of a millisecond for a message, less than any ledger
takes to write one: that is shown. What is judged is the same with a sandbox that answers after
20 ms, the least that a provider on the Internet takes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from bench import sending
from bench.database import Server
from bench.draining import ANSWER_S, CONNECTIONS, GOAL
from bench.measure import Measure
from bench.processes import Running, Took, client, running
from bench.sample import Sample
from sandbox.whatsapp_journal import deliveries

DRAINED = Sample("whatsapp", 20_000, unpaid=5_000, due=5_000)
SLOWLY = Sample("whatsapp_slowly", 4_000, unpaid=1_000, due=1_000)
SMALL = Sample("whatsapp_small", 400, unpaid=100, due=100)
PROVIDERS = ("twilio", "meta")


def measure(server: Server, *, quick: bool) -> Iterator[Measure]:
    """The floor's time to the delivery's, once per round, for each provider."""
    rounds = 1 if quick else 3
    for provider in PROVIDERS:
        for sample, after, goal in ((DRAINED, 0.0, None), (SLOWLY, ANSWER_S, GOAL)):
            measured, judged = (SMALL, None) if quick else (sample, goal)
            floors, ours = rounds_of(server, measured, provider, after, rounds)
            name = f"a bare HTTP loop / draining {measured.due} messages, {provider} answering"
            yield sending.ratio(f"{name} {sending.answering(after)}", floors, ours, judged)


def rounds_of(
    server: Server, sample: Sample, provider: str, after: float, rounds: int
) -> tuple[list[Took], list[Took]]:
    """What the floor and the delivery take, in turns; the sandbox answers `after` so many
    seconds."""
    floors, ours = [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        control = sending.slowed(folder, after)

        def sandbox(name: str) -> AbstractContextManager[Running]:
            return running(
                "sandbox.whatsapp", provider, *control, folder=folder / name, said_in="--url-file"
            )

        drain(server, sample, sandbox("requests"))
        for number in range(rounds):
            floors.append(bare(server, sample, folder / "requests", sandbox(f"floor{number}")))
            ours.append(drain(server, sample, sandbox(f"ours{number}")))
    return floors, ours


def drain(server: Server, sample: Sample, sandbox: AbstractContextManager[Running]) -> Took:
    """The planned messages of the sample, as production sends them."""

    def setting(url: str) -> dict[str, str]:
        return {"WHATSAPP_URL": url}

    return sending.drain(server, sample, sandbox, deliveries, setting, channel="whatsapp")


def bare(
    server: Server, sample: Sample, written: Path, sandbox: AbstractContextManager[Running]
) -> Took:
    """The requests in a sandbox's journal, by a loop that does nothing else."""

    def send(url: str) -> tuple[float, float]:
        return client("bench.http_floor", url, str(CONNECTIONS), str(written))

    return sending.timed(server, sandbox, deliveries, sample.due, send)
