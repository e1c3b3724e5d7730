"""Erasing gives back at Google what was given to a mailbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cryptography.fernet import Fernet

from chalicelib.errors import ProviderError
from chalicelib.mailboxes.credentials import Keyring, Tokens
from chalicelib.providers import oauth
from sandbox.token_issuer import TokenIssuer
from tests.domain.accounts.erased import by_number, fill, lock, night, receipts, rows_of
from tests.harness import Deployment

KEY = Fernet.generate_key().decode()


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenIssuer]:
    monkeypatch.setenv("MAILBOX_KEYS", KEY)
    with TokenIssuer() as running:
        monkeypatch.setenv("GOOGLE_OAUTH_URL", running.url("google"))
        yield running


def give(deployment: Deployment, google: TokenIssuer, business: str, user: str = "u1") -> str:
    """The mailbox of a user is Google's from now on; returns its refresh token."""
    token = google.grant("google")
    deployment.execute(
        "UPDATE ponctuel.mailboxes SET auth = 'xoauth2', token_issuer = 'google',"
        " credentials = :sealed WHERE business_id = :business AND address LIKE :address",
        sealed=Keyring([KEY]).encrypt(Tokens(token)),
        business=business,
        address=f"{user}@%",
    )
    return token


def counted(deployment: Deployment, number: int) -> dict[str, int]:
    rows = deployment.rows(
        "SELECT counts FROM ponctuel.erasure_receipts WHERE deletion_id = :n AND step = 'revoke'",
        n=number,
    )
    counts: dict[str, int] = rows[0]["counts"]
    return counts


def test_what_google_gave_to_a_mailbox_is_given_back_and_no_other(
    deployment: Deployment, google: TokenIssuer
) -> None:
    fill(deployment, "B1")
    fill(deployment, "B2")
    ours, owners = give(deployment, google, "B1"), give(deployment, google, "B1", "o")
    theirs = give(deployment, google, "B2")
    number = lock(deployment)
    night(deployment)
    assert google.valid == {owners, theirs}
    assert google.asked == [{"token": ours}]
    assert (by_number(deployment, number)["state"], counted(deployment, number)) == (
        "erased",
        {"revoked": 1},
    )


def test_a_business_gives_back_all_of_its_own(deployment: Deployment, google: TokenIssuer) -> None:
    fill(deployment, "B1")
    give(deployment, google, "B1")
    give(deployment, google, "B1", "o")
    number = lock(deployment, "O")
    night(deployment)
    assert (google.valid, counted(deployment, number)) == (set(), {"revoked": 2})


def test_a_token_that_google_knows_no_more_is_as_good_as_given_back(
    deployment: Deployment, google: TokenIssuer
) -> None:
    fill(deployment, "B1")
    google.revoke(give(deployment, google, "B1"))
    number = lock(deployment)
    night(deployment)
    assert (by_number(deployment, number)["state"], counted(deployment, number)) == ("erased", {})


def test_google_out_of_order_for_days_is_told_and_the_mailbox_waits(
    deployment: Deployment, google: TokenIssuer
) -> None:
    fill(deployment, "B1")
    give(deployment, google, "B1")
    number = lock(deployment)
    google.fault = (503, b"<html>", "text/html")
    for blocked in (None, None, "revoke_failed"):
        night(deployment)
        assert by_number(deployment, number)["blocked_reason"] == blocked
    assert receipts(deployment, number) == []
    assert len(rows_of(deployment, "B1")["mailboxes"]) == 2
    google.fault = None
    night(deployment)
    assert (by_number(deployment, number)["state"], google.valid) == ("erased", set())


def test_a_mailbox_of_the_same_address_in_another_business_keeps_the_consent(
    deployment: Deployment, google: TokenIssuer
) -> None:
    fill(deployment, "B1")
    fill(deployment, "B2")
    token = give(deployment, google, "B1")
    give(deployment, google, "B2")
    deployment.execute(
        "UPDATE ponctuel.mailboxes SET address = 'u1@b1.example'"
        " WHERE business_id = 'B2' AND address LIKE 'u1@%'"
    )
    lock(deployment)
    night(deployment)
    assert token in google.valid
    assert google.asked == []


@pytest.mark.parametrize("held", [False, True])
def test_two_who_go_together_give_back_the_consent_they_share_unless_one_is_held(
    deployment: Deployment, google: TokenIssuer, held: bool
) -> None:
    tokens = set()
    for business in ("B1", "B2"):
        fill(deployment, business)
        tokens.add(give(deployment, google, business, "o"))
    deployment.execute(
        "UPDATE ponctuel.mailboxes SET address = 'o@both.example' WHERE address LIKE 'o@%'"
    )
    numbers = [lock(deployment, "O", business) for business in ("B1", "B2")]
    if held:
        deployment.execute("INSERT INTO ponctuel.legal_holds (business_id) VALUES ('B1')")
    night(deployment)
    states = [by_number(deployment, number)["state"] for number in numbers]
    assert states == (["locked", "erased"] if held else ["erased", "erased"])
    assert len(google.asked) == (0 if held else 1)
    assert google.valid <= tokens


def test_an_address_that_two_users_of_a_business_have_keeps_its_mailbox_and_the_consent(
    deployment: Deployment, google: TokenIssuer
) -> None:
    fill(deployment, "B1")
    token = give(deployment, google, "B1")
    deployment.execute("UPDATE ponctuel.users SET email = 'U1@b1.example' WHERE id = 'O'")
    number = lock(deployment)
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"
    assert google.valid == {token}
    assert len(rows_of(deployment, "B1")["mailboxes"]) == 2


def test_credentials_that_no_key_opens_are_counted_and_do_not_hold_up(
    deployment: Deployment, google: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(deployment, "B1")
    give(deployment, google, "B1")
    monkeypatch.setenv("MAILBOX_KEYS", Fernet.generate_key().decode())
    number = lock(deployment)
    night(deployment)
    assert counted(deployment, number) == {"unreadable": 1}
    assert by_number(deployment, number)["state"] == "erased"


@pytest.mark.parametrize(
    ("status", "body", "permanent"),
    [(400, b'{"error": "invalid_request"}', True), (429, b"{}", False), (500, b"x", False)],
)
def test_what_google_answers_is_told_without_the_token(
    google: TokenIssuer, status: int, body: bytes, permanent: bool
) -> None:
    google.fault = (status, body, "application/json")
    with pytest.raises(ProviderError) as raised:
        oauth.revoke("gR.secret", base_url=oauth.google_base(google.url("google")))
    assert (raised.value.permanent, raised.value.code) == (permanent, f"revoke_{status}")
    assert "gR.secret" not in str(raised.value)
    assert oauth.google_base(None) == "https://oauth2.googleapis.com"
