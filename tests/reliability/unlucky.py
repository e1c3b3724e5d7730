"""What runs in a child of the restarts: any job, through any door, again and again, while the
database comes and goes. Only what nobody may see from outside ends it: an error of another sort."""

from __future__ import annotations

import multiprocessing.synchronize as synchronize
import random
import time

import pytest

import app
from chalicelib import jobs
from chalicelib.errors import DatabaseUnavailable
from chalicelib.runner import triggers
from sandbox.http import Api
from tests.reliability.child_body import settle_in
from tests.reliability.knocking import CALLS, HEADERS, Here
from tests.reliability.wire import hurry

# A restart takes a second or so: the waits of production, which outlive it, are still to do so.
SLEEPS = 4
DOORS = ("tick", "tick", "tick", "http", "cli")
# Done, going on, or a database that cannot be used; a door that is closed would be another.
ANSWERS = (200, 202, 500, 503)


def main(environment: dict[str, str], job: str, seed: str, stop: synchronize.Event) -> None:
    settle_in(environment)
    hurry(pytest.MonkeyPatch(), SLEEPS)
    triggers.install(Here())
    draw = random.Random(seed)
    while not stop.is_set():
        chosen = draw.choice((job, job, *jobs.NAMES))
        try:
            _call(draw.choice(DOORS), chosen)
        except DatabaseUnavailable:
            time.sleep(draw.uniform(0.05, 0.3))
        time.sleep(draw.uniform(0, 0.1))


def _call(door: str, job: str) -> None:
    if door != "http":
        CALLS[door](job)
        return
    reply = Api(app.app).call("POST", f"/jobs/{job}/runs", headers=HEADERS, body={"wait": 0})
    assert reply.status in ANSWERS, reply.body
