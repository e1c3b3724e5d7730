"""What the letters say of a business's money, and when the last one is gone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from chalicelib.domain.accounts.letters import last_letter
from tests import factories
from tests.domain.accounts.people import (
    add_user,
    deletion,
    letters,
    nights,
    open_accounts,
    set_date,
    texts,
)
from tests.harness import NOW, TODAY, Deployment

DATE = NOW + timedelta(days=9)


def invoices(deployment: Deployment, business: str, *amounts: str, **columns: object) -> None:
    with deployment.database.begin() as connection:
        for n, amount in enumerate(amounts):
            factories.invoice(
                connection, TODAY, f"F{n}", business, number=f"{business}-{n}", total=amount,
                **columns,
            )  # fmt: skip


def alone(deployment: Deployment, *businesses: str) -> None:
    """The owner of each of them, who has nobody beside, leaves."""
    open_accounts(deployment, *businesses)
    for business in businesses:
        set_date(deployment, DATE, "O", business)


def told(deployment: Deployment) -> Sequence[str]:
    return [text for _, text in texts(deployment)]


def test_each_letter_lists_the_open_invoices_that_go_with_the_business(
    deployment: Deployment,
) -> None:
    alone(deployment, "B1", "B2")
    invoices(deployment, "B1", "1234.56", "10.00")
    invoices(deployment, "B2", "99.99", status="paid", balance="0.00")
    nights(deployment, 12)
    assert len(told(deployment)) == 6
    for text in told(deployment):
        mine = "B1-0 : 1 234,56 €" in text
        assert mine == ("Reste dû en tout : 1 244,56 €" in text)
        assert mine == ("Factures encore à encaisser" in text)
        assert "B2-0" not in text
        assert "L123-22" in text
        assert "Vous êtes la dernière personne" in text


def test_who_leaves_colleagues_behind_leaves_them_the_invoices(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, date=DATE)
    invoices(deployment, "B1", "1234.56")
    nights(deployment, 12)
    for text in told(deployment):
        assert "restent à l’entreprise, qui continue sans vous" in text
        assert "B1-0" not in text


def test_many_invoices_are_summed_up_by_currency(deployment: Deployment) -> None:
    alone(deployment, "B1")
    invoices(deployment, "B1", *["10.00"] * 23)
    with deployment.database.begin() as connection:
        factories.invoice(connection, TODAY, "D", number="D-1", total="5.00", currency="USD")
        factories.invoice(connection, TODAY, "X", number="X-1", total="7.00", currency="???")
    nights(deployment, 5)
    (text,) = told(deployment)
    assert "et 5 autres" in text
    assert "7.00 ???, 230,00 €, 5,00 $US" in text


@pytest.mark.parametrize(
    "name",
    ["<b>Léa</b> & Cie", "Léa\r\nBcc: x@example.com", "{{ 7 * 7 }}", "\u202eLéa", "é" * 5000, "  "],
)
def test_names_that_strangers_typed_change_no_letter(deployment: Deployment, name: str) -> None:
    open_accounts(deployment, "B1", name=name)
    add_user(deployment, date=DATE, name=name)
    nights(deployment, 5)
    assert [state for _, _, state in letters(deployment)] == ["accepted"]
    (html,) = (row["html"] for row in deployment.rows("SELECT html FROM ponctuel.message_bodies"))
    assert "<b>Léa" not in html
    assert "49" not in texts(deployment)[0][0]


def test_a_letter_to_a_colleague_holds_no_link(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, "A", role="admin")
    set_date(deployment, DATE, "O")
    nights(deployment)
    for row in deployment.rows(
        "SELECT m.step, b.text FROM ponctuel.message_bodies b"
        " JOIN ponctuel.messages m ON m.id = b.message_id"
    ):
        assert ("/deletion/" in row["text"]) == (row["step"] == "O")


def is_gone(deployment: Deployment) -> bool:
    number = deletion(deployment)["id"]
    with deployment.database.begin() as connection:
        return last_letter(connection, [number])[number]


def test_the_address_waits_for_the_last_letter_to_be_accepted(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    add_user(deployment, date=DATE)
    nights(deployment, 9)
    deployment.smtp.fail("refuse_temporary")
    deployment.advance_to_slot("account_deletions")
    deployment.tick("account_deletions", hours=0)
    assert deletion(deployment)["state"] == "locked"
    assert not is_gone(deployment)
    deployment.smtp.heal()
    deployment.tick("deliver_messages", hours=1)
    assert letters(deployment)[-1] == ("final", "u1@b1.example", "accepted")
    assert is_gone(deployment)


@pytest.mark.parametrize("fault", ["refuse_permanent", None])
def test_a_last_letter_that_cannot_be_accepted_is_not_waited_for(
    deployment: Deployment, fault: str | None
) -> None:
    """Refused for good; or there is no address."""
    open_accounts(deployment, "B1")
    add_user(deployment, date=DATE, **({} if fault else {"email": None}))
    nights(deployment, 9)
    if fault:
        deployment.smtp.fail("refuse_permanent")
    deployment.advance_to_slot("account_deletions")
    deployment.tick("account_deletions", hours=0)
    assert deletion(deployment)["state"] == "locked"
    assert is_gone(deployment)


def test_a_last_letter_in_review_is_waited_for_a_week(deployment: Deployment) -> None:
    open_accounts(deployment, "B1")
    deployment.execute("DELETE FROM ponctuel.go_lives WHERE kind = 'accounts.deletion_final'")
    add_user(deployment, date=DATE)
    nights(deployment, 15)
    assert letters(deployment)[-1] == ("final", "u1@b1.example", "held")
    assert not is_gone(deployment)
    nights(deployment, 3)
    assert is_gone(deployment)
