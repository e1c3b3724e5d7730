"""A deployment in small: a database of the test's own, a real SMTP server, the handlers as Lambda
calls them. The clock stands at Tuesday 10 March 2026, 10:00 in Paris, unless the test moves it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
from sqlalchemy import text

from chalicelib import jobs
from chalicelib.runner.events import envelope
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.job import BUSINESS_ZONE
from chalicelib.runner.request import request_dry_run, run_or_raise
from chalicelib.runner.schedule import Schedule
from chalicelib.runner.work import rehearse
from sandbox.smtp import SmtpSandbox
from sandbox.whatsapp_twilio import TwilioSandbox
from tests import factories
from tests.database import Database

NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
TODAY = date(2026, 3, 10)
KINDS = ("billing.invoice_followup", "billing.invoice_letter", "billing.quote_followup")
PUBLIC_URL = "https://ponctuel.example"
# Who hears of runs that end badly, and of messages that somebody has to look at.
OPERATOR = "astreinte@ponctuel.example"
WHATSAPP_SETTINGS = ("WHATSAPP_URL", "PUBLIC_URL", "TWILIO_AUTH_TOKEN")


class Context:
    """Lambda's context, with as much time as the test wants."""

    def __init__(self, seconds: float = 300) -> None:
        self.aws_request_id = "test"
        self.function_name = "ponctuel-test"
        self._end = datetime.now(UTC) + timedelta(seconds=seconds)

    def get_remaining_time_in_millis(self) -> int:
        return int((self._end - datetime.now(UTC)).total_seconds() * 1000)


@dataclass
class Deployment:
    """`patch` and `stack` last as long as it does."""

    database: Database
    smtp: SmtpSandbox
    documents: Path
    patch: pytest.MonkeyPatch = field(default_factory=pytest.MonkeyPatch)
    stack: ExitStack = field(default_factory=ExitStack)
    _twilio: TwilioSandbox | None = None

    def tick(self, job: str = "followups", *, hours: float = 1, seconds: float = 300) -> Any:
        """Moves the clock (an hour: to the next slot) and delivers EventBridge's event."""
        self.database.advance(timedelta(hours=hours))
        return jobs.module(job).handler(envelope(job), Context(seconds))

    def advance_to_slot(self, job: str = "followups", slots: int = 1) -> None:
        """Moves the clock to the n-th slot of the job from now on."""
        found = jobs.job(job)
        zone = found.zone if found.zone != BUSINESS_ZONE else "Europe/Paris"
        schedule, instant = Schedule.parse(found.schedule, zone), self.clock()
        for _ in range(slots):
            instant = schedule.next_after(instant)
        self.database.set_clock(instant)

    def clock(self) -> datetime:
        """`ponctuel.clock()`, aware."""
        found: datetime = self.rows("SELECT ponctuel.clock() AS clock")[0]["clock"]
        return found

    def deliver(self) -> Any:
        """A minute later, the outbox's own tick."""
        return self.tick("deliver_messages", hours=1 / 60)

    def rehearse(self, job: str = "followups", **options: Any) -> dict[str, Any]:
        """A dry run's report."""
        found = jobs.job(job)
        with bench_for(found, holder="test") as bench:
            run_id = request_dry_run(bench.engine, found, found.zone, door="cli", **options)
            rehearse(found, run_id, bench)
            row = run_or_raise(bench.engine, run_id)
        assert row["status"] == "succeeded", row["error"]
        report: dict[str, Any] = row["report"]  # type: ignore[assignment]  # a jsonb column
        return report

    @property
    def folder(self) -> Path:
        """For what a test keeps on disk."""
        return self.documents.parent

    @property
    def twilio(self) -> TwilioSandbox:
        """What WhatsApp messages go to. It starts, and the settings name it, when it is first
        asked for: most tests send none."""
        if self._twilio is None:
            sandbox = TwilioSandbox(self.folder / "twilio", clock=self._simulated)
            self._twilio = self.stack.enter_context(sandbox)
            values = (sandbox.url, PUBLIC_URL, sandbox.token)
            for name, value in zip(WHATSAPP_SETTINGS, values, strict=True):
                self.patch.setenv(name, value)
        return self._twilio

    def _forget_twilio(self) -> None:
        if self._twilio is None:
            return
        self.stack.close()
        rmtree(self._twilio.folder)
        self._twilio = None
        for name in WHATSAPP_SETTINGS:
            self.patch.delenv(name)

    def _simulated(self) -> datetime:
        """The database's clock, read by another thread."""
        return datetime.now(UTC) + self.database.offset

    def reset(self) -> None:
        """As it was at the start: empty tables and mailboxes, the clock at NOW, no faults."""
        self.database.close_engines()
        self.smtp.heal()
        self.smtp.credentials = None
        for path in self.smtp.folder.iterdir():
            path.unlink()
        self._forget_twilio()
        self.empty()

    def empty(self) -> None:
        """The tables only, and the clock."""
        self.database.empty()
        settle(self.database)

    def rows(self, query: str, **values: object) -> list[Mapping[str, Any]]:
        with self.database.begin() as connection:
            return [dict(row) for row in connection.execute(text(query), values).mappings()]

    def execute(self, statement: str, **values: object) -> None:
        with self.database.begin() as connection:
            connection.execute(text(statement), values)

    def messages(self, **where: object) -> list[Mapping[str, Any]]:
        """The businesses' messages, oldest first; not the operator's alerts."""
        conditions = ["business_id <> ''", *(f"{name} = :{name}" for name in where)]
        return self.rows(
            f"SELECT * FROM ponctuel.messages WHERE {' AND '.join(conditions)} ORDER BY id", **where
        )

    def states(self) -> list[tuple[str, str, str]]:
        """(subject, step, state) of each message, in the order of planning."""
        return [(m["subject"], m["step"], m["state"]) for m in self.messages()]

    def last_run(self, job: str = "followups") -> Mapping[str, Any]:
        return self.rows(
            "SELECT * FROM ponctuel.runs WHERE job = :job ORDER BY number DESC LIMIT 1", job=job
        )[0]

    def go_live(self, *businesses: str, kinds: Sequence[str] = KINDS) -> None:
        """The stage and these businesses, with every kind of billing or these, are live."""
        scopes = [("*", "*")]
        for business in businesses:
            scopes += [(business, kind) for kind in ("*", *kinds)]
        for business, kind in scopes:
            self.execute(
                "INSERT INTO ponctuel.go_lives (business_id, kind, at, by) "
                "VALUES (:business, :kind, ponctuel.clock(), 'test') ON CONFLICT DO NOTHING",
                business=business,
                kind=kind,
            )

    def open_business(
        self, id: str = "B1", settings: Mapping[str, Any] | None = None, **overrides: Any
    ) -> None:
        """A live business with relances switched on, its levels, and one customer, C1."""
        with self.database.begin() as connection:
            factories.business(connection, id, **overrides)
            factories.settings(connection, id, **(settings or {}))
            factories.levels(connection, id)
            factories.levels(connection, id, document="quote")
            factories.customer(connection, business_id=id)
        self.go_live(id)

    def invoice(self, id: str = "F1", **overrides: Any) -> None:
        with self.database.begin() as connection:
            factories.invoice(connection, TODAY, id, **overrides)

    def quote(self, id: str = "D1", **overrides: Any) -> None:
        with self.database.begin() as connection:
            factories.quote(connection, TODAY, id, **overrides)

    def phone(self, customer_id: str = "C1", **overrides: Any) -> None:
        with self.database.begin() as connection:
            factories.phone(connection, customer_id, **overrides)

    def customer(self, id: str, **overrides: Any) -> None:
        with self.database.begin() as connection:
            factories.customer(connection, id, **overrides)


@contextmanager
def deployed(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    """A deployment on `database`, whose environment lasts as long as the block."""
    documents = folder / "documents"
    documents.mkdir(parents=True, exist_ok=True)
    with SmtpSandbox(folder / "mails") as smtp:
        environment = {
            "DATABASE_URL": database.url,
            "MAIL_URL": f"smtp://127.0.0.1:{smtp.port}?tls=none",
            "MAIL_FROM": "Ponctuel <relances@ponctuel.example>",
            "STORAGE_URL": documents.as_uri(),
            "OPERATOR_EMAIL": OPERATOR,
            "WAIT_SECONDS": "20",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settle(database)
        with ExitStack() as stack:
            yield Deployment(database, smtp, documents, monkeypatch, stack)


def settle(database: Database) -> None:
    """The clock at NOW, every job installed, and covered up to now."""
    database.set_clock(NOW)
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ponctuel.job_state (job, zone, covered_through) "
                "SELECT job, 'Europe/Paris', ponctuel.clock() "
                "FROM unnest(CAST(:jobs AS text[])) AS job"
            ),
            {"jobs": list(jobs.NAMES)},
        )
