"""`./ponctuel explain lead`: why a lead is not followed up."""

from __future__ import annotations

import pytest

from tests import lead_rows as rows
from tests.cli.command_line import CommandLine
from tests.harness import Deployment

JOB = "lead_followups"


@pytest.fixture
def deployment(deployment: Deployment) -> Deployment:
    for business in ("B1", "B2"):
        rows.open_business(deployment, business)
        rows.lead(deployment, business_id=business)
    return deployment


def test_a_lead_that_is_due_will_be_followed_up_and_then_waits_for_its_closer(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    answer = ponctuel("explain", "lead", "L1", "--business", "B1")
    assert "Rien ne s'y oppose : le prochain passage le relance." in answer.out
    deployment.tick(JOB, hours=6)
    both = ponctuel("explain", "lead", "L1", "--json").data
    assert [(row["business_id"], row["reason"]) for row in both] == [
        ("B1", "in_flight"),
        ("B2", "in_flight"),
    ]
    assert [f["state"] for f in both[0]["followups"]] == ["proposed"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE ponctuel.lead_settings SET followups_enabled = false", "followups_disabled"),
        ("UPDATE ponctuel.leads SET status = 'won'", "won"),
        ("UPDATE ponctuel.leads SET replied_at = ponctuel.clock()", "replied"),
        ("UPDATE ponctuel.leads SET stage_since = ponctuel.clock()", "not_due"),
        ("UPDATE ponctuel.leads SET phone = NULL", "no_number"),
        ("UPDATE ponctuel.leads SET phone = '3631'", "phone_service"),
        ("UPDATE ponctuel.lead_settings SET mode = 'api'", "no_consent"),
        ("UPDATE ponctuel.lead_settings SET daily_cap = 0", "capped"),
        ("UPDATE ponctuel.users SET active = false", "no_closer"),
    ],
)
def test_the_first_reason_that_holds_is_said_in_french(
    deployment: Deployment, ponctuel: CommandLine, change: str, reason: str
) -> None:
    deployment.execute(change)
    row, _ = ponctuel("explain", "lead", "L1", "--json").data
    assert row["reason"] == reason
    assert row["reason_text"] != reason
    assert f"Pas de relance maintenant : {row['reason_text']}." in " ".join(
        ponctuel("explain", "lead", "L1").out.split()
    )


def test_an_unknown_lead_is_an_error_that_says_so(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    answer = ponctuel("explain", "lead", "L404")
    assert answer.code == 1
    assert "L404" in answer.err
