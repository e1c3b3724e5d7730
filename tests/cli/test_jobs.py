"""`jobs`, `runs`, `show` and `preview`: what runs when, and what ran."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.runner.schedule import Schedule, time_zone
from cli.preview import preview
from cli.schedule_words import in_words
from tests.cli.command_line import CommandLine
from tests.harness import Deployment

SCHEDULES = ("0 * * * *", "30 2 * * *", "*/20 1-3 * * *", "0 10 * * 1", "0 7 1,L * *", "15 0 * 3 *")
ZONES = ("Europe/Paris", "Australia/Lord_Howe", "America/Santiago", "Indian/Reunion")


def test_each_job_is_listed_with_its_schedule_last_run_and_next_slots(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.tick()
    answer = ponctuel("jobs")
    assert answer.code == 0
    assert "toutes les heures 10/03/2026 11:00" in answer.words
    assert "heure de Paris réussie, n° 1" in answer.words
    row = ponctuel("jobs", "--json").data[0]
    assert row["job"] == "followups"
    assert row["next"] == [f"2026-03-10T{hour}:00:00.000Z" for hour in (11, 12, 13)]
    assert (row["last_run"]["status"], row["paused"], row["running"]) == ("succeeded", None, False)
    ponctuel("pause", "followups", "--reason", "inventaire")
    assert "inventaire" in ponctuel("jobs").out
    assert ponctuel("jobs", "--json").data[0]["paused"]["reason"] == "inventaire"


def test_one_jobs_unusable_schedule_does_not_hide_the_others(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEDULE_FOLLOWUPS", "0 25 * * *")
    answer = ponctuel("jobs")
    assert answer.code == 0
    assert "l’heure doit aller de 0 à 23" in answer.words
    assert "chaque minute" in answer.words


def test_a_run_is_found_again_by_its_number_or_its_id(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business(zone="Mars/Olympus")
    ponctuel("run", "followups", "--reason", "essai")
    ponctuel("run", "followups", "--dry-run")
    listed = ponctuel("runs", "followups")
    assert "à blanc" in listed.words
    shown = ponctuel("show", "1")
    assert "Exécution n° 1 en partie" in shown.out
    assert "raison essai" in shown.words
    assert "bad_zone Fuseau horaire inconnu" in shown.words
    assert "Aucun message ne serait prévu" in ponctuel("show", "2").words
    (run,) = ponctuel("runs", "--limit", "1", "--json").data
    assert run["number"] == 2
    assert ponctuel("show", run["id"], "--json").data["number"] == 2
    for wrong in ("99", "9" * 30, "00000000-0000-0000-0000-000000000000", "hier"):
        assert ponctuel("show", wrong).code == 1
    assert ponctuel("runs", "nope").code == 1


def test_the_year_preview_points_out_clock_changes_and_holidays(ponctuel: CommandLine) -> None:
    answer = ponctuel("preview", "followups", "--from", "2026-01-01", "--days", "365")
    assert answer.code == 0
    assert "8760 créneaux en 365 jours" in answer.words
    assert "mars 2026 743 29 : l'heure avance de 1 h, 23 créneaux" in answer.words
    assert "octobre 2026 745 25 : l'heure recule de 1 h, 25 créneaux" in answer.words
    assert "14 : férié (Fête nationale)" in answer.words
    data = ponctuel(
        "preview", "followups", "--from", "2026-03-29", "--zone", "Indian/Reunion", "--json"
    ).data
    assert data["next"][0] == "2026-03-28T20:00:00.000Z"
    assert len(data["next"]) == 10
    assert not [remark for remark in data["remarks"] if "clock_change" in remark]
    assert ponctuel("preview", "followups", "--zone", "Mars/Olympus").code == 1


@given(
    st.sampled_from(SCHEDULES),
    st.sampled_from(ZONES),
    st.dates(date(2024, 1, 1), date(2028, 1, 1)),
    st.integers(1, 60),
)
@settings(max_examples=40, deadline=None)
def test_a_preview_counts_exactly_the_slots_that_there_are(
    expression: str, zone: str, first: date, days: int
) -> None:
    schedule = Schedule.parse(expression, zone)
    data = preview(schedule, first, days)
    around = timedelta(days=2)
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    slots = [
        slot
        for slot in schedule.between(start - around, start + timedelta(days=days) + around)
        if first <= slot.astimezone(time_zone(zone)).date() < first + timedelta(days=days)
    ]
    assert data["slots"] == len(slots)
    assert data["next"][: len(slots)] == slots[:10]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "chaque minute"),
        ("*/5 * * * *", "toutes les 5 minutes"),
        ("0 * * * *", "toutes les heures"),
        ("15 * * * *", "toutes les heures, à la minute 15"),
        ("0 */6 * * *", "toutes les 6 heures"),
        ("30 0 * * *", "chaque jour à 0 h 30"),
        ("0 8,14 * * *", "chaque jour à 8 h et 14 h"),
        ("0 10 * * 1", "chaque lundi à 10 h"),
        ("0 9 * * 1-5", "du lundi au vendredi à 9 h"),
        ("0 7 2 * *", "le 2 du mois à 7 h"),
        ("0 7 1,L * *", "le 1er et le dernier jour du mois à 7 h"),
    ],
)
def test_schedules_are_told_in_words(expression: str, words: str) -> None:
    assert in_words(expression) == words


@pytest.mark.parametrize(
    "expression",
    ["*/7 * * * *", "0 */5 * * *", "0 0 1 1 *", "0 0 13 * 5", "0-30 * * * *", "0 9 * * 5L"],
)
def test_a_schedule_that_words_would_distort_is_told_as_it_is_written(expression: str) -> None:
    assert in_words(expression) == expression


def test_who_asked_over_http_is_told_in_french(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    ponctuel("run", "followups", "--dry-run")
    for caller, told in (("bearer", "secret dans l'en-tête"), ("query", "secret dans l'adresse")):
        deployment.execute(
            "UPDATE ponctuel.runs SET door = 'http', requested_by = :caller", caller=caller
        )
        for answer in (ponctuel("runs"), ponctuel("show", "1")):
            assert f"HTTP ({told})" in answer.words
            assert caller not in answer.words
