"""A lead that somebody has paused is left in peace, and followed up again afterwards."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from chalicelib.domain.leads import pauses
from chalicelib.errors import BadRequest, NotFound
from tests import lead_rows as rows
from tests.harness import NOW, Deployment
from tests.jobs import test_lead_followups_api as api

JOB = "lead_followups"
TODAY = NOW.date()


@pytest.fixture
def deployment(deployment: Deployment) -> Deployment:
    """Twin businesses in assisted mode, with a lead L1 each that is due."""
    for business in ("B1", "B2"):
        rows.open_business(deployment, business)
        rows.lead(deployment, business_id=business)
    return deployment


def pause(deployment: Deployment, until: date | None = None, **options: Any) -> pauses.Paused:
    given = {"business_id": "B1", "by": "anne", "why": "en vacances"} | options
    with deployment.database.begin() as connection:
        return pauses.pause(connection, "L1", until=until, **given)


def resume(deployment: Deployment, **options: Any) -> pauses.Paused:
    given = {"business_id": "B1", "by": "paul", "why": "rentré"} | options
    with deployment.database.begin() as connection:
        return pauses.resume(connection, "L1", **given)


def states(deployment: Deployment, business: str = "B1") -> list[tuple[int, str, str | None]]:
    found = deployment.rows(
        "SELECT number, state, reason FROM ponctuel.lead_followups "
        "WHERE business_id = :business AND number > 0 ORDER BY id",
        business=business,
    )
    return [(row["number"], row["state"], row["reason"]) for row in found]


def test_a_paused_lead_is_not_proposed_and_its_twin_is(deployment: Deployment) -> None:
    paused = pause(deployment)
    assert (paused.paused, paused.ends_at) == (True, None)
    left_out = {row["reason"] for row in deployment.rehearse(JOB)["left_out"]}
    assert left_out == {"paused"}
    deployment.tick(JOB, hours=24)
    assert states(deployment) == []
    assert states(deployment, "B2") == [(1, "proposed", None)]
    resume(deployment)
    deployment.tick(JOB, hours=6)
    assert states(deployment) == [(1, "proposed", None)]


def test_what_was_proposed_is_withdrawn_at_once_and_proposed_again_after_the_last_day(
    deployment: Deployment,
) -> None:
    deployment.tick(JOB, hours=1)
    deployment.tick(JOB, hours=6)
    assert states(deployment) == [(1, "proposed", None)]
    paused = pause(deployment, date(2026, 3, 12))
    assert paused.ends_at is not None
    assert paused.ends_at.isoformat() == "2026-03-12T23:00:00+00:00"  # midnight in Paris
    assert states(deployment) == [(1, "cancelled", "paused")]
    unresolved = deployment.rows(
        "SELECT business_id FROM ponctuel.notifications WHERE resolved_at IS NULL"
    )
    assert [row["business_id"] for row in unresolved] == ["B2"]
    deployment.database.set_clock(NOW.replace(day=12, hour=17))
    deployment.tick(JOB, hours=0)
    assert len(states(deployment)) == 1
    deployment.database.set_clock(NOW.replace(day=13, hour=5, minute=1))
    deployment.tick(JOB, hours=0)
    assert states(deployment)[1:] == [(1, "proposed", None)]


def test_a_message_that_was_planned_does_not_leave_and_comes_after_the_pause(
    deployment: Deployment,
) -> None:
    assert deployment.twilio
    deployment.execute("UPDATE ponctuel.lead_settings SET mode = 'api'")
    for business in ("B1", "B2"):
        api.agrees(deployment, business_id=business)
    rows.templates(deployment)
    deployment.database.set_clock(NOW.replace(hour=19))  # 20:00 in Paris: it waits for 9:00
    deployment.tick(JOB, hours=4)
    pause(deployment)
    deployment.tick("deliver_messages", hours=9.1)
    assert api.messages(deployment) == [("1", "cancelled", "paused")]
    assert api.messages(deployment, "B2") == [("1", "accepted", None)]
    deployment.tick(JOB, hours=4)
    assert states(deployment) == [(1, "cancelled", "paused")]
    resume(deployment)
    deployment.tick(JOB, hours=6)
    assert api.messages(deployment)[1:] == [("1", "held", "window")]  # it is evening again


def test_a_later_pause_takes_the_place_of_the_earlier_one_and_all_is_remembered(
    deployment: Deployment,
) -> None:
    pause(deployment, date(2026, 3, 12))
    pause(deployment, by="zoé", why="à la demande du lead")
    resume(deployment)
    with pytest.raises(BadRequest, match="n'est pas en pause"):
        resume(deployment)
    with deployment.database.begin() as connection:
        said = pauses.history(connection, "B1", "L1")
    assert [(one["reason"], one["by"], one["why"], one["in_force"]) for one in said] == [
        ("paused", "anne", "en vacances", False),
        ("paused", "zoé", "à la demande du lead", False),
        ("resumed", "paul", "rentré", False),
    ]


def test_a_pause_is_no_follow_up_of_the_day(deployment: Deployment) -> None:
    deployment.execute("UPDATE ponctuel.lead_settings SET daily_cap = 1")
    pause(deployment)
    rows.lead(deployment, "L2", phone="06 39 98 00 02")
    deployment.tick(JOB, hours=6)
    assert states(deployment) == [(1, "proposed", None)]


def test_a_closer_may_still_say_that_what_was_opened_before_the_pause_was_sent(
    deployment: Deployment,
) -> None:
    from chalicelib.domain.leads import proposals

    id = rows.proposal(deployment)
    with deployment.database.begin() as connection:
        assert proposals.open_(connection, "B1", "U1", id)
    pause(deployment)
    with deployment.database.begin() as connection:
        found = proposals.confirm(connection, "B1", "U1", id)
    assert found is not None
    assert found.changed


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"business_id": None}, BadRequest, "Plusieurs entreprises"),
        ({"business_id": "B9"}, NotFound, "Aucun lead"),
        ({"why": "  "}, BadRequest, "raison"),
        ({"until": date(2026, 3, 9)}, BadRequest, "est passé"),
    ],
)
def test_what_cannot_be_paused_is_refused_in_french(
    deployment: Deployment, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        pause(deployment, **options)
    assert deployment.rows("SELECT 1 FROM ponctuel.lead_followups") == []


@pytest.mark.parametrize("until", [TODAY, date.max])
def test_today_and_the_last_day_that_there_is_are_days_to_come(
    deployment: Deployment, until: date
) -> None:
    pause(deployment, until)
    deployment.tick(JOB, hours=6)
    assert states(deployment) == []
