"""Where a command looks and acts: the database of this process's settings, or a deployed stage.

A command is two functions: one asks an `Installation` and gives plain data, the other shows plain
data (`--json` prints them instead). Both installations give the same data for the same ledger.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import date

from sqlalchemy import Connection, Engine, text

from chalicelib import jobs
from chalicelib.db.engine import snapshot, transaction
from chalicelib.domain import businesses
from chalicelib.domain.accounts import holds, requesting
from chalicelib.domain.accounts import reading as deletions
from chalicelib.domain.billing import decisions
from chalicelib.domain.billing.explain import explain
from chalicelib.domain.leads import closer_links, listing, pauses
from chalicelib.domain.leads import explain as leads_explain
from chalicelib.errors import NotFound
from chalicelib.outbox import (
    channel_reading,
    inbound_reading,
    letter,
    operator,
    reading,
    sending_limits,
)
from chalicelib.outbox.go_live import go_live
from chalicelib.runner import ledger, quarantine, request, run_detail
from chalicelib.runner.bench import Bench
from chalicelib.runner.invocation import engine_from
from chalicelib.runner.job import Job
from chalicelib.runner.overview import overview, zones_to_resume
from chalicelib.runner.triggers import NextTick
from chalicelib.runner.work import zones
from chalicelib.settings import Settings, settings
from cli.caller import holder, user
from cli.installation import Installation, Row
from cli.source_lists import ContactLists


@dataclass(frozen=True)
class Source(ContactLists):
    """The database that this process's settings name."""

    engine: Engine
    settings: Settings

    def transaction(self) -> AbstractContextManager[Connection]:
        return transaction(self.engine)

    def snapshot(self) -> AbstractContextManager[Connection]:
        """One moment of the database, in which nothing can be written."""
        return snapshot(self.engine)

    def chosen_zones(self, name: str, zone: str | None) -> tuple[Job, list[str]]:
        """The job, and all of its zones or the one asked for. Raises `NotFound`."""
        job = jobs.job(name)
        known = zones(job, self._bench)
        if zone is None:
            return job, known
        if zone not in known:
            raise NotFound(
                f"Le job « {name} » n'a pas le fuseau « {zone} ». Il a : {', '.join(known)}."
            )
        return job, [zone]

    def jobs(self) -> list[Row]:
        return overview(self._bench, [jobs.job(name) for name in jobs.NAMES])

    def runs(self, job: str | None, limit: int) -> list[Row]:
        name = None if job is None else jobs.job(job).name
        with self.transaction() as connection:
            return [run_detail.listed(row) for row in ledger.recent(connection, name, limit)]

    def run(self, wanted: str) -> Row:
        with self.transaction() as connection:
            return run_detail.find(connection, wanted)

    def messages(self, where: Mapping[str, object], limit: int) -> Row:
        with self.transaction() as connection:
            return reading.messages(connection, where, limit=limit)

    def message(self, number: int) -> Row:
        return letter.message(self.engine, number)

    def explain(
        self, document: str, number: str, business_id: str | None, *, force: bool
    ) -> list[Row]:
        with self.snapshot() as connection:
            return explain(connection, document, number, business_id=business_id, force=force)

    def explain_lead(self, id: str, business_id: str | None, *, force: bool) -> list[Row]:
        with self.snapshot() as connection:
            return leads_explain.explain(connection, id, business_id=business_id, force=force)

    def leads(
        self, where: Mapping[str, str | None], *, due: bool, paused: bool, limit: int
    ) -> list[Row]:
        with self.snapshot() as connection:
            return listing.listed(connection, where, due=due, paused=paused, limit=limit)

    def pause_lead(self, id: str, business_id: str | None, until: date | None, reason: str) -> Row:
        with self.transaction() as connection:
            found = pauses.pause(
                connection, id, business_id=business_id, until=until, by=user(), why=reason
            )
        return asdict(found)

    def resume_lead(self, id: str, business_id: str | None, reason: str) -> Row:
        with self.transaction() as connection:
            found = pauses.resume(connection, id, business_id=business_id, by=user(), why=reason)
        return asdict(found)

    def closer_link(self, closer: str, business_id: str | None) -> Row:
        with self.snapshot() as connection:
            return closer_links.give(connection, self.settings, closer, business_id)

    def revoke_closer_links(self, closer: str, business_id: str | None) -> Row:
        with self.transaction() as connection:
            return closer_links.take_back(connection, closer, business_id, by=user())

    def pending(self, business_id: str | None, limit: int) -> Row:
        with self.transaction() as connection:
            return decisions.pending(connection, business_id, limit=limit)

    def quarantine(self, limit: int) -> list[Row]:
        with self.transaction() as connection:
            return quarantine.waiting(connection, limit)

    def pause(self, job: str, reason: str) -> list[str]:
        found, paused = self.chosen_zones(job, None)
        request.pause(self.engine, found, paused, by=user(), reason=reason)
        return paused

    def resume(self, job: str) -> list[str]:
        found = jobs.job(job)
        resumed = zones_to_resume(self._bench, found)
        request.resume(self.engine, found, resumed)
        return resumed

    def act(self, verb: str, ids: Sequence[int], reason: str) -> Row:
        with self.transaction() as connection:
            return asdict(operator.ACTS[verb](connection, ids, by=user(), reason=reason))

    def release_kind(self, business_id: str, kind: str, reason: str) -> Row:
        with self.transaction() as connection:
            return asdict(
                operator.release_kind(connection, business_id, kind, by=user(), reason=reason)
            )

    def go_live(
        self, business_id: str | None, kind: str | None, reason: str, *, discard: bool
    ) -> Row:
        with self.transaction() as connection:
            if business_id is not None:
                businesses.require(connection, business_id)
            went = go_live(
                connection,
                business_id=business_id,
                kind=kind,
                by=user(),
                reason=reason,
                discard=discard,
            )
        return asdict(went)

    def decide(
        self, decision: str, document: str, number: str, business_id: str | None, reason: str
    ) -> Row:
        with self.transaction() as connection:
            return asdict(
                decisions.decide(
                    connection,
                    decision,  # type: ignore[arg-type]  # the command line knows no other
                    document,
                    number,
                    business_id=business_id,
                    by=user(),
                    reason=reason,
                )
            )

    def deletions(self, where: Mapping[str, object], limit: int) -> list[Row]:
        with self.transaction() as connection:
            return deletions.listed(connection, where, limit=limit)

    def deletion(self, user_id: str, business_id: str | None) -> Row:
        with self.transaction() as connection:
            return deletions.of_user(connection, user_id, business_id)

    def request_deletion(self, user_id: str, business_id: str | None) -> Row:
        days = self.settings.account_deletion_days
        with self.transaction() as connection:
            return requesting.request(connection, user_id, business_id, by="operator", days=days)

    def cancel_deletion(self, user_id: str, business_id: str | None) -> Row:
        with self.transaction() as connection:
            return requesting.cancel_of_user(connection, user_id, business_id, by="operator")

    def approve_deletions(self, ids: Sequence[int]) -> Row:
        with self.transaction() as connection:
            return requesting.approve(connection, ids, by=user())

    def holds(self, where: Mapping[str, object], limit: int) -> list[Row]:
        with self.transaction() as connection:
            return holds.listed(connection, where, limit=limit)

    def place_hold(self, business_id: str, user_id: str | None, reason: str) -> Row:
        with self.transaction() as connection:
            return holds.place(connection, business_id, user_id, by=user(), reason=reason)

    def lift_hold(self, number: int, reason: str) -> Row:
        with self.transaction() as connection:
            return holds.lift(connection, number, by=user(), reason=reason)

    def inbound(self, where: Mapping[str, object], limit: int) -> list[Row]:
        with self.transaction() as connection:
            return inbound_reading.inbound(connection, where, limit=limit)

    def channels(self) -> list[Row]:
        with self.transaction() as connection:
            return channel_reading.channels(connection, self.settings)

    def limits(self, business_id: str | None) -> list[Row]:
        with self.transaction() as connection:
            return sending_limits.limits(connection, business_id)

    def set_limits(
        self, business_id: str, channel: str, changed: Mapping[str, int | None]
    ) -> list[Row]:
        with self.transaction() as connection:
            businesses.require(connection, business_id)
            return [sending_limits.set_limits(connection, business_id, channel, changed, by=user())]

    @property
    def _bench(self) -> Bench:
        return Bench(self.engine, self.settings, NextTick(), holder())


@contextmanager
def database(application: str = "cli") -> Iterator[Source]:
    """A source whose connection is closed at the end. Raises `SettingsError`."""
    current = settings()
    engine = engine_from(current, application)
    try:
        yield Source(engine, current)
    finally:
        engine.dispose()


def is_remote(arguments: Namespace) -> bool:
    """Whether the command line asks for a deployed stage."""
    return bool(getattr(arguments, "stage", None) or getattr(arguments, "url", None))


@contextmanager
def opened(arguments: Namespace) -> Iterator[Installation]:
    """The stage of `--stage` or `--url`, or else the database. Raises `PonctuelError`."""
    if is_remote(arguments):
        from cli.remote.stage import stage

        with stage(arguments) as remote:
            yield remote
    else:
        with database() as local:
            yield local


def clock(connection: Connection) -> object:
    """The database's now, aware."""
    return connection.execute(text("SELECT ponctuel.clock()")).scalar_one()
