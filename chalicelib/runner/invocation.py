"""One invocation of a job, put together: settings, database, delivery, alert, trigger.

This is the scheduled door. `scheduled` is the whole body of every job's handler; it raises only
when the ledger cannot be written, so that Lambda's own retries help and never hurt.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine

from chalicelib import logs
from chalicelib.db.engine import make_engine
from chalicelib.errors import DatabaseUnavailable, SchemaOutdated, SettingsError
from chalicelib.runner.bench import Bench, Delivery
from chalicelib.runner.closing import counted
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.events import parse
from chalicelib.runner.job import Job, Run
from chalicelib.runner.triggers import trigger
from chalicelib.runner.work import rehearse, work
from chalicelib.settings import Settings, settings

if TYPE_CHECKING:
    from chalicelib.outbox.channels import Outbox
    from chalicelib.providers.storage.port import Storage


def scheduled(job: Job, event: Any) -> dict[str, Any]:
    """Body of a scheduled handler. `event` is Chalice's CloudWatchEvent, Lambda's context in it."""
    call = parse(event.to_dict())
    if call is None:
        logs.error("event_not_ours", job=job.name)
        return {"job": job.name, "status": "ignored"}
    deadline = Deadline.of_lambda(event.context)
    with bench_for(job, holder=_holder(event.context)) as bench:
        try:
            if call.run_id is not None and rehearse(job, call.run_id, bench) != "real":
                return {"job": job.name, "status": "dry_run"}
            results = work(job, bench, deadline, door=call.door)
        except SchemaOutdated as error:
            # Nothing of the state was touched: the run waits for `migrate`.
            logs.error("schema_outdated", job=job.name, error=error)
            return {"job": job.name, "status": "schema_outdated"}
        except (DatabaseUnavailable, SettingsError) as error:
            logs.error("ledger_not_reached", job=job.name, code=error.code, error=error)
            raise
    return {"job": job.name, "status": [result.status for result in results]}


@contextmanager
def bench_for(job: Job, *, holder: str, application: str | None = None) -> Iterator[Bench]:
    """Everything a run of the job needs. Connections are closed at the end: a daily job would
    otherwise leave one idle on the server for hours."""
    current = settings()
    engine = engine_from(current, application or job.name)
    bench = Bench(
        engine=engine,
        settings=current,
        trigger=trigger(),
        holder=holder,
        delivery=_delivery(job, engine, current),
        review=_review,
        alert=_alert,
    )
    try:
        yield bench
    finally:
        engine.dispose()
        logs.flush_metrics()


def engine_from(current: Settings, application: str, **limits: Any) -> Engine:
    """An engine on this stage's database. `limits`: time-outs, as `make_engine` takes them."""
    return make_engine(
        current.database_url.url,
        application=application,
        ca=current.database_ca,
        check_hostname=current.database_url.check_hostname,
        startup_parameters=current.database_startup_parameters,
        **limits,
    )


def open_outbox(engine: Engine, current: Settings) -> Outbox:
    """The outbox on this stage's channels and document store."""
    from chalicelib.outbox import proofs
    from chalicelib.outbox.channels import Channel, Outbox
    from chalicelib.outbox.rates import Rate
    from chalicelib.providers.ledger_mark import open_mark_store
    from chalicelib.providers.mail import open_mail
    from chalicelib.providers.whatsapp import open_whatsapp

    channels: dict[str, Channel] = {}
    for name, address, opened, rate, quota in (
        ("email", current.mail_url, open_mail, current.mail_rate, current.mail_quota),
        (
            "whatsapp",
            current.whatsapp_url,
            open_whatsapp,
            current.whatsapp_rate,
            current.whatsapp_quota,
        ),
    ):
        if address is not None:
            channels[name] = Channel(
                name,
                provider="smtp" if address.scheme == "smtps" else address.scheme,
                open=opened(address.url),
                concurrency=current.sending_concurrency,
                rate=Rate(rate, rate) if rate else None,
                quota=quota,
            )
    return Outbox(
        engine=engine,
        channels=channels,
        storage=open_store(current),
        reserve=current.quota_reserve / 100,
        proofs=proofs.sources(current),
        mark=open_mark_store(current.stage, current.ledger_mark_file),
        alert=_alert_of_messages,
    )


def open_store(current: Settings) -> Storage | None:
    """This stage's store of documents and mails; None when STORAGE_URL is not set."""
    from chalicelib.providers.storage import open_storage

    return open_storage(current.storage_url.url) if current.storage_url else None


def _delivery(job: Job, engine: Engine, current: Settings) -> Delivery:
    """Sends what a run planned, for as long as somebody could be waiting for it; or everything
    that is due, until the deadline."""

    def send(run: Run, deadline: Deadline) -> Mapping[str, int]:
        from chalicelib.outbox.deliver import deliver

        outbox = open_outbox(engine, current)
        if not outbox.channels:
            logs.error("no_channel_configured", run_id=str(run.id))
            return {}
        if job.delivers == "all":
            return counted(deliver(outbox, deadline))
        budget = Deadline.after(current.wait_seconds, reserve=0)
        return counted(deliver(outbox, deadline, run_id=run.id, budget=budget))

    return send


def _review(connection: Connection, run: Run) -> int:
    from chalicelib.outbox.plan import hold_surges

    return hold_surges(connection, run)


def _alert(connection: Connection, job: Job, run: Run, status: str, sentence: str) -> None:
    logs.error("run_alert", job=run.job, run_id=str(run.id), status=status)
    from chalicelib.domain.operations.alerts import plan_run_alert

    try:
        plan_run_alert(connection, run, job.title, status, sentence)
    except SettingsError as error:
        # The run has to end all the same; the ledger says how it went.
        logs.error("run_alert_not_planned", job=run.job, run_id=str(run.id), error=error)


def _alert_of_messages(connection: Connection) -> None:
    from chalicelib.domain.operations.alerts import plan_messages_alert

    try:
        plan_messages_alert(connection)
    except SettingsError as error:
        logs.error("messages_alert_not_planned", error=error)


def _holder(context: Any) -> str:
    request = getattr(context, "aws_request_id", None)
    return str(request) if request else f"{socket.gethostname()}:{os.getpid()}"
