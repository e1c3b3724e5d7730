"""Other people's tables hold anything: what one business has there never stops the others."""

from __future__ import annotations

import pytest

from tests import lead_rows as rows
from tests.bring_your_own.views import show
from tests.harness import Deployment

JOB = "lead_followups"
SPOILT = {
    "lead_cadences.delay_hours": "CASE business_id WHEN 'B2' THEN 2147483647 ELSE delay_hours END",
    "lead_cadences.variant": "CASE business_id WHEN 'B2' THEN NULL ELSE variant END",
    "lead_settings.daily_cap": "CASE business_id WHEN 'B2' THEN NULL ELSE daily_cap END",
    "lead_settings.mode": "CASE business_id WHEN 'B2' THEN 'manuel' ELSE mode END",
    "lead_settings.window_end": "CASE business_id WHEN 'B2' THEN time '24:00' ELSE window_end END",
    "lead_settings.window_start": "CASE business_id WHEN 'B2' THEN NULL ELSE window_start END",
    "lead_settings.expire_hours": "CASE business_id WHEN 'B2' THEN NULL ELSE expire_hours END",
    "leads.stage": "CASE business_id WHEN 'B2' THEN NULL ELSE stage END",
    "leads.stage_since": "CASE business_id WHEN 'B2' THEN 'infinity' ELSE stage_since END",
    "leads.last_followup_at": "CASE business_id WHEN 'B2' THEN '-infinity' ELSE stage_since END",
    "leads.name": "CASE business_id WHEN 'B2' THEN NULL ELSE name END",
    "leads.phone": "CASE business_id WHEN 'B2' THEN repeat('6', 100000) ELSE phone END",
    "leads.zone": "CASE business_id WHEN 'B2' THEN '../../etc/passwd' ELSE zone END",
    "users.email": "CASE business_id WHEN 'B2' THEN repeat('@', 100000) ELSE email END",
}


@pytest.mark.parametrize("column", SPOILT)
def test_the_neighbours_leads_are_followed_up_whatever_a_business_has_in_its_rows(
    deployment: Deployment, column: str
) -> None:
    for business in ("B1", "B2"):
        rows.open_business(deployment, business)
        rows.lead(deployment, business_id=business)
        rows.cadence(deployment, "nouveau", (24, "relance"), business_id=business)
    show(deployment, {column: SPOILT[column]}, column.partition(".")[0])
    deployment.tick(JOB, hours=6)
    deployment.tick(JOB, hours=18)
    made = deployment.rows(
        "SELECT business_id FROM ponctuel.lead_followups WHERE state = 'proposed'"
    )
    assert "B1" in {row["business_id"] for row in made}
    assert deployment.last_run(JOB)["status"] in ("succeeded", "partial")


def test_a_relation_that_shows_everything_twice_makes_one_follow_up(deployment: Deployment) -> None:
    rows.open_business(deployment)
    rows.lead(deployment)
    for name in ("leads", "users", "businesses", "lead_settings"):
        deployment.execute("CREATE SCHEMA IF NOT EXISTS theirs")
        deployment.execute(f"ALTER TABLE ponctuel.{name} SET SCHEMA theirs")
        deployment.execute(
            f"CREATE VIEW ponctuel.{name} AS SELECT * FROM theirs.{name} "
            f"UNION ALL SELECT * FROM theirs.{name}"
        )
    deployment.tick(JOB, hours=6)
    assert deployment.last_run(JOB)["status"] == "succeeded"
    assert len(deployment.rows("SELECT 1 FROM ponctuel.lead_followups")) == 1
    assert len(deployment.rows("SELECT 1 FROM ponctuel.notifications")) == 1
