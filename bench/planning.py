"""Planning relances against its floor: the same SQL, typed by hand, in one statement each.

    python -m bench.planning --invoices 200000 --due 20000

Both plan the same messages on the same embedded PostgreSQL, in turns; what is shown is the ratio,
which a busy or a slow machine changes little, and its spread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Engine, create_engine, make_url, text

from chalicelib import jobs
from chalicelib.db.engine import make_engine
from chalicelib.db.migrate import migrate
from chalicelib.domain.billing import queries
from chalicelib.domain.billing.calendar import calendar_at
from chalicelib.outbox.plan import GATE
from chalicelib.runner.bench import Bench
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.triggers import NextTick
from chalicelib.runner.work import work
from chalicelib.settings import settings
from sandbox import clock, postgres

NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
SAMPLE = """
INSERT INTO ponctuel.businesses (id, name) SELECT 'B' || g, 'b' FROM generate_series(1, 20) g;
INSERT INTO ponctuel.billing_settings (business_id, followups_enabled)
  SELECT id, true FROM ponctuel.businesses;
INSERT INTO ponctuel.followup_levels (business_id, document, level, anchor, delay_days, tone)
  SELECT id, 'invoice', l, 'due', l * 10, 'rappel'
    FROM ponctuel.businesses, generate_series(1, 3) l;
INSERT INTO ponctuel.customers (business_id, id, name, emails)
  SELECT 'B' || (1 + g % 20), 'C' || g, 'n', 'c' || g || '@x.example'
    FROM generate_series(1, {invoices}) g;
INSERT INTO ponctuel.invoices (business_id, id, number, customer_id, status, issued_on, due_on,
                               total, balance)
  SELECT 'B' || (1 + g % 20), 'F' || g, 'F' || g, 'C' || g,
         CASE WHEN g <= {due} THEN 'sent' ELSE 'paid' END, '2026-01-01', '2026-02-20', 100,
         CASE WHEN g <= {due} THEN 100 ELSE 0 END
    FROM generate_series(1, {invoices}) g;
ANALYZE;
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=200_000)
    parser.add_argument("--due", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ.update(LOG_LEVEL="ERROR")
    with tempfile.TemporaryDirectory() as folder, postgres.running(Path(folder) / "data") as url:
        engine = _prepared(url, options.invoices, options.due)
        ratios = []
        for _ in range(options.rounds):
            floor, ours = _typed(engine, options.due), _run(engine, options.due)
            ratios.append(ours / floor)
            print(f"typed {floor:.2f} s, ours {ours:.2f} s, ratio {ours / floor:.2f}")
        engine.dispose()
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def _prepared(server: str, invoices: int, due: int) -> Engine:
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE bench")
    admin.dispose()
    engine = make_engine(
        make_url(server).set(database="bench"), application="bench", statement_timeout_ms=300_000
    )
    migrate(engine)
    with engine.begin() as connection:
        clock.install(connection)
        clock.set_clock(connection, NOW)
        connection.exec_driver_sql(SAMPLE.format(invoices=invoices, due=due))
    return engine


def _clear(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "TRUNCATE ponctuel.messages, ponctuel.runs, ponctuel.run_items, ponctuel.job_state "
            "CASCADE"
        )


def _typed(engine: Engine, due: int) -> float:
    """One INSERT … SELECT over every customer that is due."""
    _clear(engine)
    with engine.begin() as connection:
        values = {"now": NOW, "force": False, "run_id": uuid4(), "allow_list": json.dumps([])}
        values |= dict(calendar_at(connection, NOW).parameters)
        insert = _PLAIN.replace("{gate}", GATE).replace("{select}", queries.RELANCES)
        start = time.perf_counter()
        planned = connection.execute(
            text(insert.replace("{batch}", queries.CUSTOMERS_DUE)), values
        ).rowcount
        connection.commit()
    assert planned == due, (planned, due)
    return time.perf_counter() - start


def _run(engine: Engine, due: int) -> float:
    """The job's own run, without delivery."""
    _clear(engine)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ponctuel.job_state (job, zone, covered_through) "
                "VALUES ('followups', 'Europe/Paris', ponctuel.clock() - interval '1 hour')"
            )
        )
    bench = Bench(engine, settings(), NextTick(), "bench")
    start = time.perf_counter()
    results = work(jobs.job("followups"), bench, Deadline.after(3600))
    elapsed = time.perf_counter() - start
    with engine.begin() as connection:
        planned = connection.execute(text("SELECT count(*) FROM ponctuel.messages")).scalar_one()
    assert [result.status for result in results] == ["succeeded"]
    assert planned == due, (planned, due)
    return elapsed


_PLAIN = """
WITH batch AS ({batch}), candidates AS ({select})
INSERT INTO ponctuel.messages (business_id, kind, subject, cycle, step, channel, person, recipient,
                               content, state, hold_reason, planned_at, not_before, expires_at,
                               run_id)
SELECT business_id, kind, subject, cycle, step, channel, person, recipient, content, 'held',
       {gate}, ponctuel.clock(), not_before, expires_at, :run_id FROM candidates c
"""

if __name__ == "__main__":
    main()
