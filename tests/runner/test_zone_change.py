"""A job whose time zone is changed, or whose zones come later, is still one job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from chalicelib.runner import request
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.job import BUSINESS_ZONE, Job
from chalicelib.runner.work import work, zones
from tests.database import Database
from tests.runner.probe import Stand, job

HOUR = timedelta(hours=1)
NOW = datetime(2026, 3, 10, 9, 10, tzinfo=UTC)
PARIS, REUNION = "Europe/Paris", "Indian/Reunion"
ITEMS = [f"i{n}" for n in range(6)]


@pytest.fixture
def stand(database: Database) -> Stand:
    database.set_clock(NOW)
    stand = Stand(database.engine())
    stand.install(*[("B1", item) for item in ITEMS])
    return stand


def open_business(stand: Stand, id: str, zone: str) -> None:
    with stand.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO ponctuel.businesses (id, name, zone) VALUES (:id, :id, :zone)"),
            {"id": id, "zone": zone},
        )


def interrupt(stand: Stand, probe: Job) -> None:
    """A run of the probe that stops after two of its six items."""
    stand.work(probe)
    stand.advance(HOUR)
    left = iter([100.0, 100.0, 1.0])
    results = work(probe, stand.bench(), Deadline(lambda: next(left, 1.0)))
    assert [result.status for result in results] == ["continued"]
    assert 0 < len(stand.done()) < len(ITEMS)


@pytest.mark.parametrize("chosen", [REUNION, BUSINESS_ZONE])
def test_a_run_that_is_unfinished_when_the_zone_changes_is_finished_all_the_same(
    stand: Stand, chosen: str
) -> None:
    open_business(stand, "B1", REUNION)
    probe = job(batch=2)
    interrupt(stand, probe)
    stand.environment["ZONE_PROBE"] = chosen
    stand.work(probe)
    assert sorted(stand.done()) == ITEMS
    assert [run["status"] for run in stand.runs()] == ["succeeded"]


def test_a_run_of_a_zone_that_no_business_is_in_any_more_is_finished(stand: Stand) -> None:
    open_business(stand, "B1", PARIS)
    probe = job(zone=BUSINESS_ZONE, batch=2)
    interrupt(stand, probe)
    with stand.engine.begin() as connection:
        connection.execute(text("UPDATE ponctuel.businesses SET zone = :zone"), {"zone": REUNION})
    stand.work(probe)
    assert sorted(stand.done()) == ITEMS
    assert stand.runs()[0]["status"] == "succeeded"


def test_once_the_unfinished_run_has_ended_the_old_zone_starts_no_other(stand: Stand) -> None:
    probe = job(batch=2)
    interrupt(stand, probe)
    stand.environment["ZONE_PROBE"] = REUNION
    stand.work(probe)
    for _ in range(3):
        stand.advance(HOUR)
        stand.work(probe)
    zones_of_runs = [run["zone"] for run in stand.runs()]
    assert zones_of_runs[:1] == [PARIS]
    assert set(zones_of_runs[1:]) == {REUNION}


def test_a_pause_of_a_business_zone_job_holds_in_the_zones_that_come_later(stand: Stand) -> None:
    open_business(stand, "B1", PARIS)
    probe = job(zone=BUSINESS_ZONE)
    stand.work(probe)
    request.pause(stand.engine, probe, zones(probe, stand.bench()), by="Léa", reason="vérification")
    open_business(stand, "B2", REUNION)
    stand.work(probe)
    stand.advance(HOUR)
    assert {result.zone: result.status for result in stand.work(probe)} == {
        PARIS: "paused",
        REUNION: "paused",
    }
    assert stand.done() == []


def test_the_end_of_a_pause_is_the_end_of_it_in_every_zone(stand: Stand) -> None:
    open_business(stand, "B1", PARIS)
    probe = job(zone=BUSINESS_ZONE)
    stand.work(probe)
    request.pause(stand.engine, probe, zones(probe, stand.bench()), by="Léa", reason="vérification")
    open_business(stand, "B2", REUNION)
    stand.work(probe)
    request.resume(stand.engine, probe, zones(probe, stand.bench()))
    stand.advance(HOUR)
    assert {result.status for result in stand.work(probe)} == {"succeeded"}


def test_a_job_that_is_paused_is_paused_whatever_its_zone_becomes(stand: Stand) -> None:
    probe = job()
    stand.work(probe)
    request.pause(stand.engine, probe, [PARIS], by="Léa", reason="vérification")
    stand.environment["ZONE_PROBE"] = REUNION
    stand.work(probe)
    stand.advance(HOUR)
    assert [result.status for result in stand.work(probe)] == ["paused"]
