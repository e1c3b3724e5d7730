"""A confirmation that was a slip is taken back once, while nothing has followed from it."""

from __future__ import annotations

from datetime import datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest

from chalicelib.domain.leads import proposals, undo
from tests import lead_rows as rows
from tests.bring_your_own.views import show
from tests.harness import NOW, Deployment

JOB = "lead_followups"


@pytest.fixture
def deployment(deployment: Deployment) -> Deployment:
    """Twin businesses whose closer U1 has just said that the follow-up of L1 was sent."""
    for business in ("B1", "B2"):
        rows.open_business(deployment, business)
        rows.lead(deployment, business_id=business)
        id = rows.proposal(deployment, business_id=business)
        with deployment.database.begin() as connection:
            proposals.open_(connection, business, "U1", id)
            assert proposals.confirm(connection, business, "U1", id)
    return deployment


def take_back(deployment: Deployment, closer: str = "U1", business: str = "B1") -> Any:
    (row,) = deployment.rows(
        "SELECT min(id) AS id FROM ponctuel.lead_followups WHERE business_id = :business",
        business=business,
    )
    with deployment.database.begin() as connection:
        return undo.undo(connection, business, closer, row["id"])


def lead(deployment: Deployment, business: str = "B1") -> tuple[int, datetime | None]:
    """(followups, last_followup_at, to the minute)."""
    (row,) = deployment.rows(
        "SELECT followups, last_followup_at FROM ponctuel.leads "
        "WHERE business_id = :business AND id = 'L1'",
        business=business,
    )
    last: datetime | None = row["last_followup_at"]
    return row["followups"], last and last.replace(second=0, microsecond=0)


def test_it_is_to_be_sent_again_and_counts_no_more_however_often_one_taps(
    deployment: Deployment,
) -> None:
    assert lead(deployment) == (1, NOW)
    assert [take_back(deployment).changed for _ in range(3)] == [True, False, False]
    assert lead(deployment) == (0, None)
    assert lead(deployment, "B2") == (1, NOW)
    found = take_back(deployment)
    assert (found.state, found.settled_at) == ("opened", None)
    assert found.link is not None
    deployment.tick(JOB, hours=6)  # and the run makes no second one beside it
    states = deployment.rows("SELECT state FROM ponctuel.lead_followups WHERE business_id = 'B1'")
    assert [row["state"] for row in states] == ["opened"]
    with deployment.database.begin() as connection:
        again = proposals.confirm(connection, "B1", "U1", found.id)
    assert again is not None
    assert again.changed
    assert lead(deployment)[0] == 1


def test_four_taps_at_once_take_one_back(deployment: Deployment) -> None:
    deployment.execute("UPDATE ponctuel.leads SET followups = 3")
    together, done = Barrier(4), []

    def tap() -> None:
        together.wait(10)
        done.append(take_back(deployment).changed)

    threads = [Thread(target=tap) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(done) == [False, False, False, True]
    assert lead(deployment)[0] == 2


def test_after_ten_minutes_it_stands(deployment: Deployment) -> None:
    deployment.database.advance(timedelta(minutes=10))
    assert not take_back(deployment).changed
    assert lead(deployment) == (1, NOW)


@pytest.mark.parametrize("state", ["proposed", "planned", "confirmed", "expired"])
def test_where_the_cadence_has_gone_on_it_stands(deployment: Deployment, state: str) -> None:
    rows.proposal(deployment, number=2, state=state)
    assert not take_back(deployment).changed
    assert lead(deployment) == (1, NOW)


def test_a_follow_up_of_the_lead_s_next_stage_keeps_it_too(deployment: Deployment) -> None:
    rows.proposal(deployment, cycle="devis@2026-03-10T09:00:00.000000")
    assert not take_back(deployment).changed


def test_only_who_confirmed_it_may_take_it_back(deployment: Deployment) -> None:
    assert take_back(deployment, "U0") is None
    deployment.execute("UPDATE ponctuel.leads SET closer_id = 'U0'")
    assert not take_back(deployment, "U0").changed
    assert take_back(deployment, "U1") is None
    assert lead(deployment)[0] == 1


def test_the_date_goes_back_to_the_follow_up_before_and_another_s_date_stays(
    deployment: Deployment,
) -> None:
    before = NOW - timedelta(days=2)
    rows.proposal(deployment, number=1, state="confirmed", settled_at=before,
                  cycle="appel@2026-03-01T09:00:00.000000")  # fmt: skip
    other = NOW + timedelta(minutes=2)
    deployment.execute(
        "UPDATE ponctuel.leads SET last_followup_at = :other WHERE business_id = 'B2'", other=other
    )
    assert take_back(deployment).changed
    assert take_back(deployment, business="B2").changed
    assert lead(deployment) == (0, before)
    assert lead(deployment, "B2") == (0, other)


def test_what_had_run_out_before_it_was_confirmed_is_not_proposed_for_ever(
    deployment: Deployment,
) -> None:
    deployment.execute("UPDATE ponctuel.lead_followups SET expires_at = ponctuel.clock()")
    assert take_back(deployment).changed
    deployment.tick(JOB, hours=6)
    (row,) = deployment.rows(
        "SELECT state FROM ponctuel.lead_followups WHERE business_id = 'B1' AND number = 1"
    )
    assert row["state"] == "expired"


def test_it_works_on_views_of_somebodys_own_tables(deployment: Deployment) -> None:
    show(deployment)
    assert take_back(deployment).changed
    assert lead(deployment) == (0, None)
