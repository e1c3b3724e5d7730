"""What a closer does with a proposal: done once, however often and from wherever it is asked."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import Engine, text

from chalicelib.domain.leads import proposals
from chalicelib.domain.leads.proposals import Proposal
from chalicelib.errors import BadRequest
from tests import lead_rows as rows
from tests.harness import NOW, Deployment


@pytest.fixture
def deployment(deployment: Deployment) -> Deployment:
    """Twin businesses, each with a lead L1 of a closer U1."""
    for business in ("B1", "B2"):
        rows.open_business(deployment, business)
        rows.lead(deployment, business_id=business)
    return deployment


def due(deployment: Deployment, closer: str = "U1", business: str = "B1") -> list[Proposal]:
    clock = deployment.clock()
    with deployment.database.begin() as connection:
        return proposals.due_of(connection, business, closer, clock).proposals


def act(deployment: Deployment, what: str, id: int, *reason: str, closer: str = "U1") -> Any:
    with deployment.database.begin() as connection:
        return getattr(proposals, what)(connection, "B1", closer, id, *reason)


def followups(deployment: Deployment) -> dict[str, int]:
    found = deployment.rows("SELECT business_id, followups FROM ponctuel.leads WHERE id = 'L1'")
    return {row["business_id"]: row["followups"] for row in found}


def test_a_closer_opens_confirms_and_it_counts_once_for_that_lead_of_that_business(
    deployment: Deployment,
) -> None:
    id = rows.proposal(deployment)
    rows.proposal(deployment, business_id="B2")
    (listed,) = due(deployment)
    assert (listed.id, listed.name, listed.state) == (id, "Claire Rivière", "proposed")
    assert followups(deployment) == {"B1": 0, "B2": 0}  # a link proves nothing
    opened = act(deployment, "open_", id)
    link = urlsplit(opened.link)
    assert (link.netloc, link.path) == ("wa.me", "/33639980001")
    assert parse_qs(link.query)["text"] == ["Bonjour Claire, avez-vous pu réfléchir ?"]
    assert act(deployment, "open_", id).state == "opened"
    confirmed = [act(deployment, "confirm", id) for _ in range(2)]
    assert [(p.state, p.changed) for p in confirmed] == [("confirmed", True), ("confirmed", False)]
    assert followups(deployment) == {"B1": 1, "B2": 0}
    assert due(deployment) == []
    assert len(due(deployment, business="B2")) == 1


def test_two_telephones_that_confirm_at_once_count_one(deployment: Deployment) -> None:
    id = rows.proposal(deployment)
    together, changed = Barrier(4), []

    def tap(engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(text("SELECT 1"))
            together.wait()
            found = proposals.confirm(connection, "B1", "U1", id)
        assert found is not None
        changed.append(found.changed)

    engines = [deployment.database.engine() for _ in range(4)]
    threads = [Thread(target=tap, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(changed) == [False, False, False, True]
    assert followups(deployment)["B1"] == 1


def test_who_skips_what_a_colleague_has_just_sent_takes_nothing_back(
    deployment: Deployment,
) -> None:
    id = rows.proposal(deployment)
    act(deployment, "confirm", id)
    found = act(deployment, "skip", id, "not_now")
    assert (found.state, found.changed) == ("confirmed", False)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("status = 'won'", "won"),
        ("status = 'lost'", "lost"),
        ("auto_enabled = false", "auto_disabled"),
        ("opted_out = true", "opted_out"),
        ("replied_at = stage_since + interval '1 hour'", "replied"),
        ("stage = 'devis', stage_since = ponctuel.clock()", "stage_changed"),
    ],
)
def test_a_lead_whose_cadence_has_ended_is_not_listed_and_gets_no_link(
    deployment: Deployment, change: str, reason: str
) -> None:
    id = rows.proposal(deployment)
    deployment.execute(f"UPDATE ponctuel.leads SET {change} WHERE business_id = 'B1'")
    assert due(deployment) == []
    refused = act(deployment, "open_", id)
    assert (refused.link, refused.reason, refused.changed) == (None, reason, False)


def test_a_message_sent_just_before_the_lead_answered_still_counts(deployment: Deployment) -> None:
    id = rows.proposal(deployment)
    act(deployment, "open_", id)
    deployment.execute("UPDATE ponctuel.leads SET replied_at = ponctuel.clock()")
    deployment.execute("UPDATE ponctuel.lead_followups SET state = 'cancelled', reason = 'replied'")
    assert act(deployment, "confirm", id).state == "confirmed"
    assert followups(deployment)["B1"] == 1


def test_what_was_never_opened_cannot_be_confirmed_once_it_is_over(deployment: Deployment) -> None:
    id = rows.proposal(deployment, state="expired")
    assert act(deployment, "confirm", id).state == "expired"
    assert followups(deployment)["B1"] == 0


def test_it_ends_at_its_time_even_before_a_run_has_said_so(deployment: Deployment) -> None:
    id = rows.proposal(deployment, expires_at=NOW + timedelta(minutes=1))
    deployment.database.advance(timedelta(minutes=2))
    assert due(deployment) == []
    assert act(deployment, "open_", id).changed is False


def test_a_colleague_sees_nothing_of_it_and_can_do_nothing(deployment: Deployment) -> None:
    rows.user(deployment, "U2", name="Karim Benali")
    id = rows.proposal(deployment)
    assert due(deployment, "U2") == []
    for what, reason in (("open_", ()), ("confirm", ()), ("skip", ("other",))):
        assert act(deployment, what, id, *reason, closer="U2") is None
    deployment.execute("UPDATE ponctuel.leads SET closer_id = 'U2' WHERE business_id = 'B1'")
    assert due(deployment) == []
    assert [p.id for p in due(deployment, "U2")] == [id]


def test_who_has_left_sees_nothing_and_the_owners_take_over(deployment: Deployment) -> None:
    id = rows.proposal(deployment)
    assert due(deployment, "U0") == []
    deployment.execute("UPDATE ponctuel.users SET active = false WHERE id = 'U1'")
    assert due(deployment) == []
    assert [p.id for p in due(deployment, "U0")] == [id]


def test_a_closer_who_was_answered_on_his_own_telephone_says_so(deployment: Deployment) -> None:
    id = rows.proposal(deployment)
    assert act(deployment, "skip", id, "replied").state == "skipped"
    (lead,) = deployment.rows("SELECT replied_at FROM ponctuel.leads WHERE business_id = 'B1'")
    assert lead["replied_at"] is not None


@pytest.mark.parametrize(
    ("reason", "listed", "opted_out"),
    [("opted_out", "stop", True), ("wrong_number", "unreachable", False)],
)
def test_who_does_not_want_it_or_has_another_number_is_on_the_list_of_that_business(
    deployment: Deployment, reason: str, listed: str, opted_out: bool
) -> None:
    id = rows.proposal(deployment)
    act(deployment, "skip", id, reason)
    found = deployment.rows("SELECT business_id, contact, reason FROM ponctuel.suppressions")
    assert [tuple(row.values()) for row in found] == [("B1", "+33639980001", listed)]
    leads = deployment.rows("SELECT opted_out FROM ponctuel.leads ORDER BY business_id")
    assert [row["opted_out"] for row in leads] == [opted_out, False]
    rows.lead(deployment, "L2", phone="0639980001")
    rows.proposal(deployment, "L2")
    assert due(deployment) == []  # one list, whichever lead has the number


def test_an_unknown_reason_is_refused(deployment: Deployment) -> None:
    id = rows.proposal(deployment)
    with pytest.raises(BadRequest):
        act(deployment, "skip", id, "'; DROP TABLE leads")
    assert [p.id for p in due(deployment)] == [id]


def test_the_notification_goes_with_the_last_proposal(deployment: Deployment) -> None:
    rows.lead(deployment, "L2", phone="06 39 98 00 02")
    ids = [rows.proposal(deployment), rows.proposal(deployment, "L2", phone="+33639980002")]
    for business in ("B1", "B2"):
        rows.notification(deployment, business_id=business)
    open_ones = "SELECT business_id FROM ponctuel.notifications WHERE resolved_at IS NULL"
    act(deployment, "confirm", ids[0])
    assert len(deployment.rows(open_ones)) == 2
    act(deployment, "skip", ids[1], "not_now")
    assert [row["business_id"] for row in deployment.rows(open_ones)] == ["B2"]
