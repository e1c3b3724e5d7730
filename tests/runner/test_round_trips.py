"""An empty run on the wire: a schedule that mostly finds nothing must cost next to nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import make_url

from chalicelib import jobs
from chalicelib.db.engine import PING_AFTER_S
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.work import work
from sandbox.proxy import Proxy
from tests.harness import Deployment

# The ping of an idle connection included. A pooler or a database at 20 ms: 160 ms.
EMPTY_RUN = 8


@pytest.fixture
def proxy(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    url = make_url(deployment.database.url)
    with Proxy(str(url.query["unix_sock"])) as proxy:
        through = url.set(host=proxy.host, port=proxy.port, query={})
        monkeypatch.setenv("DATABASE_URL", through.render_as_string(hide_password=False))
        yield proxy


@pytest.mark.parametrize("name", jobs.NAMES)
def test_a_run_that_finds_nothing_is_eight_round_trips(
    deployment: Deployment, proxy: Proxy, name: str
) -> None:
    deployment.open_business("B1")
    job = jobs.job(name)
    with bench_for(job, holder="test") as bench:
        deployment.advance_to_slot(name)
        work(job, bench, Deadline.after(300))  # installs the job and opens the connection
        deployment.database.advance(timedelta(seconds=1))
        deployment.advance_to_slot(name)
        time.sleep(PING_AFTER_S * 1.1)
        before = proxy.round_trips
        results = work(job, bench, Deadline.after(300))
        assert [result.status for result in results] == ["succeeded"]
        assert proxy.round_trips - before <= EMPTY_RUN
