"""`overdue_and_reminders` against its floor: the same effects, typed into psql (`agenda_floor`).

Both in turns on the same database. The job's run has its lease, its worklist of eight steps, its
batches with a cursor each, and its closing, and looks for what is due twice, as `planning` does.
Neither reviews the volume nor sends. And the peak memory of a process that runs it, with a small
and a large base and as much due in both.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from uuid import uuid4

from sqlalchemy import Engine

from bench.agenda_floor import TYPED
from bench.agenda_sample import AgendaSample, effects, undo
from bench.database import Server
from bench.measure import Measure, seconds
from bench.memory import peak
from bench.planning import literal, psql
from chalicelib import jobs
from chalicelib.runner.bench import Bench
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.triggers import NextTick
from chalicelib.runner.work import work
from chalicelib.settings import settings

MILLION = AgendaSample("agenda", 1_000_000, 1_000_000, 200_000)
SMALL = AgendaSample("agenda", 20_000, 20_000, 4_000)
GOAL = 1.5

# As much due in both.
DUE = (1_000, 1_000, 200)
LIGHT = AgendaSample("agenda_light", 10_000, 10_000, 2_000, DUE)
HEAVY = AgendaSample("agenda_heavy", 1_000_000, 1_000_000, 200_000, DUE)
QUICK_HEAVY = AgendaSample("agenda_heavy", 20_000, 20_000, 4_000, DUE)
MEMORY_GOAL = 1.1

JOB = "overdue_and_reminders"


def measure(server: Server, *, quick: bool) -> Iterator[Measure]:
    """Ratio of a run's time to the typed statements', and of the peaks, once per round."""
    sample, rounds = (SMALL, 2) if quick else (MILLION, 5)
    engine = server.engine(sample)
    floors, ours = [], []
    typed(engine)  # what is read becomes as warm as it will be
    for _ in range(rounds):
        floor, by_hand = typed(engine)
        mine, by_the_job = run(engine)
        assert by_hand == by_the_job, (by_hand, by_the_job)
        floors.append(floor)
        ours.append(mine)
    undo_all(engine)
    due = sum(sample.newly_due)
    everything = sample.invoices + sample.tasks + sample.appointments
    yield Measure(
        f"agenda: {due} newly due of {everything} invoices, tasks and appointments / "
        "the same typed into psql",
        [mine / floor for mine, floor in zip(ours, floors, strict=True)],
        "×",
        None if quick else GOAL,
        f"{seconds(ours)} / {seconds(floors)}",
    )
    yield _memory(server, LIGHT, QUICK_HEAVY if quick else HEAVY, judged=not quick)


def _memory(server: Server, light: AgendaSample, heavy: AgendaSample, *, judged: bool) -> Measure:
    lights: list[int] = []
    heavies: list[int] = []
    for _ in range(3 if judged else 2):
        for sample, peaks in ((light, lights), (heavy, heavies)):
            make_due(server.engine(sample))
            peaks.append(peak(server, sample, JOB))
    return Measure(
        f"peak memory of a run of {JOB} at {heavy.invoices} / {light.invoices} invoices and tasks",
        [big / little for little, big in zip(lights, heavies, strict=True)],
        "×",
        MEMORY_GOAL if judged else None,
        f"{max(heavies) / 1e6:.0f} MB / {max(lights) / 1e6:.0f} MB",
    )


def typed(engine: Engine) -> tuple[float, dict[str, int]]:
    """Seconds that psql says its statements took, commit included; and what they wrote."""
    undo_all(engine)
    answer = psql(engine.url, "\\timing on\n" + literal(TYPED, {"run_id": str(uuid4())}))
    took = [float(found) for found in re.findall(r"Time: ([\d.]+) ms", answer)]
    assert len(took) == TYPED.count(";"), answer
    return sum(took) / 1000, written(engine)


def run(engine: Engine) -> tuple[float, dict[str, int]]:
    """Seconds of the job's own run, from what a tick does first to its end; and what it wrote."""
    make_due(engine)
    bench = Bench(engine, settings(), NextTick(), "bench")
    start = time.perf_counter()
    results = work(jobs.job(JOB), bench, Deadline.after(3600))
    elapsed = time.perf_counter() - start
    assert [result.status for result in results] == ["succeeded"], results
    return elapsed, written(engine)


def make_due(engine: Engine) -> None:
    """As it was, with one slot of the job due."""
    undo_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO ponctuel.job_state (job, zone, covered_through) VALUES "
            f"('{JOB}', 'Europe/Paris', ponctuel.clock() - interval '1 hour')"
        )


def undo_all(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        undo(connection)


def written(engine: Engine) -> dict[str, int]:
    with engine.begin() as connection:
        return effects(connection)
