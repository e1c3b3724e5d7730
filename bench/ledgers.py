"""The ledgers that sending is measured on: planned messages, at an hour at which they may leave."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from sqlalchemy import Engine, text

from bench.database import Server, make_due
from bench.sample import Sample
from chalicelib import jobs
from chalicelib.domain.billing.calendar import is_business_day
from chalicelib.runner.bench import Bench
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.triggers import NextTick
from chalicelib.runner.work import work
from chalicelib.settings import settings
from sandbox import clock

# In Paris, summer or winter: inside of every sending window.
OPEN_AT = time(10, tzinfo=UTC)


# The relances of every business by WhatsApp, with an approved template at each provider.
WHATSAPP = (
    "UPDATE ponctuel.followup_levels SET channel = 'whatsapp'",
    """
INSERT INTO ponctuel.customer_phones (business_id, customer_id, phone)
SELECT business_id, id, '06 12 ' || lpad(substr(id, 2), 6, '0') FROM ponctuel.customers
ON CONFLICT DO NOTHING
""",
    """
INSERT INTO ponctuel.whatsapp_templates (business_id, provider, kind, variant, name, set_at, set_by)
SELECT '*', provider, 'billing.invoice_followup', 'rappel', name, ponctuel.clock(), 'bench'
  FROM (VALUES ('twilio', 'HX' || repeat('0', 32)), ('meta', 'relance_facture')) t(provider, name)
ON CONFLICT DO NOTHING
""",
)


def ready(server: Server, sample: Sample, channel: Literal["email", "whatsapp"]) -> Engine:
    """As many planned messages as the sample has due invoices, for whom the stage is live, and none
    besides; the delivery has its slot due. The clock is at a working day's morning, whenever the
    benchmark is run."""
    engine = server.engine(sample)
    today = _working_day(datetime.now(UTC).date())
    with engine.begin() as connection:
        clock.install(connection)
        clock.set_clock(connection, datetime.combine(today, OPEN_AT))
        if channel == "whatsapp":
            for statement in WHATSAPP:
                connection.exec_driver_sql(statement)
    make_due(engine)
    results = work(
        jobs.job("followups"),
        Bench(engine, settings(), NextTick(), "bench"),
        Deadline.after(3600),
    )
    assert [result.status for result in results] == ["succeeded"], results
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO ponctuel.job_state (job, zone, covered_through) "
            "VALUES ('deliver_messages', 'Europe/Paris', ponctuel.clock() - interval '1 minute')"
        )
        planned = connection.execute(
            text(
                "SELECT count(*) FROM ponctuel.messages WHERE state = 'planned' AND channel = :c "
                "AND not_before <= ponctuel.clock()"
            ),
            {"c": channel},
        ).scalar_one()
        connection.exec_driver_sql("ANALYZE ponctuel.messages")
    assert planned == sample.due, (planned, sample)
    return engine


def _working_day(day: date) -> date:
    while not is_business_day(day, None):
        day += timedelta(days=1)
    return day
