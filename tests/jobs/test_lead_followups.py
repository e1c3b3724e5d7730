"""A run of lead_followups in assisted mode, on a real database and a real mail server."""

from __future__ import annotations

from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any
from urllib.parse import unquote

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


def subjects(deployment: Deployment, reader: str = "u1@b1.example") -> list[str]:
    """Of the e-mails that this user has got."""
    entries = [e for e in deployment.smtp.accepted() if e.recipients == (reader,)]
    files = [(deployment.smtp.folder / entry.file).read_bytes() for entry in entries]
    return [message_from_bytes(file, policy=policy.default)["Subject"] for file in files]


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


def test_the_next_follow_up_counts_from_the_one_before_that_was_confirmed(
    deployment: Deployment,
) -> None:
    run(deployment)
    deployment.database.advance(timedelta(hours=40))
    act(deployment, "confirm")
    run(deployment)
    assert proposed(deployment) == [("L1", 1, "confirmed")]  # although J+3 is past
    run(deployment, hours=42)
    assert proposed(deployment)[1:] == [("L1", 2, "proposed")]
    (lead,) = deployment.rows("SELECT followups FROM ponctuel.leads WHERE business_id = 'B1'")
    assert lead["followups"] == 1


def test_after_the_last_number_there_is_no_more(deployment: Deployment) -> None:
    for _ in range(5):
        run(deployment, hours=100)
        if proposed(deployment)[-1][2] == "proposed":
            act(deployment, "confirm")
    assert proposed(deployment) == [("L1", n, "confirmed") for n in (1, 2, 3)]


def test_an_outage_of_thirty_days_makes_one_follow_up_of_each_lead(
    deployment: Deployment,
) -> None:
    for n in range(2, 6):
        rows.lead(deployment, f"L{n}", phone=f"06 39 98 00 0{n}")
    run(deployment, hours=30 * 24)
    assert proposed(deployment) == [(f"L{n}", 1, "proposed") for n in range(1, 6)]
    run(deployment)
    assert len(proposed(deployment)) == 5
    deployment.deliver()
    assert len(deployment.smtp.accepted()) == 2  # one e-mail for each of the twins


def test_a_proposal_nobody_took_up_is_given_up_and_the_next_one_comes_in_its_time(
    deployment: Deployment,
) -> None:
    run(deployment)
    counts = run(deployment, hours=73)
    assert counts["proposals_expired"] == 2
    assert proposed(deployment) == [("L1", 1, "expired")]
    run(deployment, hours=47)
    assert len(proposed(deployment)) == 1
    run(deployment, hours=2)
    assert proposed(deployment)[1:] == [("L1", 2, "proposed")]


@pytest.mark.parametrize(
    "change",
    [
        "status = 'won'",
        "status = 'lost'",
        "auto_enabled = false",
        "opted_out = true",
        "replied_at = stage_since",
    ],
)
def test_a_cadence_stops_and_what_was_proposed_is_withdrawn(
    deployment: Deployment, change: str
) -> None:
    run(deployment)
    deployment.execute(f"UPDATE ponctuel.leads SET {change} WHERE business_id = 'B1'")
    counts = run(deployment)
    assert counts["proposals_cancelled"] == 1
    assert proposed(deployment) == [("L1", 1, "cancelled")]
    open_ones = deployment.rows(
        "SELECT business_id FROM ponctuel.notifications WHERE resolved_at IS NULL"
    )
    assert [row["business_id"] for row in open_ones] == ["B2"]
    run(deployment, hours=200)
    assert len(proposed(deployment)) == 1


@pytest.mark.parametrize(
    "change",
    [
        "stage = 'devis', stage_since = ponctuel.clock()",
        "status = 'won'",
        "opted_out = true",
        "replied_at = ponctuel.clock()",
    ],
)
def test_what_changes_between_being_chosen_and_being_proposed_is_read_again(
    deployment: Deployment, change: str
) -> None:
    # As the application would, at the moment at which the run has written down what it will do.
    deployment.execute(
        "CREATE FUNCTION meanwhile() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"UPDATE ponctuel.leads SET {change} WHERE business_id = 'B1'; RETURN NULL; END $$"
    )
    deployment.execute(
        "CREATE TRIGGER meanwhile AFTER INSERT ON ponctuel.run_items "
        "FOR EACH STATEMENT EXECUTE FUNCTION meanwhile()"
    )
    run(deployment)
    assert proposed(deployment) == []
    assert proposed(deployment, "B2") == [("L1", 1, "proposed")]
    told = deployment.rows("SELECT business_id FROM ponctuel.notifications")
    assert [row["business_id"] for row in told] == ["B2"]


def test_an_answer_in_an_earlier_stage_does_not_stop_the_next_one_and_coming_back_begins_anew(
    deployment: Deployment,
) -> None:
    run(deployment)
    act(deployment, "skip", "replied")
    run(deployment, hours=100)
    assert proposed(deployment) == [("L1", 1, "skipped")]
    deployment.execute(
        "UPDATE ponctuel.leads SET stage = 'devis', stage_since = ponctuel.clock() "
        "WHERE business_id = 'B1'"
    )
    run(deployment, hours=25)
    assert proposed(deployment)[1:] == [("L1", 1, "proposed")]
    deployment.execute(
        "UPDATE ponctuel.leads SET stage = 'nouveau', stage_since = ponctuel.clock() "
        "WHERE business_id = 'B1'"
    )
    run(deployment, hours=25)
    assert proposed(deployment)[1:] == [("L1", 1, "cancelled"), ("L1", 1, "proposed")]


def test_a_business_with_cadences_of_its_own_follows_up_their_stages_only(
    deployment: Deployment,
) -> None:
    rows.cadence(deployment, "devis", (12, "rappel"))
    rows.lead(deployment, "L2", stage="devis", phone="06 39 98 00 02")
    run(deployment)
    assert proposed(deployment) == [("L2", 1, "proposed")]
    (row,) = deployment.rows("SELECT content FROM ponctuel.lead_followups WHERE lead_id = 'L2'")
    assert "toujours d’actualité" in row["content"]
    left_out = deployment.rehearse(JOB)["left_out"]
    why = {(row["business_id"], row["subject"]): row["reason"] for row in left_out}
    assert why["B1", "L1"] == "no_cadence"


def test_the_cap_of_the_day_is_kept_over_runs_and_the_oldest_promise_goes_first(
    deployment: Deployment,
) -> None:
    deployment.execute("UPDATE ponctuel.lead_settings SET daily_cap = 2 WHERE business_id = 'B1'")
    for n in range(2, 7):  # L6 has waited longest
        since = rows.STAGE_SINCE - timedelta(hours=n)
        rows.lead(deployment, f"L{n}", phone=f"06 39 98 00 0{n}", stage_since=since)
    run(deployment, hours=3)
    assert [row[0] for row in proposed(deployment)] == ["L6", "L5"]
    run(deployment, hours=6)
    assert len(proposed(deployment)) == 2
    assert len(proposed(deployment, "B2")) == 1
    run(deployment, hours=6)  # past midnight in Paris
    assert [row[0] for row in proposed(deployment)] == ["L6", "L5", "L4", "L3"]


def test_a_place_in_the_day_that_a_run_frees_is_given_away_by_the_same_run(
    deployment: Deployment,
) -> None:
    deployment.execute("UPDATE ponctuel.lead_settings SET daily_cap = 1")
    later = rows.STAGE_SINCE + timedelta(minutes=5)
    rows.lead(deployment, "L2", phone="06 39 98 00 02", stage_since=later)
    run(deployment, hours=3)
    assert [row[0] for row in proposed(deployment)] == ["L1"]
    deployment.execute(
        "UPDATE ponctuel.leads SET replied_at = ponctuel.clock() "
        "WHERE business_id = 'B1' AND id = 'L1'"
    )
    run(deployment)
    assert [row[0] for row in proposed(deployment)] == ["L1", "L2"]
    assert len(proposed(deployment, "B2")) == 1


def test_two_leads_with_one_number_are_written_to_once(deployment: Deployment) -> None:
    rows.lead(deployment, "L2", phone="+33 (0)6 39 98 00 01")
    rows.lead(deployment, "L3", phone="0033639980001")
    run(deployment)
    assert [row[0] for row in proposed(deployment)] == ["L1"]
    act(deployment, "confirm")
    run(deployment, hours=12)
    assert [row[0] for row in proposed(deployment)] == ["L1"]
    deployment.execute("UPDATE ponctuel.leads SET status = 'lost' WHERE id = 'L1'")
    run(deployment)
    assert [row[0] for row in proposed(deployment)] == ["L1", "L2"]


def test_who_has_opted_out_as_another_lead_is_left_alone(deployment: Deployment) -> None:
    rows.lead(deployment, "L0", phone="+33 6 39 98 00 01", opted_out=True, status="lost")
    run(deployment)
    assert proposed(deployment) == []
    assert len(proposed(deployment, "B2")) == 1


@pytest.mark.parametrize(
    ("phone", "reason"),
    [
        ("04 72 00 00 00", "phone_landline"),
        ("3631", "phone_service"),
        ("0899 70 00 00", "phone_service"),
        ("06 12 34 56 7", "phone_invalid"),
        ("06 39 98 00 01 ou 06 39 98 00 02", "phone_several"),
    ],
)
def test_an_unusable_number_is_recorded_said_once_and_tried_again_once_corrected(
    deployment: Deployment, phone: str, reason: str
) -> None:
    deployment.execute(
        "UPDATE ponctuel.leads SET phone = :phone WHERE business_id = 'B1'", phone=phone
    )
    assert run(deployment)["numbers_unusable"] == 1
    for _ in range(2):
        assert "numbers_unusable" not in run(deployment, hours=30)
    (row,) = deployment.rows(
        "SELECT state, reason FROM ponctuel.lead_followups WHERE business_id = 'B1'"
    )
    assert (row["state"], row["reason"]) == ("cancelled", reason)
    deployment.deliver()
    assert subjects(deployment) == ["Des numéros de leads à corriger"]
    deployment.execute("UPDATE ponctuel.leads SET phone = '0692 00 00 01' WHERE business_id = 'B1'")
    run(deployment)
    assert proposed(deployment)[1:] == [("L1", 1, "proposed")]


def test_a_lead_without_closer_is_for_the_owners_and_without_anybody_it_waits(
    deployment: Deployment,
) -> None:
    deployment.execute("UPDATE ponctuel.users SET active = false WHERE id = 'U1'")
    deployment.execute("UPDATE ponctuel.users SET active = false WHERE business_id = 'B2'")
    run(deployment)
    told = deployment.rows("SELECT business_id, user_id FROM ponctuel.notifications")
    assert [tuple(row.values()) for row in told] == [("B1", "U0")]
    assert proposed(deployment, "B2") == []


def test_a_lead_of_a_business_without_owner_is_its_administrators(deployment: Deployment) -> None:
    rows.user(deployment, "U2", name="Ali Ben", role="admin")
    rows.user(deployment, "U3", name="Zoé", role="member")
    deployment.execute("UPDATE ponctuel.users SET active = false WHERE id = 'U1'")
    deployment.execute("UPDATE ponctuel.users SET role = 'member' WHERE id = 'U0'")
    deployment.execute("UPDATE ponctuel.leads SET closer_id = NULL WHERE business_id = 'B1'")
    run(deployment)
    told = deployment.rows("SELECT user_id FROM ponctuel.notifications WHERE business_id = 'B1'")
    assert [row["user_id"] for row in told] == ["U2"]
    deployment.deliver()
    assert subjects(deployment, "u2@b1.example") == ["Claire Rivière\u00a0: un lead à relancer"]
    now = deployment.clock()
    with deployment.database.begin() as connection:
        due = proposals.due_of(connection, "B1", "U2", now)
        assert [one.lead_id for one in due.proposals] == ["L1"]
        assert proposals.due_of(connection, "B1", "U3", now).total == 0
        assert proposals.confirm(connection, "B1", "U2", due.proposals[0].id).changed  # type: ignore[union-attr]


def test_notifications_that_cannot_be_written_stop_neither_a_run_nor_a_tap(
    deployment: Deployment,
) -> None:
    rows.notification(deployment)
    deployment.execute("ALTER TABLE ponctuel.notifications ADD CHECK (title = '') NOT VALID")
    deployment.tick(JOB, hours=6)
    assert deployment.last_run(JOB)["status"] == "partial"
    errors = deployment.rows("SELECT DISTINCT item FROM ponctuel.run_errors ORDER BY item")
    assert [row["item"] for row in errors] == ["notifications", "notifications_resolved"]
    deployment.deliver()
    assert subjects(deployment) == ["Claire Rivière\u00a0: un lead à relancer"]
    act(deployment, "confirm")


def test_a_lead_that_changes_hands_is_proposed_to_the_new_closer(deployment: Deployment) -> None:
    run(deployment)
    rows.user(deployment, "U2", name="Karim Benali")
    deployment.execute("UPDATE ponctuel.leads SET closer_id = 'U2' WHERE business_id = 'B1'")
    run(deployment)
    assert proposed(deployment) == [("L1", 1, "cancelled"), ("L1", 1, "proposed")]
    told = deployment.rows(
        "SELECT user_id FROM ponctuel.notifications "
        "WHERE business_id = 'B1' AND resolved_at IS NULL"
    )
    assert [row["user_id"] for row in told] == ["U2"]


def test_the_closer_is_mailed_in_working_hours_once_for_what_the_night_found(
    deployment: Deployment,
) -> None:
    deployment.database.set_clock(NOW.replace(hour=19))  # 20:00 in Paris, Tuesday
    run(deployment, hours=3)
    rows.lead(deployment, "L2", phone="06 39 98 00 02")
    run(deployment, hours=7)
    deployment.deliver()
    assert deployment.smtp.accepted() == []
    deployment.tick("deliver_messages", hours=3.1)  # past 9:00
    assert subjects(deployment) == ["2 leads à relancer"]


def test_who_wants_no_e_mail_is_told_in_the_application_only(deployment: Deployment) -> None:
    rows.insert(
        deployment, "user_preferences", {"business_id": "B1", "user_id": "U1", "email": False}
    )
    run(deployment)
    assert [m["business_id"] for m in deployment.messages()] == ["B2"]
    assert len(deployment.rows("SELECT 1 FROM ponctuel.notifications")) == 2


def test_a_follow_up_made_by_hand_counts_as_the_one_before(deployment: Deployment) -> None:
    deployment.execute(
        "UPDATE ponctuel.leads SET last_followup_at = ponctuel.clock() WHERE business_id = 'B1'"
    )
    run(deployment)
    assert proposed(deployment) == []
    run(deployment, hours=20)
    assert proposed(deployment) == [("L1", 1, "proposed")]


def test_names_of_any_length_with_signs_and_emoji_arrive_as_they_are(
    deployment: Deployment,
) -> None:
    deployment.execute(
        "UPDATE ponctuel.leads SET name = :name WHERE business_id = 'B1'",
        name="Zoé & Fils #1 🏡 {{ 7*7 }} 100 % <b>",
    )
    deployment.execute(
        "UPDATE ponctuel.leads SET name = :name WHERE business_id = 'B2'", name="🏡" * 5000
    )
    run(deployment)
    with deployment.database.begin() as connection:
        for business, expected in (("B1", "Zoé & Fils #1 🏡 {{ 7*7 }} 100 % <b>"), ("B2", "🏡")):
            (due,) = proposals.due_of(connection, business, "U1", NOW).proposals
            assert expected in due.text
            assert due.link is not None
            assert len(due.link) < 3000
            assert unquote(due.link.partition("?text=")[2]) == due.text


def test_a_dry_run_shows_what_the_real_run_then_does(deployment: Deployment) -> None:
    rows.lead(deployment, "L2", phone="04 72 00 00 00")
    rows.lead(deployment, "L3", phone="0639980001")
    rows.proposal(deployment, "L3", business_id="B2", expires_at=NOW)
    report = deployment.rehearse(JOB)
    assert proposed(deployment) == []
    changes = sorted((c["change"], c["business_id"], c["subject"]) for c in report["changes"])
    assert changes == [
        ("closers_notified", "B1", "U1"),
        ("closers_notified", "B2", "U1"),
        ("followup_proposed", "B1", "L1"),
        ("followup_proposed", "B2", "L1"),
        ("number_unusable", "B1", "L2"),
        ("proposals_cancelled", "B2", "L3"),
    ]
    assert [m["kind"] for m in report["messages"]] == ["leads.closer_digest"] * 2
    why = {(r["business_id"], r["subject"]): r["reason"] for r in report["left_out"]}
    assert why["B1", "L3"] == "same_number"
    counts = run(deployment)
    assert counts["proposed"] == 2
    assert (counts["numbers_unusable"], counts["proposals_cancelled"]) == (1, 1)


def test_one_unusable_business_stops_no_other(deployment: Deployment) -> None:
    deployment.execute("UPDATE ponctuel.businesses SET zone = 'Mars/Phobos' WHERE id = 'B1'")
    deployment.tick(JOB, hours=6)
    assert deployment.last_run(JOB)["status"] == "partial"
    assert proposed(deployment) == []
    assert len(proposed(deployment, "B2")) == 1


def test_a_text_that_does_not_exist_is_said_and_stops_no_other_lead(
    deployment: Deployment,
) -> None:
    rows.cadence(deployment, "nouveau", (12, "inconnue"))
    rows.cadence(deployment, "devis", (12, "relance"))
    rows.lead(deployment, "L2", stage="devis", phone="06 39 98 00 02")
    deployment.tick(JOB, hours=6)
    found = deployment.last_run(JOB)
    assert (found["status"], found["counts"]["failed"]) == ("partial", 1)
    assert proposed(deployment) == [("L2", 1, "proposed")]
