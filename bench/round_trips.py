"""Round trips of a run that finds nothing, and of one that sends, counted on the wire.

A proxy stands between the job and PostgreSQL and counts what the client sends after each answer, so
that nothing has to be believed of the driver. The connection is open, and has been idle for long
enough to be pinged.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from bench.database import Server, forget_runs
from bench.ledgers import ready
from bench.measure import Measure
from bench.sample import Sample
from chalicelib import jobs
from chalicelib.db.engine import PING_AFTER_S
from chalicelib.runner.bench import Bench
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.job import Job
from chalicelib.runner.work import work
from sandbox.proxy import Proxy
from sandbox.smtp import SmtpSandbox

NOTHING_DUE = Sample("nothing_due", 1_000, unpaid=1_000, due=0)
GOAL = 8.0
SENT = Sample("sent", 1_600, unpaid=400, due=400)
SENT_SMALL = Sample("sent_small", 400, unpaid=100, due=100)
# Per window of concurrent calls, whatever a run needs besides included.
GOAL_PER_WINDOW = 10.0
# Delivery looks for messages only when it could send them; there is none, so nobody is called.
NOBODY = "smtp://127.0.0.1:9?tls=none"
ADVANCED = {"followups": "1 hour", "deliver_messages": "1 minute"}


def measure(server: Server, *, quick: bool) -> Iterator[Measure]:
    """For each job with its slot due and nothing to do: round trips from its tick to its end. For
    a delivery: as many per window of concurrent calls."""
    direct = server.engine(NOTHING_DUE)
    forget_runs(direct)
    for name, slot in ADVANCED.items():
        counts = []
        with _through_proxy(server, NOTHING_DUE, NOBODY) as proxy:
            job = jobs.job(name)
            with bench_for(job, holder="bench") as bench:
                work(job, bench, Deadline.after(300))  # installs the job, opens the connection
                for _ in range(2 if quick else 3):
                    with direct.begin() as connection:
                        connection.execute(text(_DUE_AGAIN), {"job": name, "slot": slot})
                    time.sleep(PING_AFTER_S * 1.1)
                    counts.append(float(_trips(proxy, job, bench)))
        yield Measure(
            f"round trips of an empty run of {name}",
            counts,
            "",
            GOAL,
            "on an open connection, its ping included",
        )
    yield sending(server, SENT_SMALL if quick else SENT)


def sending(server: Server, sample: Sample) -> Measure:
    """Round trips of a run that sends, from its tick to its end, by window."""
    ready(server, sample, "email")
    job = jobs.job("deliver_messages")
    with tempfile.TemporaryDirectory() as folder, SmtpSandbox(Path(folder)) as smtp:
        with (
            _through_proxy(server, sample, smtp.url) as proxy,
            bench_for(job, holder="bench") as bench,
        ):
            trips = _trips(proxy, job, bench)
            windows = sample.due / bench.settings.sending_concurrency
        assert len(smtp.accepted()) == sample.due
    return Measure(
        "round trips per window of concurrent calls",
        [trips / windows],
        "",
        GOAL_PER_WINDOW,
        f"{trips} for {sample.due} e-mails in {windows:.0f} windows, the run's own included",
    )


@contextmanager
def _through_proxy(server: Server, sample: Sample, mail_url: str) -> Iterator[Proxy]:
    with Proxy(str(server.url.query["unix_sock"])) as proxy:
        through = server.address(sample).set(host=proxy.host, port=proxy.port, query={})
        os.environ["DATABASE_URL"] = through.render_as_string(hide_password=False)
        os.environ["MAIL_URL"] = mail_url
        yield proxy


def _trips(proxy: Proxy, job: Job, bench: Bench) -> int:
    before = proxy.round_trips
    results = work(job, bench, Deadline.after(300))
    assert [result.status for result in results] == ["succeeded"], results
    return proxy.round_trips - before


_DUE_AGAIN = """
UPDATE ponctuel.job_state SET covered_through = ponctuel.clock() - CAST(:slot AS interval)
 WHERE job = :job
"""
