"""Who answers is followed up no more, and the closer learns of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests import lead_rows as rows
from tests.bring_your_own.views import show
from tests.harness import NOW, Deployment
from tests.outbox.ledger import tell, wrote

JOB = "lead_followups"
PHONE = "+33639980001"
SENDER = "106540352242922"


@pytest.fixture
def deployment(deployment: Deployment) -> Deployment:
    """Twin businesses in assisted mode, each with a number of its own and a lead L1 that has been
    proposed to its closer."""
    for business, sender in (("B1", SENDER), ("B2", "99999999")):
        rows.open_business(deployment, business)
        rows.lead(deployment, business_id=business)
        deployment.execute(
            "INSERT INTO ponctuel.whatsapp_senders (provider, sender, business_id, set_at, set_by) "
            "VALUES ('meta', :sender, :business, now(), 'test')",
            sender=sender,
            business=business,
        )
    deployment.tick(JOB, hours=6)
    return deployment


def states(deployment: Deployment) -> dict[str, tuple[str, str | None]]:
    found = deployment.rows(
        "SELECT business_id, lead_id, state, reason FROM ponctuel.lead_followups ORDER BY id"
    )
    return {f"{r['business_id']}/{r['lead_id']}": (r["state"], r["reason"]) for r in found}


def lead(deployment: Deployment, id: str = "L1", business: str = "B1") -> Any:
    (row,) = deployment.rows(
        "SELECT replied_at, opted_out FROM ponctuel.leads "
        "WHERE id = :id AND business_id = :business",
        id=id,
        business=business,
    )
    return row


def news(deployment: Deployment) -> list[tuple[str, str, str]]:
    found = deployment.rows(
        "SELECT business_id, user_id, title FROM ponctuel.notifications "
        "WHERE kind = 'leads.replied' AND resolved_at IS NULL ORDER BY created_at, user_id"
    )
    return [tuple(row.values()) for row in found]  # type: ignore[misc]  # three columns


def says(deployment: Deployment, words: str = "Oui, rappelez-moi !", **changes: Any) -> None:
    at: datetime = changes.pop("at", deployment.clock())
    tell(deployment.database, replace(wrote(words, at=at, from_=PHONE), **changes), at=at)


def test_an_answer_stops_the_cadence_of_that_lead_of_that_business_and_the_closer_is_told(
    deployment: Deployment,
) -> None:
    says(deployment)
    assert states(deployment) == {"B1/L1": ("cancelled", "replied"), "B2/L1": ("proposed", None)}
    assert lead(deployment)["replied_at"] is not None
    assert lead(deployment, business="B2")["replied_at"] is None
    assert news(deployment) == [("B1", "U1", "Claire Rivière a répondu")]
    deployment.deliver()
    (mail,) = deployment.messages(kind="leads.replied", business_id="B1")
    assert (mail["state"], mail["recipient"]) == ("accepted", "u1@b1.example")
    bodies = deployment.rows(
        "SELECT text FROM ponctuel.message_bodies WHERE message_id = :id", id=mail["id"]
    )
    assert "Oui, rappelez-moi !" in bodies[0]["text"]
    for _ in range(10):
        deployment.tick(JOB, hours=24)
    assert states(deployment)["B1/L1"] == ("cancelled", "replied")


def test_the_same_webhook_twice_and_an_older_one_afterwards_change_nothing(
    deployment: Deployment,
) -> None:
    event = wrote("Oui !", at=deployment.clock(), from_=PHONE)
    for _ in range(3):
        tell(deployment.database, event, at=event.at)
    before = lead(deployment)
    says(deployment, "Bonjour", at=event.at - timedelta(hours=1))
    assert lead(deployment) == before
    assert len(news(deployment)) == 1
    assert len(deployment.messages(kind="leads.replied")) == 1


@pytest.mark.parametrize("words", ["STOP", "Arrêt", "stop."])
def test_a_stop_opts_the_lead_out_and_its_number_is_on_the_list(
    deployment: Deployment, words: str
) -> None:
    says(deployment, words)
    assert lead(deployment)["opted_out"]
    assert not lead(deployment, business="B2")["opted_out"]
    assert states(deployment)["B1/L1"] == ("cancelled", "opted_out")
    assert news(deployment) == [("B1", "U1", "Claire Rivière ne veut plus être contacté")]
    listed = deployment.rows("SELECT business_id, contact, reason FROM ponctuel.suppressions")
    assert [tuple(row.values()) for row in listed] == [("B1", PHONE, "stop")]


def test_two_leads_with_one_number_both_stop(deployment: Deployment) -> None:
    rows.lead(deployment, "L2", phone="0033 6 39 98 00 01")
    rows.lead(deployment, "L3", phone="06 39 98 00 03")
    says(deployment)
    assert lead(deployment, "L2")["replied_at"] is not None
    assert lead(deployment, "L3")["replied_at"] is None
    assert len(news(deployment)) == 1


def test_a_number_that_only_ends_alike_is_somebody_else(deployment: Deployment) -> None:
    says(deployment, from_="+32639980001")
    assert states(deployment)["B1/L1"] == ("proposed", None)


def test_a_start_takes_the_opt_out_back_of_every_lead_of_that_number_and_of_no_other_business(
    deployment: Deployment,
) -> None:
    rows.lead(deployment, "L2", phone="0033 6 39 98 00 01")
    says(deployment, "STOP")
    deployment.execute("UPDATE ponctuel.leads SET opted_out = true WHERE business_id = 'B2'")
    assert lead(deployment)["opted_out"]
    assert lead(deployment, "L2")["opted_out"]
    deployment.database.advance(timedelta(minutes=1))
    before = lead(deployment)["replied_at"]
    says(deployment, "REPRENDRE")
    assert lead(deployment) == {"replied_at": before, "opted_out": False}
    assert not lead(deployment, "L2")["opted_out"]
    assert lead(deployment, business="B2")["opted_out"]
    # The cadence of this stage has had its answer; the next stage's begins.
    deployment.tick(JOB, hours=6)
    assert states(deployment)["B1/L1"] == ("cancelled", "opted_out")
    deployment.execute(
        "UPDATE ponctuel.leads SET stage = 'devis', stage_since = ponctuel.clock() "
        "WHERE business_id = 'B1' AND id = 'L1'"
    )
    deployment.tick(JOB, hours=30)
    assert states(deployment)["B1/L1"] == ("proposed", None)


def test_the_last_word_counts_in_whatever_order_stop_and_start_are_told(
    deployment: Deployment,
) -> None:
    now = deployment.clock()
    says(deployment, "START", at=now)
    says(deployment, "STOP", at=now - timedelta(minutes=5))
    assert not lead(deployment)["opted_out"]
    says(deployment, "STOP", at=now + timedelta(minutes=5))
    says(deployment, "START", at=now + timedelta(minutes=4))
    assert lead(deployment)["opted_out"]


def test_a_start_does_not_lift_what_an_operator_has_entered(deployment: Deployment) -> None:
    rows.suppress(deployment, PHONE, reason="manual")
    says(deployment, "STOP")
    assert lead(deployment)["opted_out"]
    deployment.database.advance(timedelta(minutes=1))
    says(deployment, "START")
    assert lead(deployment)["opted_out"]


def test_an_old_answer_after_a_new_stage_s_follow_up_is_told_and_stops_nothing_of_it(
    deployment: Deployment,
) -> None:
    written = deployment.clock()
    deployment.execute(
        "UPDATE ponctuel.leads SET stage = 'devis', stage_since = ponctuel.clock() "
        "+ interval '1 minute' WHERE business_id = 'B1'"
    )
    deployment.tick(JOB, hours=30)
    assert states(deployment)["B1/L1"] == ("proposed", None)
    event = wrote("Oui !", at=written, from_=PHONE)
    tell(deployment.database, event, at=deployment.clock())
    assert states(deployment)["B1/L1"] == ("proposed", None)
    assert lead(deployment)["replied_at"] == written
    assert len(news(deployment)) == 1


def test_a_late_answer_to_this_stage_stops_the_follow_up_that_was_made_meanwhile(
    deployment: Deployment,
) -> None:
    written = deployment.clock()
    deployment.execute(
        "UPDATE ponctuel.lead_followups SET state = 'expired', settled_at = ponctuel.clock()"
    )
    deployment.tick(JOB, hours=54)
    assert states(deployment)["B1/L1"] == ("proposed", None)  # the second one
    tell(deployment.database, wrote("Oui !", at=written, from_=PHONE), at=deployment.clock())
    assert states(deployment)["B1/L1"] == ("cancelled", "replied")


def test_a_reaction_and_a_start_stop_nothing(deployment: Deployment) -> None:
    says(deployment, "👍", kind="reaction")
    says(deployment, "START")
    assert states(deployment)["B1/L1"] == ("proposed", None)
    assert news(deployment) == []


def test_who_hides_the_number_is_known_by_metas_id(deployment: Deployment) -> None:
    deployment.execute("UPDATE ponctuel.leads SET whatsapp_user_id = 'FR.42', phone = NULL")
    says(deployment, from_="FR.42")
    assert lead(deployment)["replied_at"] is not None


def test_an_answer_of_a_lead_without_closer_is_told_to_the_owners(deployment: Deployment) -> None:
    deployment.execute("UPDATE ponctuel.leads SET closer_id = NULL")
    says(deployment)
    assert [row[1] for row in news(deployment)] == ["U0"]


def test_the_news_is_over_when_the_lead_goes_on_to_another_stage(deployment: Deployment) -> None:
    says(deployment)
    deployment.execute(
        "UPDATE ponctuel.leads SET stage = 'devis', stage_since = ponctuel.clock() "
        "+ interval '1 minute' WHERE business_id = 'B1'"
    )
    deployment.tick(JOB, hours=6)
    assert news(deployment) == []


def test_it_works_on_views_of_somebodys_own_tables(deployment: Deployment) -> None:
    show(deployment)
    says(deployment)
    assert lead(deployment)["replied_at"] is not None
    deployment.tick(JOB, hours=6)
    assert deployment.last_run(JOB)["status"] == "succeeded"


def test_the_clock_of_an_answer_is_its_own(deployment: Deployment) -> None:
    says(deployment, at=NOW - timedelta(days=1))
    assert lead(deployment)["replied_at"] == NOW - timedelta(days=1)


def test_notifications_that_cannot_be_written_keep_nobody_from_being_left_alone_and_told(
    deployment: Deployment,
) -> None:
    deployment.execute("ALTER TABLE ponctuel.notifications ADD CHECK (title = '') NOT VALID")
    says(deployment, "STOP")
    assert lead(deployment)["opted_out"] is True
    assert states(deployment)["B1/L1"] == ("cancelled", "opted_out")
    planned = deployment.rows("SELECT step FROM ponctuel.messages WHERE kind = 'leads.replied'")
    assert [row["step"] for row in planned] == ["U1"]


def test_without_closer_and_owner_the_administrators_are_told_and_nobody_else(
    deployment: Deployment,
) -> None:
    rows.user(deployment, "U2", name="Ali Ben", role="admin")
    rows.user(deployment, "U3", name="Zoé", role="member")
    deployment.execute("UPDATE ponctuel.leads SET closer_id = NULL")
    says(deployment)
    assert [row[1] for row in news(deployment)] == ["U0"]
    deployment.execute("UPDATE ponctuel.users SET active = false WHERE id = 'U0'")
    deployment.database.advance(timedelta(hours=24))
    says(deployment, provider_id="wamid.later")
    assert [row[1] for row in news(deployment)] == ["U0", "U2"]
