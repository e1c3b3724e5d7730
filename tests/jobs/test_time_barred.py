"""A consumer's debt of more than two years is not chased by itself (Code de la consommation,
L218-2): sending what may be time-barred is for a person to decide."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.harness import TODAY, Deployment

TWO_YEARS_AGO = date(2024, 3, 10)
DAY = timedelta(days=1)


@pytest.mark.parametrize("customer_type", ["consumer", None])
@pytest.mark.parametrize(
    ("due_on", "sent"),
    [(TWO_YEARS_AGO, True), (TWO_YEARS_AGO - DAY, False), (TODAY - 20 * DAY, True)],
)
def test_a_consumer_is_not_chased_for_what_was_due_more_than_two_years_ago(
    deployment: Deployment, customer_type: str | None, due_on: date, sent: bool
) -> None:
    deployment.open_business()
    deployment.customer("C2", customer_type=customer_type)
    deployment.invoice("F2", customer_id="C2", issued_on=due_on - 30 * DAY, due_on=due_on)
    deployment.tick()
    assert [m["subject"] for m in deployment.messages()] == (["F2"] if sent else [])
    left_out = deployment.rehearse()["left_out"]
    assert ("time_barred" in str(left_out)) is not sent


def test_a_professional_is(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.customer("C2", customer_type="professional")
    due_on = TWO_YEARS_AGO - 365 * DAY
    deployment.invoice("F2", customer_id="C2", issued_on=due_on - 30 * DAY, due_on=due_on)
    deployment.tick()
    assert [m["state"] for m in deployment.messages()] == ["accepted"]


def test_what_becomes_time_barred_between_planning_and_sending_does_not_leave(
    deployment: Deployment,
) -> None:
    deployment.open_business()
    deployment.execute("UPDATE ponctuel.customers SET customer_type = 'consumer'")
    deployment.invoice("F2", issued_on=TWO_YEARS_AGO - 30 * DAY, due_on=TWO_YEARS_AGO)
    deployment.execute("UPDATE ponctuel.billing_settings SET window_start = '23:00'")
    deployment.execute("UPDATE ponctuel.billing_settings SET window_end = '23:59'")
    deployment.tick()
    deployment.execute("UPDATE ponctuel.billing_settings SET window_start = '00:00'")
    deployment.database.advance(DAY)
    deployment.deliver()
    (message,) = deployment.messages()
    assert (message["state"], message["error_code"]) == ("cancelled", "time_barred")
