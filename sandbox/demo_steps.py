"""What the chapters of the demo do between two things that they show."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, text

from chalicelib import jobs
from chalicelib.runner.events import envelope
from sandbox import clock
from sandbox.local_context import LocalContext

PARIS = ZoneInfo("Europe/Paris")

_INSTALL = text("""
INSERT INTO ponctuel.job_state (job, zone, covered_through)
SELECT name, 'Europe/Paris', ponctuel.clock() FROM unnest(CAST(:names AS text[])) name
""")
_GO_LIVE = text("""
INSERT INTO ponctuel.go_lives (business_id, kind, at, by)
SELECT '*', '*', ponctuel.clock(), 'demo'
UNION ALL
SELECT b.id, k.kind, ponctuel.clock(), 'demo'
  FROM ponctuel.businesses b
 CROSS JOIN (VALUES ('*'), ('billing.invoice_followup'), ('billing.invoice_letter'),
                    ('billing.quote_followup'), ('inbox.reply'), ('leads.followup'),
                    ('leads.closer_digest'), ('leads.replied'), ('agenda.notice'),
                    ('agenda.reminder'), ('agenda.digest')) k(kind)
 WHERE b.id IS DISTINCT FROM CAST(:review AS text)
""")


def tick(name: str) -> None:
    """The scheduled handler, called as EventBridge and Lambda call it."""
    job = jobs.job(name)
    jobs.module(name).handler(envelope(name), LocalContext(name, job.timeout_s))


def at(engine: Engine, instant: datetime) -> None:
    """Makes it `instant` (aware)."""
    with engine.begin() as connection:
        clock.set_clock(connection, instant)


def paris(day: int, hour: int, minute: int = 0) -> datetime:
    """That day of March 2026 in Paris, five seconds later: a tick is never early."""
    return datetime(2026, 3, day, hour, minute, 5, tzinfo=PARIS)


def install(engine: Engine) -> None:
    """What the first deployed tick does: slots count from now on."""
    with engine.begin() as connection:
        connection.execute(_INSTALL, {"names": list(jobs.NAMES)})


def go_live(engine: Engine, *, review: str | None) -> None:
    """The stage and the businesses go live, except the one that stays in review."""
    with engine.begin() as connection:
        connection.execute(_GO_LIVE, {"review": review})
