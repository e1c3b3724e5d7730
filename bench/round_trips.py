"""Round trips of a run that finds nothing, counted on the wire.

A proxy stands between the job and PostgreSQL and counts what the client sends after each answer, so
that nothing has to be believed of the driver. The connection is open, and has been idle for long
enough to be pinged.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from sqlalchemy import text

from bench.database import Server, forget_runs
from bench.measure import Measure
from bench.sample import Sample
from chalicelib import jobs
from chalicelib.db.engine import PING_AFTER_S
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.work import work
from sandbox.proxy import Proxy

NOTHING_DUE = Sample("nothing_due", 1_000, unpaid=1_000, due=0)
GOAL = 8.0
# Delivery looks for messages only when it could send them; there is none, so nobody is called.
NOBODY = "smtp://127.0.0.1:9?tls=none"
ADVANCED = {"followups": "1 hour", "deliver_messages": "1 minute"}


def measure(server: Server, *, quick: bool) -> Iterator[Measure]:
    """For each job with its slot due and nothing to do: round trips from its tick to its end."""
    direct = server.engine(NOTHING_DUE)
    forget_runs(direct)
    with Proxy(str(server.url.query["unix_sock"])) as proxy:
        through = server.address(NOTHING_DUE).set(host=proxy.host, port=proxy.port, query={})
        os.environ["DATABASE_URL"] = through.render_as_string(hide_password=False)
        os.environ["MAIL_URL"] = NOBODY
        for name, slot in ADVANCED.items():
            job = jobs.job(name)
            counts = []
            with bench_for(job, holder="bench") as bench:
                work(job, bench, Deadline.after(300))  # installs the job, opens the connection
                for _ in range(2 if quick else 3):
                    with direct.begin() as connection:
                        connection.execute(text(_DUE_AGAIN), {"job": name, "slot": slot})
                    time.sleep(PING_AFTER_S * 1.1)
                    before = proxy.round_trips
                    results = work(job, bench, Deadline.after(300))
                    assert [result.status for result in results] == ["succeeded"], results
                    counts.append(float(proxy.round_trips - before))
            yield Measure(
                f"round trips of an empty run of {name}",
                counts,
                "",
                GOAL,
                "on an open connection, its ping included",
            )


_DUE_AGAIN = """
UPDATE ponctuel.job_state SET covered_through = ponctuel.clock() - CAST(:slot AS interval)
 WHERE job = :job
"""
