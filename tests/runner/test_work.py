"""Slots, leases, attempts: what the engine promises about one run and the next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from chalicelib.db.engine import make_engine
from chalicelib.errors import BadRequest, DatabaseUnavailable, LeaseLost, SchemaOutdated
from chalicelib.runner import acquire, lease, progress, request
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.job import Run
from chalicelib.runner.work import rehearse, work
from tests.database import Database
from tests.runner.probe import Probe, Stand, job

HOUR = timedelta(hours=1)
NOW = datetime(2026, 3, 10, 9, 10, tzinfo=UTC)


@pytest.fixture
def stand(database: Database) -> Stand:
    database.set_clock(NOW)
    stand = Stand(database.engine())
    stand.install()
    return stand


def test_a_new_job_starts_with_the_next_slot_not_with_the_past(stand: Stand) -> None:
    assert [r.status for r in stand.work(job())] == ["nothing_due"]
    stand.advance(HOUR)
    assert [r.status for r in stand.work(job())] == ["succeeded"]


def test_a_slot_that_is_delivered_twice_is_covered_once_and_leaves_one_row(stand: Stand) -> None:
    stand.work(job())
    stand.advance(HOUR)
    assert [r.status for r in stand.work(job())] == ["succeeded"]
    assert [r.status for r in stand.work(job())] == ["nothing_due"]
    assert len(stand.runs()) == 1


def test_a_three_day_outage_is_covered_by_one_run(stand: Stand) -> None:
    stand.work(job())
    stand.advance(72 * HOUR)
    stand.work(job())
    run = stand.runs()[0]
    assert (run["slot_from"], run["slot_to"]) == (
        datetime(2026, 3, 10, 10, tzinfo=UTC),
        datetime(2026, 3, 13, 9, tzinfo=UTC),
    )
    assert len(stand.runs()) == 1


def test_a_slot_past_its_usefulness_is_closed_as_too_late_and_not_run(stand: Stand) -> None:
    weekly = job(schedule="0 8 * * 1", late_after=timedelta(days=1))
    stand.install(("B1", "a"))
    stand.work(weekly)
    stand.advance(timedelta(days=10))
    assert [r.status for r in stand.work(weekly)] == ["too_late"]
    run = stand.runs()[0]
    assert (run["status"], run["error_code"]) == ("skipped", "too_late")
    assert stand.done() == []
    assert [r.status for r in stand.work(weekly)] == ["nothing_due"]


def test_run_now_is_the_slot_when_the_rule_ticks_a_little_early(stand: Stand) -> None:
    stand.work(job())
    stand.advance(timedelta(minutes=49, seconds=40))
    assert [r.status for r in stand.work(job())] == ["succeeded"]
    assert stand.runs()[0]["now_at"] == datetime(2026, 3, 10, 10, tzinfo=UTC)


def test_businesses_take_turns_in_a_batch(stand: Stand) -> None:
    stand.install(*[("B1", f"a{n}") for n in range(4)], ("B2", "b0"), ("B3", "c0"))
    stand.work(job())
    stand.advance(HOUR)
    stand.work(job(batch=3))
    assert set(stand.done()[:3]) == {"a0", "b0", "c0"}
    assert len(stand.done()) == 6


def test_the_item_that_fails_is_named_and_all_the_others_are_done(stand: Stand) -> None:
    stand.install(*[("B1", f"i{n:02}") for n in range(40)])
    stand.work(job())
    stand.advance(HOUR)
    assert [r.status for r in stand.work(job(Probe(poison="i17")))] == ["partial"]
    assert sorted(stand.done()) == [f"i{n:02}" for n in range(40) if n != 17]
    errors = stand.rows("SELECT business_id, item, code, error FROM ponctuel.run_errors")
    assert errors == [
        {"business_id": "B1", "item": "i17", "code": "poison", "error": "Cet élément ne va pas."}
    ]
    assert stand.runs()[0]["counts"] == {"done": 39, "failed": 1}


def test_a_run_stops_before_its_deadline_and_goes_on_where_it_was(stand: Stand) -> None:
    stand.install(*[("B1", f"i{n}") for n in range(6)])
    stand.work(job())
    stand.advance(HOUR)
    ends = iter([100.0, 100.0, 100.0, 1.0])
    results = work(job(batch=2), stand.bench(), Deadline(lambda: next(ends)))
    assert [r.status for r in results] == ["continued"]
    assert len(stand.done()) == 4
    assert [r.status for r in stand.work(job(batch=2))] == ["succeeded"]
    assert sorted(stand.done()) == [f"i{n}" for n in range(6)]
    assert len(stand.runs()) == 1


@pytest.mark.parametrize("remaining", [0.0, -0.68])
def test_with_no_time_left_nothing_is_begun(stand: Stand, remaining: float) -> None:
    stand.install(("B1", "a"))
    stand.work(job())
    stand.advance(HOUR)
    assert stand.work(job(), seconds=remaining) == []
    assert stand.runs() == []


def test_an_attempt_that_fails_is_tried_three_times_with_backoff_then_closed(
    stand: Stand,
) -> None:
    stand.install(("B1", "a"))
    stand.work(job())
    stand.advance(HOUR)
    broken = job(steps=())
    object.__setattr__(broken, "steps", (_Broken(),))
    statuses = []
    for _ in range(5):
        statuses += [r.status for r in stand.work(broken)]
        stand.advance(timedelta(minutes=5))
    assert statuses == ["continued", "continued", "failed", "nothing_due", "nothing_due"]
    run = stand.runs()[0]
    assert (run["status"], run["failures"], run["error_code"]) == ("failed", 3, "unexpected")
    stand.advance(HOUR)
    assert [r.status for r in stand.work(job())] == ["succeeded"], "the next slot runs"


class ForeignError(Exception):
    """Foreign to our error tree."""


class _Broken:
    """A step whose very SQL cannot be built."""

    name = "broken"
    batch = 1
    prepare = None

    @property
    def items(self) -> str:
        raise ForeignError("le texte d'une erreur étrangère n'est montré à personne")


def test_a_failed_attempt_is_not_retried_before_its_backoff(stand: Stand) -> None:
    stand.work(job())
    stand.advance(HOUR)
    broken = job(steps=())
    object.__setattr__(broken, "steps", (_Broken(),))
    stand.work(broken)
    assert [r.status for r in stand.work(broken)] == ["retry_later"]


def test_who_lost_the_lease_commits_nothing_more(stand: Stand) -> None:
    stand.install(("B1", "a"))
    stand.work(job())
    stand.advance(HOUR)

    def taken_over() -> None:
        with stand_two.begin() as connection:
            connection.execute(text("UPDATE ponctuel.job_state SET fence = fence + 1"))

    stand_two = make_engine(stand.engine.url, application="other")
    try:
        assert [r.status for r in stand.work(job(Probe(before=taken_over)))] == ["lost"]
    finally:
        stand_two.dispose()
    assert stand.done() == []
    assert stand.runs()[0]["status"] == "running"


def test_a_run_in_progress_is_left_alone_and_adopted_once_its_lease_is_over(
    stand: Stand,
) -> None:
    stand.install(("B1", "a"))
    stand.work(job())
    stand.advance(HOUR)
    with stand.engine.begin() as connection:
        probe = job()
        run = acquire.acquire(
            connection,
            probe,
            "Europe/Paris",
            probe.schedule_in("Europe/Paris", stand.bench().settings),
            acquire.Taker("dead"),
        ).found
        assert isinstance(run, Run)
    assert [r.status for r in stand.work(job())] == ["busy"]
    stand.advance(lease.LEASE + timedelta(seconds=1))
    assert [(r.status, r.run_id) for r in stand.work(job())] == [("succeeded", run.id)]
    with pytest.raises(LeaseLost), stand.engine.begin() as connection:
        lease.keep(connection, "probe", "Europe/Paris", run.id, run.fence)


def test_a_call_by_hand_runs_now_and_covers_the_slots_that_were_due(stand: Stand) -> None:
    stand.work(job())
    stand.advance(HOUR)
    run_id = request.request(stand.engine, job(), "Europe/Paris", door="http", by="cron")
    assert [(r.status, r.run_id) for r in stand.work(job())] == [("succeeded", run_id)]
    run = stand.runs()[0]
    assert run["slot_to"] == datetime(2026, 3, 10, 10, tzinfo=UTC)
    assert [r.status for r in stand.work(job())] == ["nothing_due"]


def test_calls_during_a_run_share_one_run_that_follows_it(stand: Stand) -> None:
    stand.install(("B1", "a"))
    stand.work(job())
    stand.advance(HOUR)
    asked: list[UUID] = []

    def call_twice() -> None:
        if not asked:
            engine = make_engine(stand.engine.url, application="caller")
            for _ in range(2):
                asked.append(request.request(engine, job(), "Europe/Paris", door="http"))
            engine.dispose()

    results = stand.work(job(Probe(before=call_twice), batch=1))
    assert [r.status for r in results] == ["succeeded", "succeeded"]
    assert asked == [results[1].run_id] * 2
    assert len(stand.runs()) == 2


def test_two_calls_before_the_run_begins_are_answered_with_the_same_run(stand: Stand) -> None:
    first = request.request(stand.engine, job(), "Europe/Paris", door="http")
    assert request.request(stand.engine, job(), "Europe/Paris", door="http") == first


def test_a_paused_job_ignores_ticks_and_answers_calls_with_the_reason(stand: Stand) -> None:
    stand.work(job())
    request.pause(stand.engine, job(), ["Europe/Paris"], by="Léa", reason="migration en cours")
    stand.advance(5 * HOUR)
    assert [r.status for r in stand.work(job())] == ["paused"]
    run_id = request.request(stand.engine, job(), "Europe/Paris", door="http")
    run = request.run_or_raise(stand.engine, run_id)
    assert run["status"] == "skipped"
    assert "migration en cours" in str(run["error"])


def test_an_operator_may_run_a_paused_job_and_resuming_covers_what_was_missed_once(
    stand: Stand,
) -> None:
    stand.work(job())
    request.pause(stand.engine, job(), ["Europe/Paris"], by="Léa", reason="essai")
    run_id = request.request(stand.engine, job(), "Europe/Paris", door="cli", operator=True)
    results = stand.work(job())
    assert [(r.status, r.run_id) for r in results[:1]] == [("succeeded", run_id)]
    stand.advance(5 * HOUR)
    request.resume(stand.engine, job(), ["Europe/Paris"])
    assert [r.status for r in stand.work(job())] == ["succeeded"]
    assert len(stand.runs()) == 2


def test_a_pause_needs_a_reason(stand: Stand) -> None:
    with pytest.raises(BadRequest, match="raison"):
        request.pause(stand.engine, job(), ["Europe/Paris"], by="Léa", reason="  ")


def test_a_dry_run_writes_nothing_but_its_own_row(stand: Stand) -> None:
    stand.install(("B1", "a"))
    run_id = request.request_dry_run(stand.engine, job(), "Europe/Paris", door="cli")
    assert rehearse(job(), run_id, stand.bench()) == "succeeded"
    run = request.run_or_raise(stand.engine, run_id)
    assert run["report"] == {
        "changes": [{"business_id": "B1", "item": "a"}],
        "messages": [],
        "left_out": [],
    }
    assert stand.rows("SELECT * FROM ponctuel.job_state") == []
    assert stand.rows("SELECT * FROM ponctuel.run_items") == []
    assert rehearse(job(), run_id, stand.bench()) == "lost", "it is done once"


def test_a_dry_run_that_tries_to_write_is_refused_by_the_database(stand: Stand) -> None:
    class Writes(Probe):
        def preview(self, run, connection, batch):  # type: ignore[no-untyped-def]  # a test's double
            connection.execute(text("DELETE FROM ponctuel.probe_due"))

    run_id = request.request_dry_run(stand.engine, job(), "Europe/Paris", door="cli")
    with pytest.raises(DatabaseUnavailable, match="lecture seule"):
        rehearse(job(Writes()), run_id, stand.bench())


def test_as_of_needs_a_time_zone(stand: Stand) -> None:
    with pytest.raises(BadRequest, match="fuseau"):
        request.request_dry_run(
            stand.engine,
            job(),
            "Europe/Paris",
            door="http",
            as_of=datetime(2026, 3, 10),  # noqa: DTZ001
        )


def test_an_older_schema_stops_the_handler_before_it_touches_anything(stand: Stand) -> None:
    stand.work(job())
    stand.advance(HOUR)
    with stand.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE ponctuel.schema_versions SET version_num = 'ledger_0000' "
                "WHERE version_num LIKE 'ledger%'"
            )
        )
    with pytest.raises(SchemaOutdated):
        stand.work(job())
    assert stand.runs() == []


def test_a_job_in_business_zone_runs_once_per_zone_for_that_zones_businesses(
    stand: Stand,
) -> None:
    with stand.engine.begin() as connection:
        for name, zone in (("B1", "Europe/Paris"), ("R1", "Indian/Reunion"), ("X", "Nulle/Part")):
            connection.execute(
                text("INSERT INTO ponctuel.businesses (id, name, zone) VALUES (:n, :n, :z)"),
                {"n": name, "z": zone},
            )
    local = job(zone="business", schedule="0 13 * * *")
    stand.work(local)
    stand.advance(2 * HOUR)  # 12:10 in Paris, 15:10 in Saint-Denis … installed at 13:10 there
    assert {(r.zone, r.status) for r in stand.work(local)} == {
        ("Europe/Paris", "nothing_due"),
        ("Indian/Reunion", "nothing_due"),
        ("Nulle/Part", "unusable_zone"),
    }
    stand.advance(HOUR)
    ran = {(r.zone, r.status) for r in stand.work(local)}
    assert ("Europe/Paris", "succeeded") in ran
    assert ("Indian/Reunion", "nothing_due") in ran


def test_a_quiet_job_that_found_nothing_leaves_no_row(stand: Stand) -> None:
    quiet = job(quiet=True)
    stand.work(quiet)
    stand.advance(HOUR)
    assert [r.status for r in stand.work(quiet)] == ["succeeded"]
    assert stand.runs() == []
    stand.install(("B1", "a"))
    stand.advance(HOUR)
    stand.work(quiet)
    assert len(stand.runs()) == 1


def test_an_older_lease_cannot_cover_slots(stand: Stand) -> None:
    stand.work(job())
    stand.advance(HOUR)
    probe = job()
    with stand.engine.begin() as connection:
        run = acquire.acquire(
            connection,
            probe,
            "Europe/Paris",
            probe.schedule_in("Europe/Paris", stand.bench().settings),
            acquire.Taker("a"),
        ).found
    assert isinstance(run, Run)
    stand.advance(lease.LEASE + timedelta(seconds=1))
    stand.work(job())
    with pytest.raises(LeaseLost), stand.engine.begin() as connection:
        progress.close(connection, run, "succeeded")
