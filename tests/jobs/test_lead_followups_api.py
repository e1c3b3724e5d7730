"""A run of lead_followups in API mode: WhatsApp messages, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.outbox import consents
from tests import lead_rows as rows
from tests.harness import NOW, Deployment

JOB = "lead_followups"
PHONE = "+33639980001"


@pytest.fixture
def deployment(deployment: Deployment) -> Deployment:
    """Twin businesses in API mode, with a lead L1 each, who has agreed."""
    assert deployment.twilio
    for business in ("B1", "B2"):
        rows.open_business(deployment, business, mode="api")
        rows.lead(deployment, business_id=business)
        agrees(deployment, business_id=business)
    rows.templates(deployment)
    return deployment


def agrees(deployment: Deployment, contact: str = PHONE, business_id: str = "B1") -> None:
    with deployment.database.begin() as connection:
        consents.grant(
            connection,
            business_id=business_id,
            channel="whatsapp",
            contact=contact,
            source="formulaire du site",
        )


def run(deployment: Deployment, *, hours: float = 6) -> Mapping[str, Any]:
    deployment.tick(JOB, hours=hours)
    found = deployment.last_run(JOB)
    assert found["status"] == "succeeded", found
    counts: Mapping[str, Any] = found["counts"]
    return counts


def followups(deployment: Deployment, business: str = "B1") -> list[tuple[int, str, str | None]]:
    found = deployment.rows(
        "SELECT number, state, reason FROM ponctuel.lead_followups "
        "WHERE business_id = :business ORDER BY id",
        business=business,
    )
    return [(row["number"], row["state"], row["reason"]) for row in found]


def messages(deployment: Deployment, business: str = "B1") -> list[tuple[str, str, str | None]]:
    """(step, state, why) of the follow-ups by WhatsApp."""
    found = deployment.messages(business_id=business, kind="leads.followup")
    return [(m["step"], m["state"], m["error_code"] or m["hold_reason"]) for m in found]


def counted(deployment: Deployment) -> dict[str, int]:
    found = deployment.rows("SELECT business_id, followups FROM ponctuel.leads WHERE id = 'L1'")
    return {row["business_id"]: row["followups"] for row in found}


def test_a_silent_lead_is_written_to_and_it_counts_once_accepted(deployment: Deployment) -> None:
    counts = run(deployment)
    assert (counts["planned"], counts["sent"]) == (2, 2)
    sent = deployment.twilio.accepted()
    assert [entry.recipient for entry in sent] == [PHONE, PHONE]
    assert counted(deployment) == {"B1": 0, "B2": 0}
    assert run(deployment)["followups_sent"] == 2
    assert counted(deployment) == {"B1": 1, "B2": 1}
    assert followups(deployment) == [(1, "confirmed", None)]
    run(deployment, hours=36)
    assert len(deployment.twilio.accepted()) == 2  # two days after the first one, not before
    run(deployment, hours=6)
    assert messages(deployment) == [("1", "accepted", None), ("2", "accepted", None)]


def test_without_consent_nothing_is_planned_and_it_comes_once_there_is_one(
    deployment: Deployment,
) -> None:
    deployment.execute("UPDATE ponctuel.consents SET withdrawn_at = ponctuel.clock()")
    run(deployment)
    assert followups(deployment) == []
    left_out = deployment.rehearse(JOB)["left_out"]
    assert {row["reason"] for row in left_out} == {"no_consent"}
    agrees(deployment)
    run(deployment, hours=18)
    assert messages(deployment) == [("1", "accepted", None)]
    assert messages(deployment, "B2") == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("status = 'won'", "won"),
        ("replied_at = ponctuel.clock()", "replied"),
        ("opted_out = true", "opted_out"),
        ("stage = 'devis', stage_since = ponctuel.clock()", "stage_changed"),
    ],
)
def test_what_changes_between_planning_and_sending_is_read_again(
    deployment: Deployment, change: str, reason: str
) -> None:
    deployment.database.set_clock(NOW.replace(hour=19))  # 20:00 in Paris: it waits for 9:00
    run(deployment, hours=4)
    assert messages(deployment) == [("1", "held", "window")]
    deployment.execute(f"UPDATE ponctuel.leads SET {change} WHERE business_id = 'B1'")
    deployment.tick("deliver_messages", hours=9.1)
    assert messages(deployment) == [("1", "cancelled", reason)]
    assert messages(deployment, "B2") == [("1", "accepted", None)]
    run(deployment, hours=4)
    assert followups(deployment)[0][:2] == (1, "cancelled")
    assert counted(deployment) == {"B1": 0, "B2": 1}


def test_a_stop_after_planning_keeps_the_message_from_leaving_and_the_next_ones_too(
    deployment: Deployment,
) -> None:
    deployment.database.set_clock(NOW.replace(hour=19))
    run(deployment, hours=4)
    rows.suppress(deployment, PHONE)
    deployment.tick("deliver_messages", hours=9.1)
    assert messages(deployment) == [("1", "cancelled", "opted_out")]
    for _ in range(3):
        run(deployment, hours=60)
    assert len(messages(deployment)) == 1
    assert len(messages(deployment, "B2")) > 1
    assert counted(deployment)["B1"] == 0


def test_a_stop_after_the_message_was_claimed_and_its_quota_reserved_still_keeps_it(
    deployment: Deployment,
) -> None:
    deployment.execute(
        "CREATE FUNCTION meanwhile() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO ponctuel.suppressions (business_id, channel, contact, reason, at) "
        f"VALUES ('B1', 'whatsapp', '{PHONE}', 'stop', ponctuel.clock()) "
        "ON CONFLICT DO NOTHING; RETURN NULL; END $$"
    )
    deployment.execute(
        "CREATE TRIGGER meanwhile AFTER UPDATE ON ponctuel.messages FOR EACH ROW "
        "WHEN (NEW.state = 'claimed' AND NEW.business_id = 'B1') EXECUTE FUNCTION meanwhile()"
    )
    run(deployment)
    assert messages(deployment) == [("1", "cancelled", "opted_out")]
    assert messages(deployment, "B2") == [("1", "accepted", None)]
    assert len(deployment.twilio.accepted()) == 1
    assert counted(deployment)["B1"] == 0


def test_a_template_that_whatsapp_has_paused_counts_for_nothing_until_it_is_back(
    deployment: Deployment,
) -> None:
    deployment.twilio.fail("refuse", code=63041)
    for _ in range(4):
        run_any(deployment)
    assert messages(deployment) == [("1", "held", "template_paused")]
    assert counted(deployment)["B1"] == 0
    deployment.twilio.heal()
    for _ in range(4):
        deployment.tick("deliver_messages", hours=6)
    assert messages(deployment) == [("1", "accepted", None)]
    run(deployment)
    assert counted(deployment)["B1"] == 1


def test_a_number_that_is_not_on_whatsapp_is_refused_once_and_left_alone(
    deployment: Deployment,
) -> None:
    deployment.twilio.fail("refuse", code=63024, count=1)
    for _ in range(12):
        run_any(deployment)
    refused = {b: messages(deployment, b) for b in ("B1", "B2")}
    (business,) = [b for b, found in refused.items() if found[0][1] == "refused"]
    assert len(refused[business]) == 1
    assert followups(deployment, business)[0][1] == "skipped"
    assert counted(deployment)[business] == 0


def test_a_revoked_token_loses_nothing(deployment: Deployment) -> None:
    deployment.twilio.fail("refuse", code=20003)
    run_any(deployment)
    assert deployment.twilio.accepted() == []
    assert followups(deployment) == [(1, "planned", None)]
    deployment.twilio.heal()
    for _ in range(3):
        deployment.tick("deliver_messages", hours=1)
    assert messages(deployment) == [("1", "accepted", None)]
    run(deployment)
    assert counted(deployment) == {"B1": 1, "B2": 1}


def run_any(deployment: Deployment, hours: float = 6) -> None:
    deployment.tick(JOB, hours=hours)


def test_an_outage_of_thirty_days_makes_one_message_of_each_lead(deployment: Deployment) -> None:
    run(deployment, hours=30 * 24)
    run(deployment)
    assert messages(deployment) == [("1", "accepted", None)]


def test_each_lead_is_written_to_in_the_hours_of_its_own_place(deployment: Deployment) -> None:
    places = {"L2": "0692 00 00 01", "L3": "0690 00 00 01", "L4": "0694 20 00 01"}
    for lead, phone in places.items():
        rows.lead(deployment, lead, phone=phone)
    rows.lead(deployment, "L5", phone="06 39 98 00 05", zone="Pacific/Tahiti")
    for contact in ("+262692000001", "+590690000001", "+594694200001", "+33639980005"):
        agrees(deployment, contact)
    deployment.database.set_clock(datetime(2026, 3, 10, 22, 59, tzinfo=UTC))
    run(deployment, hours=1 / 60)
    opens = {m["subject"]: m["not_before"] for m in deployment.messages(business_id="B1")}
    day = datetime(2026, 3, 11, tzinfo=UTC)
    assert opens["L1"] == day + timedelta(hours=8)  # Paris, UTC+1
    assert opens["L2"] == day + timedelta(hours=5)  # La Réunion, UTC+4
    assert opens["L3"] == day + timedelta(hours=13)  # Guadeloupe, UTC-4
    assert opens["L4"] == day + timedelta(hours=12)  # Cayenne, UTC-3
    assert opens["L5"] < day  # it is 13:00 in Tahiti


def test_a_business_that_goes_over_to_assisted_mode_has_its_leads_proposed(
    deployment: Deployment,
) -> None:
    deployment.database.set_clock(NOW.replace(hour=19))
    run(deployment, hours=4)
    deployment.execute("UPDATE ponctuel.lead_settings SET mode = 'assisted'")
    deployment.tick("deliver_messages", hours=9.1)
    assert messages(deployment) == [("1", "cancelled", "mode_changed")]
    for _ in range(2):
        run(deployment)
    assert followups(deployment) == [
        (1, "cancelled", "withdrawn"),
        (1, "proposed", None),
    ]


def test_a_dry_run_plans_what_the_real_run_plans(deployment: Deployment) -> None:
    rows.lead(deployment, "L2", phone="3631")
    report = deployment.rehearse(JOB)
    found = [m for m in report["messages"] if m["kind"] == "leads.followup"]
    keys = [(m["business_id"], m["subject"], m["step"]) for m in found]
    assert keys == [("B1", "L1", "1"), ("B2", "L1", "1")]
    assert all(m["letter"]["ready"] for m in found)
    run(deployment)
    planned = [m for m in deployment.messages() if m["kind"] == "leads.followup"]
    assert [(m["business_id"], m["subject"], m["step"]) for m in planned] == keys


def test_a_lead_who_hides_the_number_is_written_to_by_metas_id(deployment: Deployment) -> None:
    deployment.execute(
        "UPDATE ponctuel.leads SET phone = NULL, whatsapp_user_id = 'FR.123456789' "
        "WHERE business_id = 'B1'"
    )
    agrees(deployment, "FR.123456789")
    run_any(deployment)
    (message,) = deployment.messages(business_id="B1")
    assert (message["recipient"], message["step"]) == ("FR.123456789", "1")


def test_a_lead_that_goes_on_while_its_message_waits_is_followed_up_in_the_new_stage_at_once(
    deployment: Deployment,
) -> None:
    for stage in ("nouveau", "devis"):
        rows.cadence(deployment, stage, (1, "relance"))
    deployment.database.set_clock(datetime(2026, 3, 13, 19, tzinfo=UTC))  # a Friday evening
    run(deployment, hours=4)
    assert messages(deployment) == [("1", "held", "window")]
    deployment.execute(
        "UPDATE ponctuel.leads SET stage = 'devis', stage_since = ponctuel.clock() "
        "WHERE business_id = 'B1'"
    )
    assert run(deployment)["planned"] == 1
    assert followups(deployment) == [(1, "cancelled", "stage_changed"), (1, "planned", None)]
    deployment.tick("deliver_messages", hours=52)
    deployment.tick("deliver_messages", hours=1)  # Monday morning
    run(deployment)
    assert messages(deployment) == [
        ("1", "cancelled", "stage_changed"),
        ("1", "accepted", None),
    ]
    assert followups(deployment)[1:] == [(1, "confirmed", None)]
    assert counted(deployment) == {"B1": 1, "B2": 1}


def test_no_message_is_planned_whose_follow_up_could_not_be_recorded(
    deployment: Deployment,
) -> None:
    for stage in ("nouveau", "devis"):
        rows.cadence(deployment, stage, (1, "relance"))
    deployment.twilio.fail("accept_then_close")
    run_any(deployment)
    assert [state for _, state, _ in messages(deployment)] == ["uncertain"]
    deployment.twilio.heal()
    deployment.execute(
        "UPDATE ponctuel.leads SET stage = 'devis', stage_since = ponctuel.clock() "
        "WHERE business_id = 'B1'"
    )
    deployment.tick(JOB, hours=2)
    recorded = deployment.rows(
        "SELECT cycle, number::text AS step FROM ponctuel.lead_followups WHERE business_id = 'B1'"
    )
    planned = deployment.messages(business_id="B1", kind="leads.followup")
    keys = [(row["cycle"], row["step"]) for row in recorded]
    assert [(message["cycle"], message["step"]) for message in planned] == keys
    assert len(keys) == 1
