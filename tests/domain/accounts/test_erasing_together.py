"""Several accounts take their steps together: what is wrong with one is nobody else's trouble."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.domain.accounts.erased import by_number, documents, fill, lock, night, receipts, rows_of
from tests.domain.accounts.test_erasing import OUTLIVES, STEPS
from tests.domain.accounts.test_erasing_faults import at_stripe  # noqa: F401 - a fixture
from tests.harness import Deployment

BUSINESSES = ("B1", "B2", "B3", "B4")
_FAULT = """
CREATE FUNCTION ponctuel.out_of_order() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RAISE EXCEPTION ''out of order''; END'
"""


def locked(deployment: Deployment, user: str) -> dict[str, int]:
    """Business → the number of the deletion."""
    for business in BUSINESSES:
        fill(deployment, business)
    return {business: lock(deployment, user, business) for business in BUSINESSES}


def states(deployment: Deployment, numbers: dict[str, int]) -> dict[str, str]:
    return {
        business: by_number(deployment, number)["state"] for business, number in numbers.items()
    }


@pytest.mark.parametrize("step", STEPS)
def test_one_that_fails_does_not_stop_the_others(deployment: Deployment, step: str) -> None:
    numbers = locked(deployment, "O")
    deployment.execute(_FAULT)
    deployment.execute(
        "CREATE TRIGGER broken BEFORE INSERT ON ponctuel.erasure_receipts FOR EACH ROW"
        f" WHEN (NEW.step = '{step}' AND NEW.deletion_id = {numbers['B3']})"
        " EXECUTE FUNCTION ponctuel.out_of_order()"
    )
    try:
        night(deployment)
        stands = "locked" if step == STEPS[0] else "erasing"
        assert states(deployment, numbers) == dict.fromkeys(BUSINESSES, "erased") | {"B3": stands}
        assert set(receipts(deployment, numbers["B3"])) == set(STEPS[: STEPS.index(step)])
        assert rows_of(deployment, "B3")["users"]
    finally:
        deployment.execute("DROP TRIGGER broken ON ponctuel.erasure_receipts")
        deployment.execute("DROP FUNCTION ponctuel.out_of_order()")
    night(deployment)
    assert states(deployment, numbers) == dict.fromkeys(BUSINESSES, "erased")
    for business in BUSINESSES:
        left = {name for name, rows in rows_of(deployment, business).items() if rows}
        assert left == OUTLIVES


def test_a_hold_and_a_find_are_those_of_one_account(deployment: Deployment) -> None:
    numbers = locked(deployment, "U1")
    deployment.execute("INSERT INTO ponctuel.legal_holds (business_id) VALUES ('B2')")
    deployment.execute(
        "UPDATE ponctuel.followup_levels SET policy = 'de u1@b4.example' WHERE business_id = 'B4'"
    )
    night(deployment)
    assert states(deployment, numbers) == {
        "B1": "erased", "B2": "locked", "B3": "erased", "B4": "erasing",
    }  # fmt: skip
    blocked = {b: by_number(deployment, n)["blocked_reason"] for b, n in numbers.items()}
    assert (blocked["B2"], blocked["B4"]) == ("legal_hold", "remains")


def test_each_has_the_counts_of_its_own_rows(deployment: Deployment) -> None:
    numbers = locked(deployment, "O")
    deployment.execute("DELETE FROM ponctuel.tasks WHERE business_id = 'B2' AND id <> 'KO'")
    night(deployment)
    counts = {
        row["deletion_id"]: row["counts"]
        for row in deployment.rows(
            "SELECT * FROM ponctuel.erasure_receipts WHERE step = 'children'"
        )
    }
    assert counts[numbers["B1"]]["tasks"] == counts[numbers["B3"]]["tasks"] == 4
    assert counts[numbers["B2"]]["tasks"] == 1


def test_a_customer_and_a_document_of_two_who_go_together_go_with_the_last(
    deployment: Deployment,
    at_stripe: dict[str, Any],  # noqa: F811 - the fixture
) -> None:
    deployment.patch.setenv("STRIPE_API_KEY", "rk_test_51Hxyz")
    for business in ("B1", "B2"):
        fill(deployment, business, stripe_customer_id="cus_1")
    deployment.execute("UPDATE ponctuel.quotes SET pdf_key = 'B1/D1.pdf'")
    numbers = [lock(deployment, "O", business) for business in ("B1", "B2")]
    night(deployment)
    assert [by_number(deployment, number)["state"] for number in numbers] == ["erased"] * 2
    assert [path for path, _key in at_stripe["calls"]] == ["/v1/customers/cus_1"]
    assert documents(deployment, "B1") == ["F1.pdf"]


def test_more_accounts_take_no_more_statements(deployment: Deployment) -> None:
    """Of the database; each document is a call to the store."""
    deployment.execute("SELECT 1")
    seen: list[str] = []

    def see(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    counted = []
    for businesses in (BUSINESSES[:1], BUSINESSES):
        deployment.empty()
        for business in businesses:
            fill(deployment, business)
            deployment.execute(
                "UPDATE ponctuel.stored_files SET storage_key = ''; "
                "UPDATE ponctuel.quotes SET pdf_key = NULL; UPDATE ponctuel.emails SET raw_key = "
                "NULL; UPDATE ponctuel.email_attachments SET stored_key = NULL"
            )
            lock(deployment, "O", business)
        event.listen(Engine, "before_cursor_execute", see)
        try:
            night(deployment)
        finally:
            event.remove(Engine, "before_cursor_execute", see)
        done = deployment.rows("SELECT state FROM ponctuel.account_deletions")
        assert {row["state"] for row in done} == {"erased"}
        counted.append(len(seen))
        seen.clear()
    alone, together = counted
    assert together <= alone + 6
