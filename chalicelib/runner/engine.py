"""A run, from its lease to its end: steps in order, batches, isolation, deadline, closing.

Every transaction of a run writes its cursor with its work and checks the fence (`progress`). An
error narrows the batch down to the item at fault, which is recorded and passed over; a death is
narrowed the same way by whoever adopts the run (`acquire`).
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.db.sqlstate import sqlstate
from chalicelib.errors import DatabaseUnavailable, LeaseLost, SchemaOutdated
from chalicelib.runner import closing, lease, ledger, progress, worklist
from chalicelib.runner.bench import DELIVERY_STEP, Work
from chalicelib.runner.closing import Ending
from chalicelib.runner.job import Batch, Errand, ItemError, Job, Outcome, Prepared, Run, Step
from chalicelib.runner.worklist import Worklist

RECONNECTS = 5
# lock_not_available: somebody keeps a row of this batch locked; the others have not to wait for it.
LOCKED = "55P03"


def execute(work: Work, run: Run) -> Ending:
    """Runs to the end, or to the deadline. Raises `LeaseLost` (somebody else goes on) and
    `DatabaseUnavailable`."""
    logs.info("run_started", job=run.job, run_id=str(run.id), zone=run.zone, door=run.door)
    if run.failures >= closing.ATTEMPTS:
        return closing.close(work, run, "process_killed", "Le traitement s'interrompt toujours.")
    try:
        if run.step is None and work.job.steps:
            entered = _enter(work, run)
            if isinstance(entered, Ending):
                return entered
        else:
            entered = _enter_again(work, run)
        finished = _steps(work, run, entered) and _deliver(work, run)
    except LeaseLost:
        raise
    except SchemaOutdated as error:
        return closing.postponed(work, run, error)
    except Exception as error:  # noqa: BLE001 - the runner is where every failure is recorded
        return closing.failed_attempt(work, run, error)
    if not finished:
        with transaction(work.engine) as connection:
            progress.release(connection, run, timedelta(0))
        logs.info("run_continued", job=run.job, run_id=str(run.id), step=run.step)
        return Ending("continued")
    return closing.close(work, run)


def prepare(job: Job, run: Run, connection: Connection) -> Prepared:
    """What the SQL of a job's steps may use: `:now`, `:zone`, `:force`, `:run_id`, `:job`, and what
    the job prepares itself."""
    common = {
        "now": run.now,
        "zone": run.zone,
        "force": run.force,
        "run_id": run.id,
        "job": run.job,
    }
    own = job.prepare(run, connection) if job.prepare else Prepared({})
    return Prepared(common | dict(own.parameters), own.errors)


def _enter(work: Work, run: Run) -> Worklist | Ending:
    """Numbers what is due. When nothing is, the run ends in the same transaction."""
    with transaction(work.engine) as connection:
        prepared = prepare(work.job, run, connection)
        entered = worklist.enter(connection, run, work.job.steps, prepared.parameters)
        if entered.steps or prepared.errors:
            ledger.record_errors(connection, run, list(prepared.errors))
            return _set_out(work, run, entered, connection)
        closed = closing.end(connection, work, run, "succeeded")
    return closing.told(run, "succeeded", closed)


def _set_out(work: Work, run: Run, entered: Worklist, connection: Connection) -> Worklist:
    """Saves the cursor at the first item. Where an errand comes first, what it has to know before
    it goes is known with that."""
    current = entered.current(run)
    if current is None or not isinstance(current[0].effect, Errand):
        progress.save(connection, run)
        return entered
    step, total = current
    items = worklist.items_of(connection, _batch_of(entered, step, 0, min(step.batch, total)))
    progress.save(connection, run, lease.lasting(work.deadline))
    return replace(entered, items=items)


def _enter_again(work: Work, run: Run) -> Worklist:
    """The worklist of a run that another process has begun."""
    if run.step in (None, DELIVERY_STEP):
        return Worklist([], {})
    with transaction(work.engine) as connection:
        prepared = prepare(work.job, run, connection)
        return worklist.read(connection, run, work.job.steps, prepared.parameters)


def _steps(work: Work, run: Run, entered: Worklist) -> bool:
    """Works through the steps. False: the deadline came first."""
    # After a death the batch stays narrow up to the item at fault: widening would bring the next.
    adopted, narrow = run.step, run.batch_limit
    retries = 0
    items = entered.items
    while (current := entered.current(run)) is not None:
        if work.deadline.near():
            return False
        step, total = current
        widest = narrow if narrow and step.name == adopted else step.batch
        size = min(run.batch_limit or step.batch, total - run.position)
        try:
            # What was read once is good for one try: the lease is not kept as long afterwards.
            known, items = items, ()
            _batch(work, run, entered, step, size, known)
            retries = 0
            if run.step == step.name:
                run.batch_limit = min(size * 2, widest)
        except (LeaseLost, SchemaOutdated):
            raise
        except DatabaseUnavailable as error:
            if error.__cause__ is not None and sqlstate(error.__cause__) == LOCKED:
                _narrow(work, run, entered, step, size, error)
            else:
                retries = _reconnect(work, run, retries)
        except Exception as error:  # noqa: BLE001 - per-item isolation
            _narrow(work, run, entered, step, size, error)
    return True


def _batch(
    work: Work,
    run: Run,
    entered: Worklist,
    step: Step,
    size: int,
    items: Sequence[tuple[str, str]] = (),
) -> None:
    before = (run.step, run.position, run.batch_limit, dict(run.counts))
    parameters = _batch_of(entered, step, run.position, size)
    batch = Batch(worklist.BATCH_CTE, parameters)
    effect = step.effect
    done = None
    if isinstance(effect, Errand):
        done = _errand(work, run, effect, batch, items if len(items) == size else ())
    run.position += size
    entered.settle(run)
    try:
        with transaction(work.engine) as connection:
            if done is None:
                assert not isinstance(effect, Errand)
                done = effect.apply(run, connection, batch)
            _record(connection, run, step, done)
            progress.save(connection, run)
    except BaseException:
        # Nothing is known to be committed: the cursor in memory goes back with the transaction.
        run.step, run.position, run.batch_limit, run.counts = before
        raise


def _batch_of(entered: Worklist, step: Step, position: int, size: int) -> Mapping[str, Any]:
    """The parameters of a batch's SQL."""
    bounds = {"step": step.name, "after": position, "upto": position + size}
    return {**entered.parameters, **bounds}


def _errand(
    work: Work, run: Run, errand: Errand, batch: Batch, items: Sequence[tuple[str, str]]
) -> Outcome:
    """Keeps the lease for as long as this invocation can live, and sends it on its way. `items`:
    the batch's, when they are known; then the lease is kept already."""
    if not items:
        with transaction(work.engine) as connection:
            items = worklist.items_of(connection, batch.parameters)
            lasting = lease.lasting(work.deadline)
            lease.keep(connection, run.job, run.zone, run.id, run.fence, lasting)
    return errand.run_errand(run, work.engine, work.deadline, items)


def _narrow(
    work: Work, run: Run, entered: Worklist, step: Step, size: int, error: Exception
) -> None:
    """After an error: half the batch, down to the item at fault, which is passed over."""
    if size > 1:
        run.batch_limit = size // 2
    else:
        _pass_over(work, run, entered, step, error)


def _pass_over(work: Work, run: Run, entered: Worklist, step: Step, error: Exception) -> None:
    """Records the one item of a batch that failed, and moves behind it."""
    code, message = closing.described(error)
    logs.warning(
        "item_failed", job=run.job, run_id=str(run.id), step=step.name, code=code, error=error
    )
    with transaction(work.engine) as connection:
        run.position += 1
        business, item = worklist.item_at(connection, run.id, step.name, run.position)
        failed = ItemError(business, item, code, message)
        _record(connection, run, step, Outcome(errors=[failed]))
        entered.settle(run)
        progress.save(connection, run)


def _record(connection: Connection, run: Run, step: Step, outcome: Outcome) -> None:
    run.counts = dict(Counter(run.counts) + Counter(outcome.counts))
    ledger.record_errors(connection, run, list(outcome.errors), step=step.name)


def _reconnect(work: Work, run: Run, retries: int) -> int:
    """Waits for the database to come back. The lost transaction may have been committed: the
    cursor is read again, and the lease with it."""
    if retries >= RECONNECTS or work.deadline.near(30):
        raise DatabaseUnavailable("La base de données ne répond plus ; l'exécution sera reprise.")
    time.sleep(random.uniform(0.2, 1.0) * 2**retries)  # noqa: S311 - jitter, not a secret
    logs.warning("database_reconnect", job=run.job, run_id=str(run.id), retry=retries + 1)
    try:
        with transaction(work.engine) as connection:
            lease.keep(connection, run.job, run.zone, run.id, run.fence)
            row = ledger.read(connection, run.id, errors=0)
            assert row is not None
            run.position, run.step, run.counts = row["position"], row["step"], row["counts"]
    except DatabaseUnavailable:
        return _reconnect(work, run, retries + 1)
    return retries + 1


def _deliver(work: Work, run: Run) -> bool:
    """Sends what the run planned, for as long as a caller would wait; the rest stays pending."""
    if work.job.delivers == "nothing" or work.bench.delivery is None:
        return True
    if work.job.steps:
        with transaction(work.engine) as connection:
            closing.review(work, connection, run)
            run.step, run.position, run.batch_limit = DELIVERY_STEP, 0, None
            progress.save(connection, run, lease.lasting(work.deadline))
    sent = work.bench.delivery(run, work.deadline)
    if work.job.delivers == "all":
        run.counts = dict(Counter(run.counts) + Counter(sent))
    return True
