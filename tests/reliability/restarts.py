"""Half an hour of a database that is restarted, killed and cut off every few seconds, while ticks,
deliveries and manual runs go on.

The clock is ten times as fast as ours: the seconds between two misfortunes are simulated ones.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import make_url

from sandbox.proxy import Proxy
from tests.database import restart_server
from tests.harness import Deployment
from tests.reliability import knocking, unlucky
from tests.reliability.child import ended, event, spawn
from tests.reliability.recovery import recover
from tests.reliability.scenarios import SCENARIOS, at_all_hours
from tests.reliability.trial import Finding, child_environment

PROCESSES = 3
FASTER = 10
INTERVALS = (5.0, 40.0)  # simulated seconds between two misfortunes
BEATS = 4  # of the clock, in each interval
# More would be a surge (50 a day for a business), which is held for approval.
MOST_ADDED = 40

Misfortune = Callable[[Proxy, random.Random], None]


def _lose_an_answer(proxy: Proxy, draw: random.Random) -> None:
    proxy.fail_at(draw.randint(1, 30), "cut_answer")


MISFORTUNES: dict[str, Misfortune] = {
    "restarts": lambda _proxy, _draw: restart_server("fast"),
    "crashes": lambda _proxy, _draw: restart_server("immediate"),
    "cuts": lambda proxy, _draw: proxy.cut(),
    "silences": lambda proxy, _draw: proxy.freeze(),
    "lost_answers": _lose_an_answer,
}
WEIGHTS = (3, 3, 2, 1, 2)


def trial(
    deployment: Deployment, job: str, case: str, draw: random.Random, *, minutes: float = 30
) -> Finding:
    """`minutes`: simulated ones. The server must be this process's own (`restart_server`), and
    durable."""
    scenario = SCENARIOS[job]
    scenario.load(deployment)
    at_all_hours(deployment)
    expected, passed = set(scenario.expected), 0.0
    done: Counter[str] = Counter()
    deployment.execute("CREATE TABLE IF NOT EXISTS ponctuel.committed (nth int)")
    with _proxied(deployment) as proxy, _company(proxy, deployment, job, draw):
        while passed < 60 * minutes:
            nth = done.total()
            if nth < MOST_ADDED:
                expected |= scenario.add(deployment, nth)
            interval = draw.uniform(*INTERVALS)
            _let_pass(deployment, interval)
            passed += interval
            deployment.execute("INSERT INTO ponctuel.committed VALUES (:nth)", nth=nth)
            (name,) = draw.choices(list(MISFORTUNES), WEIGHTS)
            MISFORTUNES[name](proxy, draw)
            done[name] += 1
            deployment.database.close()  # our own connection does not outlive it either
            (kept,) = deployment.rows("SELECT count(*) AS n FROM ponctuel.committed")
            assert kept["n"] == nth + 1, f"a commit did not outlive one of the {name}"
    deployment.execute("DROP TABLE ponctuel.committed")
    # An item that was locked, or a run that failed three times, is taken up by the next slot.
    recover(deployment, job)
    deployment.advance_to_slot("followups")
    deployment.tick("followups", hours=0)
    recover(deployment, job)
    runs = len(deployment.rows("SELECT id FROM ponctuel.runs WHERE finished_at IS NOT NULL"))
    found = scenario.verify(deployment, expected)
    return Finding.of(found, minutes=round(minutes), runs=runs, **done)


def _let_pass(deployment: Deployment, seconds: float) -> None:
    """That many simulated seconds."""
    for _ in range(BEATS):
        time.sleep(seconds / BEATS / FASTER)
        deployment.database.advance(timedelta(seconds=seconds / BEATS * (1 - 1 / FASTER)))


@contextmanager
def _proxied(deployment: Deployment) -> Iterator[Proxy]:
    with Proxy(str(make_url(deployment.database.url).query["unix_sock"])) as proxy:
        yield proxy


@contextmanager
def _company(proxy: Proxy, deployment: Deployment, job: str, draw: random.Random) -> Iterator[None]:
    """Processes that work through the proxy as long as the block lasts."""
    stop = event()
    url = make_url(deployment.database.url).set(host=proxy.host, port=proxy.port, query={})
    environment = child_environment(
        DATABASE_URL=url.render_as_string(hide_password=False), CRON_SECRET=knocking.SECRET
    )
    children = [
        spawn(unlucky.main, environment, job, f"{draw.random()}", stop) for _ in range(PROCESSES)
    ]
    try:
        yield
        assert all(child.is_alive() for child in children), "a process has ended before its time"
    except BaseException:
        for child in children:
            child.kill()
        raise
    stop.set()
    assert [ended(child) for child in children] == [0] * PROCESSES
