"""Passwords and tokens at rest, and changing the key that they are under."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from chalicelib.errors import SettingsError
from chalicelib.mailboxes.credentials import Keyring, Password, Rotated, Tokens, rotate
from chalicelib.settings import Settings
from tests.database import Database
from tests.domain.inbox.mailbox_rows import KEY, add

OTHER = urlsafe_b64encode(b"2" * 32).decode()
NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)


@given(st.text(max_size=60))
def test_any_password_comes_back_as_it_was(password: str) -> None:
    keyring = Keyring([KEY])
    token = keyring.encrypt(Password(password))
    assert keyring.decrypt(token) == Password(password)
    assert len(password) < 8 or password not in token


@given(st.text(), st.text(), st.none() | st.datetimes(timezones=st.just(UTC)))
def test_tokens_come_back_as_they_were(
    refresh: str, access: str, expires_at: datetime | None
) -> None:
    keyring = Keyring([KEY])
    tokens = Tokens(refresh, access, expires_at)
    assert keyring.decrypt(keyring.encrypt(tokens)) == tokens


def test_nothing_secret_shows_in_a_repr() -> None:
    shown = repr([Password("s3cret"), Tokens("r3fresh", "acc3ss", NOW), Keyring([KEY])])
    assert not [secret for secret in ("s3cret", "r3fresh", "acc3ss", KEY) if secret in shown]


def test_without_a_key_the_operator_is_told_how_to_make_one() -> None:
    with pytest.raises(SettingsError, match=r"MAILBOX_KEYS n'est pas renseigné.*secrets generate"):
        Keyring.of(Settings.from_mapping({}))
    deployed = Settings.from_mapping({"PONCTUEL_STAGE": "prod"}, {})
    with pytest.raises(SettingsError, match="secrets store MAILBOX_KEYS --stage prod"):
        Keyring.of(deployed)


@pytest.mark.parametrize("spoiled", ["", "é€", "gAAAA", "x" * 200])
def test_what_no_key_opens_is_said_without_being_quoted(spoiled: str) -> None:
    token = spoiled or Keyring([OTHER]).encrypt(Password("s3cret"))
    with pytest.raises(SettingsError, match="MAILBOX_KEYS") as raised:
        Keyring([KEY]).decrypt(token)
    assert raised.value.code == "mailbox_key"
    assert raised.value.__cause__ is None
    assert token not in str(raised.value)


def test_the_first_key_encrypts_and_the_others_still_decrypt() -> None:
    old = Keyring([KEY]).encrypt(Password("s3cret"))
    both = Keyring([OTHER, KEY])
    assert both.decrypt(old) == Password("s3cret")
    new = both.encrypt(Password("s3cret"))
    assert Keyring([OTHER]).decrypt(new) == Password("s3cret")
    with pytest.raises(SettingsError):
        Keyring([KEY]).decrypt(new)


def test_rotating_puts_every_mailbox_under_the_first_key_and_loses_none(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.mailboxes.credentials.AT_ONCE", 2)
    lost = urlsafe_b64encode(b"3" * 32).decode()
    with database.begin() as connection:
        old = [add(connection, f"{n}@a.fr", credentials=Password(f"p{n}")) for n in range(3)]
        current = add(connection, "n@a.fr", credentials=Password("pn"), keys=(OTHER,))
        unreadable = add(connection, "l@a.fr", keys=(lost,))
        busy = add(
            connection, "m@a.fr", credentials=Tokens("R.1"), renewing_until=NOW.replace(year=2199)
        )
        keyring = Keyring([OTHER, KEY])
        assert rotate(connection, keyring) == Rotated(3, 1, 1, (unreadable,))
        assert rotate(connection, keyring) == Rotated(0, 4, 1, (unreadable,))
        rows = connection.execute(text("SELECT id, credentials FROM ponctuel.mailboxes")).all()
    kept = {row.id: row.credentials for row in rows}
    opened = [Keyring([OTHER]).decrypt(kept[id_]) for id_ in (*old, current)]
    assert opened == [Password("p0"), Password("p1"), Password("p2"), Password("pn")]
    assert Keyring([KEY]).decrypt(kept[busy]) == Tokens("R.1")


def test_a_token_that_was_renewed_during_a_rotation_stays(database: Database) -> None:
    both = Keyring([OTHER, KEY])
    with database.begin() as connection:
        id_ = add(connection, credentials=Tokens("R.1"))
    engine = database.engine()

    class Slow(Keyring):
        """Between reading a row and writing it, another process saves a new token."""

        def rotated(self, token: str) -> str | None:
            with engine.begin() as other:
                other.execute(
                    text("UPDATE ponctuel.mailboxes SET credentials = :c"),
                    {"c": Keyring([KEY]).encrypt(Tokens("R.2", "A", NOW + timedelta(hours=1)))},
                )
            return super().rotated(token)

    with database.begin() as connection:
        assert rotate(connection, Slow([OTHER, KEY])).busy == 1
        kept = connection.execute(
            text("SELECT credentials FROM ponctuel.mailboxes WHERE id = :id"), {"id": id_}
        ).scalar_one()
    assert both.decrypt(kept) == Tokens("R.2", "A", NOW + timedelta(hours=1))
