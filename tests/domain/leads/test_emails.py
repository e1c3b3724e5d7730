"""A lead that answers by e-mail is left to its closer, as one that answers on WhatsApp."""

from __future__ import annotations

import pytest

from tests import lead_rows as rows
from tests.domain.inbox.mailroom import Mailroom, mail
from tests.harness import Deployment

ADDRESS = "claire@riviere.example"


@pytest.fixture
def deployment(deployment: Deployment) -> Deployment:
    """Twin businesses, each with a lead L1 that has been proposed to its closer; B1 has a
    mailbox."""
    for business in ("B1", "B2"):
        rows.open_business(deployment, business)
        rows.lead(deployment, business_id=business, email=" Claire@Riviere.example ")
    deployment.tick("lead_followups", hours=6)
    return deployment


def states(deployment: Deployment) -> list[tuple[str, str]]:
    found = deployment.rows(
        "SELECT business_id, state FROM ponctuel.lead_followups ORDER BY business_id"
    )
    return [(row["business_id"], row["state"]) for row in found]


def test_an_e_mail_of_a_lead_stops_its_cadence_and_the_closer_is_told(
    deployment: Deployment,
) -> None:
    counts = Mailroom(deployment.database).get(mail(from_email=ADDRESS, subject="Votre message"))
    assert counts["replies"] == 1
    assert states(deployment) == [("B1", "cancelled"), ("B2", "proposed")]
    (told,) = deployment.messages(kind="leads.replied")
    assert (told["business_id"], told["recipient"]) == ("B1", "u1@b1.example")


def test_somebody_elses_e_mail_stops_nothing(deployment: Deployment) -> None:
    Mailroom(deployment.database).get(mail(from_email=f"x{ADDRESS}", subject="Bonjour"))
    assert states(deployment) == [("B1", "proposed"), ("B2", "proposed")]
