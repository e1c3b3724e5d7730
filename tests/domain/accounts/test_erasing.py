"""What is left of somebody, and of everybody else, once an account is erased."""

from __future__ import annotations

import pytest

from tests.domain.accounts.erased import (
    by_number,
    documents,
    fill,
    lock,
    night,
    receipts,
    rows_of,
)
from tests.harness import Deployment

STEPS = ["revoke", "access", "archive", "files", "stripe", "children", "tombstone", "parent"]
# What knows of deletions themselves, and what outlives a business.
OUTLIVES = {
    "accounting_archive",
    "account_deletions",
    "erasure_receipts",
    "erasure_tombstones",
    "suppressions",
}


def one(deployment: Deployment, query: str) -> object:
    return deployment.rows(query)[0]["x"]


def test_one_user_of_several_goes_and_the_business_stays(deployment: Deployment) -> None:
    fill(deployment, "B1")
    number = lock(deployment)
    night(deployment)
    done = by_number(deployment, number)
    assert (done["state"], sorted(receipts(deployment, number))) == ("erased", sorted(STEPS))
    assert done["user_id"] == f"#{done['pseudonym']}"
    left = rows_of(deployment, "B1")
    kept = {"suppressions"}  # the opt-out
    assert not [name for name, rows in left.items() if "u1@b1" in str(rows) and name not in kept]
    assert [len(left[name]) for name in ("users", "user_tokens", "mailboxes", "emails")] == [1] * 4
    assert [len(left[name]) for name in ("customers", "invoices", "tasks", "leads")] == [1, 2, 3, 2]
    assert "U1.png" not in documents(deployment)
    assert "mail/U1.eml" not in documents(deployment)


def test_what_the_business_needs_is_detached_from_who_goes(deployment: Deployment) -> None:
    fill(deployment, "B1")
    lock(deployment)
    night(deployment)
    tasks = deployment.rows("SELECT id, user_id FROM ponctuel.tasks WHERE id IN ('KU1', 'VU1')")
    assert tasks == [{"id": "VU1", "user_id": None}]
    assert one(deployment, "SELECT closer_id AS x FROM ponctuel.leads WHERE id = 'LU1'") is None
    handed = deployment.rows(
        "SELECT id, user_id FROM ponctuel.appointments WHERE id IN ('AU1', 'RU1')"
    )
    assert handed == [{"id": "RU1", "user_id": "O"}]
    settled = "SELECT settled_by AS x FROM ponctuel.lead_followups WHERE lead_id = 'LU1'"
    assert one(deployment, settled) == "closer"
    opted_out = deployment.rows(
        "SELECT person FROM ponctuel.suppressions WHERE contact = 'u1@b1.example'"
    )
    assert opted_out == [{"person": ""}]


def test_an_attachment_that_another_mailbox_has_too_stays(deployment: Deployment) -> None:
    fill(deployment, "B1")
    lock(deployment)
    night(deployment)
    assert documents(deployment) == ["D1.pdf", "F1.pdf", "O.png", "mail/O.eml", "mail/shared"]


def test_the_last_user_takes_the_business_along(deployment: Deployment) -> None:
    fill(deployment, "B1")
    number = lock(deployment, "O")
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"
    left = {name for name, rows in rows_of(deployment, "B1").items() if rows}
    assert left == OUTLIVES
    assert documents(deployment) == ["F1.pdf"]


def test_accounting_records_stay_readable_until_their_time_is_up(deployment: Deployment) -> None:
    fill(deployment, "B1")
    lock(deployment, "O")
    night(deployment)
    [kept] = deployment.rows("SELECT * FROM ponctuel.accounting_archive")
    assert (kept["number"], str(kept["keep_until"])) == ("F1", "2036-12-31")
    assert kept["content"]["total"] == 1234.56
    assert kept["content"]["customer"]["emails"] == "client@example.net"
    assert kept["content"]["issuer"]["name"] == "Menuiserie Perrin"
    deployment.execute("UPDATE ponctuel.accounting_archive SET keep_until = '2026-03-10'")
    night(deployment)  # of the 11th
    assert deployment.rows("SELECT * FROM ponctuel.accounting_archive") == []
    assert documents(deployment) == []


@pytest.mark.parametrize("user", ["U1", "O"])
def test_a_twin_with_the_same_ids_is_left_alone(deployment: Deployment, user: str) -> None:
    fill(deployment, "B1")
    fill(deployment, "B2")
    before, files = rows_of(deployment, "B2"), documents(deployment, "B2")
    number = lock(deployment, user)
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"
    assert rows_of(deployment, "B2") == before
    assert documents(deployment, "B2") == files


def test_a_hold_that_comes_after_the_lock_stops_it_until_it_is_lifted(
    deployment: Deployment,
) -> None:
    fill(deployment, "B1")
    number = lock(deployment)
    deployment.execute(
        "INSERT INTO ponctuel.legal_holds (business_id, user_id) VALUES ('B1', 'U1')"
    )
    before = rows_of(deployment, "B1")["users"]
    night(deployment)
    held = by_number(deployment, number)
    assert (held["state"], held["blocked_reason"]) == ("locked", "legal_hold")
    assert rows_of(deployment, "B1")["users"] == before
    deployment.execute("UPDATE ponctuel.legal_holds SET lifted_at = ponctuel.clock()")
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"


def test_somebody_whose_row_the_application_has_removed_is_erased_too(
    deployment: Deployment,
) -> None:
    fill(deployment, "B1")
    number = lock(deployment)
    deployment.execute("DELETE FROM ponctuel.users WHERE id = 'U1'")
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"
    assert len(rows_of(deployment, "B1")["user_tokens"]) == 1


def test_an_address_that_a_colleague_has_too_is_the_colleagues(deployment: Deployment) -> None:
    fill(deployment, "B1")
    deployment.execute("UPDATE ponctuel.users SET email = ' U1@B1.example' WHERE id = 'O'")
    number = lock(deployment)
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"
    left = rows_of(deployment, "B1")
    assert [len(left[name]) for name in ("users", "user_tokens", "mailboxes")] == [1, 1, 2]


def test_an_address_in_a_place_that_nobody_expects_blocks(deployment: Deployment) -> None:
    fill(deployment, "B1")
    number = lock(deployment)
    deployment.execute("UPDATE ponctuel.followup_levels SET policy = 'de u1@b1.example'")
    night(deployment)
    found = by_number(deployment, number)
    assert (found["state"], found["blocked_reason"]) == ("erasing", "remains")
    assert one(deployment, "SELECT count(*) AS x FROM ponctuel.users") == 2
    errors = deployment.rows("SELECT error FROM ponctuel.run_errors WHERE step = 'erase'")
    assert "followup_levels.policy" in errors[0]["error"]
    deployment.execute("UPDATE ponctuel.followup_levels SET policy = 'standard'")
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"


def test_a_rehearsal_counts_the_rows_of_each_table_and_writes_nothing(
    deployment: Deployment,
) -> None:
    fill(deployment, "B1")
    lock(deployment)
    before = rows_of(deployment, "B1")
    report = deployment.rehearse("account_deletions")
    [change] = [c for c in report["changes"] if c["change"] == "deletions_erased"]
    assert change["rows"]["users"] == change["rows"]["mailboxes"] == 1
    assert rows_of(deployment, "B1") == before
