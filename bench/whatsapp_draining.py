"""Sending planned WhatsApp templates against a bare HTTP loop, through each provider's sandbox.

As `draining` does with e-mails: in turns, over as many kept connections; the floor's requests are
those that a delivery made before, without a database.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from bench import sending
from bench.database import Server
from bench.draining import CONNECTIONS, GOAL
from bench.measure import Measure
from bench.processes import Running, Took, client, running
from bench.sample import Sample
from sandbox.whatsapp_journal import deliveries

DRAINED = Sample("whatsapp", 20_000, unpaid=5_000, due=5_000)
SMALL = Sample("whatsapp_small", 400, unpaid=100, due=100)
PROVIDERS = ("twilio", "meta")


def measure(server: Server, *, quick: bool) -> Iterator[Measure]:
    """The floor's time to the delivery's, once per round, for each provider."""
    sample, rounds = (SMALL, 1) if quick else (DRAINED, 3)
    for provider in PROVIDERS:
        floors, ours = [], []
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            drain(server, sample, provider, folder / "requests")
            for number in range(rounds):
                written, into = folder / "requests", folder / f"floor{number}"
                floors.append(bare(server, sample, provider, written, into))
                ours.append(drain(server, sample, provider, folder / f"ours{number}"))
        name = f"a bare HTTP loop / draining {sample.due} WhatsApp messages by {provider}"
        yield sending.ratio(name, floors, ours, None if quick else GOAL)


def drain(server: Server, sample: Sample, provider: str, folder: Path) -> Took:
    """The planned messages of the sample, as production sends them."""

    def setting(url: str) -> dict[str, str]:
        return {"WHATSAPP_URL": url}

    sandbox = _sandbox(provider, folder)
    return sending.drain(server, sample, sandbox, deliveries, setting, channel="whatsapp")


def bare(server: Server, sample: Sample, provider: str, written: Path, folder: Path) -> Took:
    """The requests in a sandbox's journal, by a loop that does nothing else."""

    def send(url: str) -> tuple[float, float]:
        return client("bench.http_floor", url, str(CONNECTIONS), str(written))

    return sending.timed(server, _sandbox(provider, folder), deliveries, sample.due, send)


def _sandbox(provider: str, folder: Path) -> AbstractContextManager[Running]:
    return running("sandbox.whatsapp", provider, folder=folder, said_in="--url-file")
