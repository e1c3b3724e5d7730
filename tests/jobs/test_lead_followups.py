"""A run of lead_followups in assisted mode, on a real database and a real mail server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.leads import proposals
from tests import lead_rows as rows
from tests.harness import NOW, Deployment

JOB = "lead_followups"


@pytest.fixture
def deployment(deployment: Deployment) -> Deployment:
    """Twin businesses with a lead L1 each, which is due for its first follow-up."""
    for business in ("B1", "B2"):
        rows.open_business(deployment, business)
        rows.lead(deployment, business_id=business)
    return deployment


def run(deployment: Deployment, *, hours: float = 6) -> Any:
    deployment.tick(JOB, hours=hours)
    found = deployment.last_run(JOB)
    assert found["status"] == "succeeded", found
    return found["counts"]


def proposed(deployment: Deployment, business: str = "B1") -> list[tuple[str, int, str]]:
    found = deployment.rows(
        "SELECT lead_id, number, state FROM ponctuel.lead_followups "
        "WHERE business_id = :business ORDER BY id",
        business=business,
    )
    return [(row["lead_id"], row["number"], row["state"]) for row in found]


def act(deployment: Deployment, what: str, *reason: str, lead: str = "L1") -> None:
    (row,) = deployment.rows(
        "SELECT id FROM ponctuel.lead_followups WHERE business_id = 'B1' AND lead_id = :lead "
        "AND state IN ('proposed','opened')",
        lead=lead,
    )
    with deployment.database.begin() as connection:
        found = getattr(proposals, what)(connection, "B1", "U1", row["id"], *reason)
    assert found.changed


def test_a_silent_lead_is_proposed_once_to_its_closer_who_is_told_once(
    deployment: Deployment,
) -> None:
    run(deployment)
    run(deployment)
    for business in ("B1", "B2"):
        assert proposed(deployment, business) == [("L1", 1, "proposed")]
    told = deployment.rows(
        "SELECT business_id, user_id, title FROM ponctuel.notifications "
        "WHERE resolved_at IS NULL ORDER BY business_id"
    )
    assert [tuple(row.values()) for row in told] == [
        ("B1", "U1", "1 lead à relancer"),
        ("B2", "U1", "1 lead à relancer"),
    ]
    deployment.deliver()
    mails = deployment.smtp.accepted()
    assert sorted(mail.recipients[0] for mail in mails) == ["u1@b1.example", "u1@b2.example"]
    leads = deployment.rows("SELECT followups FROM ponctuel.leads")
    assert [row["followups"] for row in leads] == [0, 0]  # nothing was confirmed
