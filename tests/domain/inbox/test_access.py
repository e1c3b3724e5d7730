"""Access tokens: renewed in time, by one process at a time, and no refresh token is ever lost."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from chalicelib.errors import NotFound, SettingsError
from chalicelib.mailboxes.access import Renewal, access_token
from chalicelib.mailboxes.credentials import Keyring, Password, Tokens
from chalicelib.providers import oauth
from chalicelib.providers.imap.port import ImapError
from sandbox.token_issuer import TokenIssuer
from tests.database import Database
from tests.domain.inbox.mailbox_rows import KEY, add

KEYRING = Keyring([KEY])


@pytest.fixture(scope="module")
def issuers() -> Iterator[TokenIssuer]:
    with TokenIssuer() as running:
        yield running


@pytest.fixture
def sandbox(issuers: TokenIssuer) -> TokenIssuer:
    issuers.asked.clear()
    issuers.access_tokens.clear()
    issuers.fault, issuers.delay, issuers.life = None, 0.0, 3599
    for token in issuers.valid:
        issuers.revoke(token)
    return issuers


def renewal(sandbox: TokenIssuer, issuer: str = "microsoft", seconds: float = 20) -> Renewal:
    client = oauth.TokenIssuer(sandbox.url(issuer))
    return Renewal(client.renew, timedelta(seconds=seconds))


def mailbox(database: Database, tokens: Tokens) -> int:
    with database.begin() as connection:
        return add(connection, credentials=tokens, auth="xoauth2", token_issuer="microsoft")


def kept(database: Database, mailbox_id: int) -> Tokens:
    with database.begin() as connection:
        row = connection.execute(
            text("SELECT credentials, renewing_until FROM ponctuel.mailboxes WHERE id = :id"),
            {"id": mailbox_id},
        ).one()
    assert row.renewing_until is None
    found = KEYRING.decrypt(row.credentials)
    assert isinstance(found, Tokens)
    return found


def clock(database: Database) -> datetime:
    return datetime.now(UTC) + database.offset


def test_a_token_with_more_than_five_minutes_is_used_again(
    database: Database, sandbox: TokenIssuer
) -> None:
    engine = database.engine()
    id_ = mailbox(database, Tokens(sandbox.grant("microsoft")))
    token = access_token(engine, id_, KEYRING, renewal(sandbox))
    assert token == sandbox.access_tokens[0]
    assert access_token(engine, id_, KEYRING, renewal(sandbox)) == token
    database.advance(timedelta(minutes=54))
    assert access_token(engine, id_, KEYRING, renewal(sandbox)) == token
    database.advance(timedelta(minutes=2))
    assert access_token(engine, id_, KEYRING, renewal(sandbox)) == sandbox.access_tokens[1]
    assert len(sandbox.asked) == 2
    assert {kept(database, id_).refresh_token} == sandbox.valid


def test_googles_refresh_token_stays(database: Database, sandbox: TokenIssuer) -> None:
    granted = sandbox.grant("google")
    id_ = mailbox(database, Tokens(granted))
    access_token(database.engine(), id_, KEYRING, renewal(sandbox, "google"))
    assert kept(database, id_).refresh_token == granted


def test_a_token_that_the_mail_server_refused_is_renewed_before_its_time(
    database: Database, sandbox: TokenIssuer
) -> None:
    engine = database.engine()
    id_ = mailbox(database, Tokens(sandbox.grant("microsoft")))
    first = access_token(engine, id_, KEYRING, renewal(sandbox))
    second = access_token(engine, id_, KEYRING, renewal(sandbox), refused=first)
    assert second not in ("", first)
    # Who was refused the first one, and comes late, gets the second.
    assert access_token(engine, id_, KEYRING, renewal(sandbox), refused=first) == second
    assert len(sandbox.asked) == 2


def test_eight_processes_renew_once_and_all_have_the_new_token(
    database: Database, sandbox: TokenIssuer
) -> None:
    sandbox.delay = 0.3
    id_ = mailbox(database, Tokens(sandbox.grant("microsoft")))
    engines = [database.engine() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        tokens = list(
            pool.map(lambda engine: access_token(engine, id_, KEYRING, renewal(sandbox)), engines)
        )
    assert set(tokens) == {sandbox.access_tokens[0]}
    assert len(sandbox.asked) == 1
    assert {kept(database, id_).refresh_token} == sandbox.valid


def test_threads_that_share_one_connection_do_not_wait_for_the_issuer(
    database: Database, sandbox: TokenIssuer
) -> None:
    sandbox.delay = 0.5
    engine = database.engine()
    ids = []
    for number in range(4):
        with database.begin() as connection:
            tokens = Tokens(sandbox.grant("microsoft"))
            ids.append(add(connection, f"{number}@a.fr", credentials=tokens))
    started = datetime.now(UTC)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda id_: access_token(engine, id_, KEYRING, renewal(sandbox)), ids))
    assert datetime.now(UTC) - started < timedelta(seconds=4 * sandbox.delay)
    assert {kept(database, id_).refresh_token for id_ in ids} == sandbox.valid


def test_who_died_while_renewing_holds_up_nobody_for_long(
    database: Database, sandbox: TokenIssuer
) -> None:
    id_ = mailbox(database, Tokens(sandbox.grant("microsoft")))
    with database.begin() as connection:
        connection.execute(
            text("UPDATE ponctuel.mailboxes SET renewing_until = ponctuel.clock() + :lease"),
            {"lease": timedelta(seconds=0.5)},
        )
    started = datetime.now(UTC)
    assert access_token(database.engine(), id_, KEYRING, renewal(sandbox))
    assert datetime.now(UTC) - started > timedelta(seconds=0.3)


def test_a_revoked_authorisation_is_said_and_leaves_everything_as_it_was(
    database: Database, sandbox: TokenIssuer
) -> None:
    granted = sandbox.grant("microsoft")
    id_ = mailbox(database, Tokens(granted))
    sandbox.revoke(granted)
    for _ in range(2):
        with pytest.raises(ImapError) as raised:
            access_token(database.engine(), id_, KEYRING, renewal(sandbox))
        assert raised.value.code == "reauthorise"
    assert kept(database, id_) == Tokens(granted)


def test_an_issuer_in_trouble_costs_nothing(database: Database, sandbox: TokenIssuer) -> None:
    id_ = mailbox(database, Tokens(sandbox.grant("microsoft")))
    sandbox.fault = (503, b"<html>", "text/html")
    with pytest.raises(ImapError) as raised:
        access_token(database.engine(), id_, KEYRING, renewal(sandbox))
    assert raised.value.code == "unavailable"
    sandbox.fault = None
    assert access_token(database.engine(), id_, KEYRING, renewal(sandbox))


def test_credentials_that_an_operator_stored_meanwhile_stay(
    database: Database, sandbox: TokenIssuer
) -> None:
    engine = database.engine()
    id_ = mailbox(database, Tokens(sandbox.grant("microsoft")))
    ours = renewal(sandbox)
    stored = Tokens(sandbox.grant("microsoft"))

    def ask(refresh_token: str) -> oauth.Renewed:
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE ponctuel.mailboxes SET credentials = :c, renewing_until = NULL"),
                {"c": KEYRING.encrypt(stored)},
            )
        return ours.ask(refresh_token)  # type: ignore[return-value]  # the protocol's one class

    assert access_token(engine, id_, KEYRING, Renewal(ask, ours.longest))
    assert kept(database, id_) == stored


def test_a_mailbox_that_is_gone_or_has_a_password_is_said(
    database: Database, sandbox: TokenIssuer
) -> None:
    with database.begin() as connection:
        id_ = add(connection, credentials=Password("p"))
    with pytest.raises(SettingsError):
        access_token(database.engine(), id_, KEYRING, renewal(sandbox))
    with pytest.raises(NotFound):
        access_token(database.engine(), id_ + 1, KEYRING, renewal(sandbox))
    assert sandbox.asked == []
