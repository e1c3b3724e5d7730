"""A run, from its lease to its end: steps in order, batches, isolation, deadline, closing.

Every transaction of a run writes its cursor with its work and checks the fence (`lease.keep`). An
error narrows the batch down to the item at fault, which is recorded and passed over; a death is
narrowed the same way by whoever adopts the run (`acquire`).
"""

from __future__ import annotations

import random
import time
from collections import Counter
from datetime import timedelta

from sqlalchemy import Connection, text

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.db.sqlstate import sqlstate
from chalicelib.errors import DatabaseUnavailable, LeaseLost, SchemaOutdated
from chalicelib.runner import closing, lease, ledger
from chalicelib.runner.bench import DELIVERY_STEP, Work
from chalicelib.runner.job import Batch, ItemError, Outcome, Prepared, Run, Step

RECONNECTS = 5
# lock_not_available: somebody keeps a row of this batch locked; the others have not to wait for it.
LOCKED = "55P03"

# Numbers a step's due items so that businesses alternate.
_ENTER = """
WITH due AS ({items}),
numbered AS (
  SELECT d.business_id, d.item,
         row_number() OVER (PARTITION BY d.business_id ORDER BY d.item) AS nth
    FROM due d
   WHERE NOT EXISTS (SELECT 1 FROM ponctuel.quarantine q
                      WHERE q.job = :job AND q.step = :step AND q.business_id = d.business_id
                        AND q.item = d.item AND q.released_at IS NULL)
), inserted AS (
  INSERT INTO ponctuel.run_items (run_id, step, position, business_id, item)
  SELECT :run_id, :step, row_number() OVER (ORDER BY nth, business_id), business_id, item
    FROM numbered
  RETURNING 1
) SELECT count(*) FROM inserted
"""

BATCH_CTE = """SELECT business_id, item FROM ponctuel.run_items
 WHERE run_id = :run_id AND step = :step AND position > :after AND position <= :upto"""


def execute(work: Work, run: Run) -> str:
    """Runs to the end, or to the deadline. Returns the status it left: succeeded, partial, failed
    or continued. Raises `LeaseLost` (somebody else goes on) and `DatabaseUnavailable`."""
    logs.info("run_started", job=run.job, run_id=str(run.id), zone=run.zone, door=run.door)
    if run.failures >= closing.ATTEMPTS:
        return closing.close(work, run, "process_killed", "Le traitement s'interrompt toujours.")
    try:
        finished = _steps(work, run) and _deliver(work, run)
    except LeaseLost:
        raise
    except SchemaOutdated as error:
        return closing.postponed(work, run, error)
    except Exception as error:  # noqa: BLE001 - the runner is where every failure is recorded
        return closing.failed_attempt(work, run, error)
    if not finished:
        with transaction(work.engine) as connection:
            ledger.release(connection, run)
            lease.release(connection, run.job, run.zone, run.id, run.fence, timedelta(0))
        logs.info("run_continued", job=run.job, run_id=str(run.id), step=run.step)
        return "continued"
    return closing.close(work, run)


def _steps(work: Work, run: Run) -> bool:
    names = [step.name for step in work.job.steps]
    if run.step == DELIVERY_STEP:
        return True
    start = names.index(run.step) if run.step in names else 0
    return all(_step(work, run, step) for step in work.job.steps[start:])


def _step(work: Work, run: Run, step: Step) -> bool:
    total = _items(work, run, step)
    # After a death the batch stays narrow up to the item at fault: widening would bring the next.
    widest = run.batch_limit or step.batch
    retries = 0
    while run.position < total:
        if work.deadline.near():
            return False
        size = min(run.batch_limit or step.batch, total - run.position)
        try:
            _batch(work, run, step, size)
            run.batch_limit = min(size * 2, widest)
            retries = 0
        except (LeaseLost, SchemaOutdated):
            raise
        except DatabaseUnavailable as error:
            if error.__cause__ is not None and sqlstate(error.__cause__) == LOCKED:
                _narrow(work, run, step, size, error)
            else:
                retries = _reconnect(work, run, retries)
        except Exception as error:  # noqa: BLE001 - per-item isolation
            _narrow(work, run, step, size, error)
    return True


def _narrow(work: Work, run: Run, step: Step, size: int, error: Exception) -> None:
    """After an error: half the batch, down to the item at fault, which is passed over."""
    if size > 1:
        run.batch_limit = size // 2
    else:
        _pass_over(work, run, step, error)


def _items(work: Work, run: Run, step: Step) -> int:
    """Enters a step, unless the run is already in it; returns how many items it has."""
    with transaction(work.engine) as connection:
        prepared = prepare(run, connection, step)
        if run.step == step.name:
            return int(
                connection.execute(
                    text(
                        "SELECT count(*) FROM ponctuel.run_items "
                        "WHERE run_id = :run_id AND step = :step"
                    ),
                    {"run_id": run.id, "step": step.name},
                ).scalar_one()
            )
        statement = text(_ENTER.replace("{items}", step.items))
        total = int(connection.execute(statement, prepared.parameters).scalar_one())
        run.step, run.position, run.batch_limit = step.name, 0, None
        ledger.record_errors(connection, run, list(prepared.errors))
        _save(connection, run)
        return total


def prepare(run: Run, connection: Connection, step: Step) -> Prepared:
    """What the SQL of a step may use: `:now`, `:zone`, `:force`, `:run_id`, `:job`, `:step`, and
    what the step prepares itself."""
    common = {
        "now": run.now,
        "zone": run.zone,
        "force": run.force,
        "run_id": run.id,
        "job": run.job,
        "step": step.name,
    }
    own = step.prepare(run, connection) if step.prepare else Prepared({})
    return Prepared(common | dict(own.parameters), own.errors)


def _batch(work: Work, run: Run, step: Step, size: int) -> None:
    position, counts = run.position, dict(run.counts)
    run.position += size
    bounds = {"after": position, "upto": run.position}
    try:
        with transaction(work.engine) as connection:
            prepared = prepare(run, connection, step)
            batch = Batch(BATCH_CTE, dict(prepared.parameters) | bounds)
            _record(connection, run, step.effect.apply(run, connection, batch))
            _save(connection, run)
    except BaseException:
        # Nothing is known to be committed: the cursor in memory goes back with the transaction.
        run.position, run.counts = position, counts
        raise


def _record(connection: Connection, run: Run, outcome: Outcome) -> None:
    run.counts = dict(Counter(run.counts) + Counter(outcome.counts))
    ledger.record_errors(connection, run, list(outcome.errors))


def _save(connection: Connection, run: Run, duration: timedelta = lease.LEASE) -> None:
    ledger.save(connection, run)
    lease.keep(connection, run.job, run.zone, run.id, run.fence, duration)


def _pass_over(work: Work, run: Run, step: Step, error: Exception) -> None:
    """Records the one item of a batch that failed, and moves behind it."""
    code, message = closing.described(error)
    logs.warning(
        "item_failed", job=run.job, run_id=str(run.id), step=step.name, code=code, error=error
    )
    with transaction(work.engine) as connection:
        item = connection.execute(
            text(
                "SELECT business_id, item FROM ponctuel.run_items "
                "WHERE run_id = :run_id AND step = :step AND position = :position"
            ),
            {"run_id": run.id, "step": step.name, "position": run.position + 1},
        ).one()
        _record(connection, run, Outcome(errors=[ItemError(item[0], item[1], code, message)]))
        run.position += 1
        _save(connection, run)


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
    with transaction(work.engine) as connection:
        closing.review(work, connection, run)
        run.step, run.position, run.batch_limit = DELIVERY_STEP, 0, None
        # Delivering commits to the outbox alone: the lease lasts as long as the process can.
        longest = timedelta(seconds=max(0.0, work.deadline.remaining()))
        _save(connection, run, max(lease.LEASE, longest))
    sent = work.bench.delivery(run, work.deadline)
    if work.job.delivers == "all":
        run.counts = dict(Counter(run.counts) + Counter(sent))
    return True
