"""Who answers a relance on WhatsApp is not chased before somebody has read the answer."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from chalicelib.outbox import inbound
from tests.bring_your_own.views import show
from tests.harness import NOW, TODAY, Deployment
from tests.outbox.ledger import message, rows, tell, wrote

PAUSED = TODAY + timedelta(days=7)
RELANCE: dict[str, Any] = {"state": "delivered", "provider": "meta", "provider_id": "wamid.1"}


@pytest.fixture
def deployment(deployment: Deployment) -> Deployment:
    """Twin businesses, each with a customer C1; that of B1 has had a relance."""
    for business in ("B1", "B2"):
        deployment.open_business(business)
    message(deployment.database, **RELANCE)
    return deployment


def paused(deployment: Deployment) -> dict[tuple[str, str], date]:
    found = rows(
        deployment.database, "SELECT business_id, id, paused_until FROM ponctuel.customers"
    )
    return {(business, customer): until for business, customer, until in found if until}


def offers(deployment: Deployment) -> list[Any]:
    return rows(
        deployment.database,
        "SELECT outcome, attempts, error FROM ponctuel.inbound_offers "
        "WHERE domain = 'billing' ORDER BY inbound_id",
    )


def test_an_answer_pauses_the_relances_of_that_customer_of_that_business(
    deployment: Deployment,
) -> None:
    deployment.invoice("F2")
    deployment.invoice("F2", business_id="B2")
    tell(deployment.database, wrote("Je paie vendredi."))
    assert paused(deployment) == {("B1", "C1"): PAUSED}
    deployment.tick()
    subjects = [(m["business_id"], m["subject"]) for m in deployment.messages(channel="email")]
    assert subjects == [("B2", "F2")]


def test_the_pause_ends_by_itself_and_a_longer_one_stays(deployment: Deployment) -> None:
    deployment.execute("UPDATE ponctuel.customers SET paused_until = '2026-03-12'")
    tell(deployment.database, wrote())
    deployment.execute(
        "UPDATE ponctuel.customers SET paused_until = '2026-12-31' WHERE business_id = 'B1'"
    )
    tell(deployment.database, wrote())
    assert paused(deployment)["B1", "C1"] == date(2026, 12, 31)
    assert paused(deployment)["B2", "C1"] == date(2026, 3, 12)


def test_what_is_no_answer_to_a_relance_pauses_nothing(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A customer of billing's and a client of the shop's may have the same id."""
    database = deployment.database
    stranger = "+33600000001"
    message(database, kind="shop.review", contact=stranger, subject="S1", state="delivered")
    tell(
        database,
        wrote("STOP"),
        wrote("START", at=NOW + timedelta(minutes=1)),
        wrote("👍", kind="reaction", in_reply_to="wamid.1"),
        wrote("Bonjour", from_="+33600000002"),
        wrote("Cinq étoiles", from_=stranger),
    )
    monkeypatch.setenv("REPLY_PAUSE_DAYS", "0")
    tell(database, wrote())
    assert paused(deployment) == {}
    assert {outcome for outcome, _, _ in offers(deployment)} == {"not_ours"}


def test_of_two_customers_with_one_number_the_one_whose_relance_was_answered_is_left_in_peace(
    deployment: Deployment,
) -> None:
    deployment.customer("C2")
    message(
        deployment.database,
        state="delivered",
        provider="meta",
        provider_id="wamid.2",
        person="C2",
        subject="F2",
        submitting_at=NOW,
    )
    tell(deployment.database, wrote(in_reply_to="wamid.1"))
    assert paused(deployment) == {("B1", "C1"): PAUSED}
    tell(deployment.database, wrote())
    assert paused(deployment) == {("B1", "C1"): PAUSED, ("B1", "C2"): PAUSED}


def test_the_day_is_that_of_the_business(deployment: Deployment) -> None:
    deployment.execute("UPDATE ponctuel.businesses SET zone = 'Indian/Reunion'")
    deployment.database.set_clock(NOW.replace(hour=21))  # the 11th has begun there
    tell(deployment.database, wrote(), at=NOW.replace(hour=21))
    assert paused(deployment) == {("B1", "C1"): PAUSED + timedelta(days=1)}


def test_a_view_that_cannot_be_written_loses_nothing_and_is_tried_again(
    deployment: Deployment,
) -> None:
    show(deployment, {"customers.paused_until": "COALESCE(paused_until)"}, "customers")
    tell(deployment.database, wrote())
    assert offers(deployment) == [("failed", 1, "0A000")]
    assert rows(deployment.database, "SELECT person FROM ponctuel.inbound_messages") == [("C1",)]
    deployment.execute("DROP VIEW ponctuel.customers")
    deployment.execute("ALTER TABLE theirs.customers SET SCHEMA ponctuel")
    deployment.database.advance(timedelta(minutes=2))
    with deployment.database.begin() as connection:
        assert inbound.offer_again(connection, 10) == 1
    assert offers(deployment) == [("taken", 2, None)]
    assert paused(deployment) == {("B1", "C1"): PAUSED}
