"""The jobs' own SQL on what is there: does it run, and in which time? Nothing is written."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection, text

from chalicelib import jobs
from chalicelib.outbox.plan import Plan
from chalicelib.runner.change import Change
from chalicelib.runner.engine import prepare
from chalicelib.runner.job import Batch, Errand, Job, Run, Step
from cli import output
from cli.check_finding import Finding, Reader

TOPIC = "sélection"
# A tenth of what a statement is given: from there on, growth will stop it one day.
SLOW_S = 3.0
# Enough to meet what a row does to the statement, without doing the work of a dry run.
SAMPLE = 50

_COUNT = "SELECT count(*) FROM ({items}) d"
_SAMPLE = f"SELECT d.business_id, d.item FROM ({{items}}) d LIMIT {SAMPLE}"


def selections(reader: Reader) -> list[Finding]:
    """Selects what is due for each step of each job, and plans a sample of it as a dry run would.
    Raises `DatabaseUnavailable`."""
    found: list[Finding] = []
    for name in jobs.NAMES:
        job = jobs.job(name)
        for step in job.steps:
            found += reader.look(partial(_select, job, step), partial(_refused, job, step))
    return found


def _select(job: Job, step: Step, connection: Connection) -> Iterator[Finding]:
    now = connection.execute(text("SELECT ponctuel.clock()")).scalar_one()
    run = Run(uuid.uuid4(), job.name, job.zone, "cli", now)
    parameters = {**prepare(job, run, connection).parameters, "step": step.name}
    started = time.monotonic()
    count = connection.execute(text(_COUNT.replace("{items}", step.items)), parameters).scalar_one()
    seconds = time.monotonic() - started
    _rehearse(connection, run, step, Batch(_SAMPLE.replace("{items}", step.items), parameters))
    due = output.plural(count, "élément à traiter", "éléments à traiter")
    took = f"{seconds:.1f} s".replace(".", ",")
    yield Finding(
        TOPIC,
        "note" if seconds > SLOW_S else "ok",
        f"{job.name}, {step.name} : {due}, choisis en {took}"
        + (
            " ; au-delà de 30 s l'exécution échoue : il manque un index" if seconds > SLOW_S else ""
        ),
    )


def _refused(job: Job, step: Step, _code: str, why: str) -> Finding:
    said = f"{job.name}, {step.name} : la requête ne peut pas être exécutée : {why}"
    return Finding(TOPIC, "problem", said)


def _rehearse(connection: Connection, run: Run, step: Step, batch: Batch) -> None:
    """What the step would do with the batch: planned messages are computed, a change is only
    explained, because even a dry run never meets its UPDATE."""
    effect = step.effect
    if isinstance(effect, Plan):
        replace(effect, left_out=None).preview(run, connection, batch)
    elif isinstance(effect, Change):
        statement = f"EXPLAIN WITH batch AS ({batch.cte}) {effect.write}"
        connection.execute(text(statement), batch.parameters)
    elif not isinstance(effect, Errand):
        effect.preview(run, connection, batch)
