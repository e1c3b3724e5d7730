"""TLS to a server whose certificate an authority has signed, as databases on the Internet have
them: who is trusted, and that the password is said to nobody else."""

from __future__ import annotations

import ssl
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import socket
from typing import Any

import pytest

from chalicelib import database_url
from chalicelib.db.engine import make_engine, transaction
from chalicelib.errors import DatabaseUnavailable
from chalicelib.settings import Settings
from tests.certificates import Signed, server_context, sign
from tests.providers.wire import Conversation, serving

# The loopback under a name that is not one of the loopback's own.
HOST = "127.1"
PASSWORD = "le-mot-de-passe-de-la-base"
DAY = timedelta(days=1)

# PostgreSQL, Frontend/Backend Protocol, message formats.
SSL_REQUEST = struct.pack("!II", 8, 80877103)
CLEARTEXT_PASSWORD = b"R" + struct.pack("!II", 8, 3)
_REFUSAL = b"SFATAL\0C28P01\0Mno\0\0"
REFUSED_PASSWORD = b"E" + struct.pack("!I", 4 + len(_REFUSAL)) + _REFUSAL


@pytest.fixture(scope="module")
def authority() -> Signed:
    return sign("Autorité", None)


@dataclass
class Postgres:
    """The beginning of a PostgreSQL server over TLS: it asks for the password, and refuses it.
    `heard`: what it was told in clear after its answer to the request for TLS, and over TLS."""

    context: ssl.SSLContext
    answer: bytes = b"S"
    requests: int = 0
    heard: bytes = b""

    def play(self, client: socket) -> None:
        assert client.recv(8) == SSL_REQUEST
        self.requests += 1
        client.sendall(self.answer)
        if self.answer != b"S":
            self.heard += client.recv(1000)
            return
        with self.context.wrap_socket(client, server_side=True) as encrypted:
            self.heard += encrypted.recv(1000)
            encrypted.sendall(CLEARTEXT_PASSWORD)
            self.heard += encrypted.recv(1000)
            encrypted.sendall(REFUSED_PASSWORD)
            while encrypted.recv(1000):
                pass


def server(folder: Path, *chain: Signed) -> Postgres:
    """A server with this certificate and those between it and its authority."""
    return Postgres(server_context(folder, *chain))


def connect(postgres: Postgres, **options: Any) -> str:
    """Tries to connect; returns what a person is told. Nobody gets in here."""
    conversation: Conversation = postgres.play
    with serving(conversation) as port:
        engine = make_engine(
            f"postgresql+pg8000://ponctuel:{PASSWORD}@{HOST}:{port}/x",
            application="tests",
            **options,
        )
        with pytest.raises(DatabaseUnavailable) as told, transaction(engine):
            pass
    assert postgres.requests == 1, "it went over the loopback's own way, or tried again in clear"
    return str(told.value)


def was_trusted(postgres: Postgres) -> bool:
    """Whether the server was told the user and the password; if not, it was told nothing."""
    assert (PASSWORD.encode() in postgres.heard) == (postgres.heard != b"")
    return postgres.heard != b""


def test_a_server_of_the_given_authority_and_of_the_right_name_is_trusted(
    tmp_path: Path, authority: Signed
) -> None:
    in_a_file = tmp_path / "authority.pem"
    in_a_file.write_text(authority.pem)
    for ca in (str(in_a_file), authority.pem, f"\n{authority.pem}"):
        postgres = server(tmp_path, sign("db", authority, host=HOST))
        told = connect(postgres, ca=ca)
        assert was_trusted(postgres)
        assert "refuse le mot de passe" in told


def test_an_authority_that_ships_in_the_package_is_named_by_its_place_there(
    tmp_path: Path, authority: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_url, "PACKAGE", tmp_path)
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "fournisseur.pem").write_text(authority.pem)
    current = Settings.from_mapping({"DATABASE_CA": "certs/fournisseur.pem"})
    postgres = server(tmp_path, sign("db", authority, host=HOST))
    connect(postgres, ca=current.database_ca)
    assert was_trusted(postgres)


def test_an_authority_may_sign_through_another(tmp_path: Path, authority: Signed) -> None:
    between = sign("Intermédiaire", authority)
    postgres = server(tmp_path, sign("db", between, host=HOST), between)
    connect(postgres, ca=authority.pem)
    assert was_trusted(postgres)


@pytest.mark.parametrize("check_hostname", [True, False])
def test_an_authority_that_is_not_the_given_one_is_never_trusted(
    tmp_path: Path, authority: Signed, check_hostname: bool
) -> None:
    for ca in (None, sign("Autorité", None).pem):
        postgres = server(tmp_path, sign("db", authority, host=HOST))
        told = connect(postgres, ca=ca, check_hostname=check_hostname)
        assert not was_trusted(postgres)
        assert "Vérifiez DATABASE_URL" in told


@pytest.mark.parametrize("check_hostname", [True, False])
def test_a_certificate_for_another_name_is_trusted_only_where_the_name_does_not_count(
    tmp_path: Path, authority: Signed, check_hostname: bool
) -> None:
    postgres = server(tmp_path, sign("db", authority, host="db.example.fr"))
    connect(postgres, ca=authority.pem, check_hostname=check_hostname)
    assert was_trusted(postgres) is not check_hostname


@pytest.mark.parametrize("days", [-30, 30])
def test_a_certificate_out_of_its_dates_is_not_trusted(
    tmp_path: Path, authority: Signed, days: int
) -> None:
    begin = datetime.now(UTC) + days * DAY
    postgres = server(tmp_path, sign("db", authority, from_=begin, host=HOST))
    connect(postgres, ca=authority.pem, check_hostname=False)
    assert not was_trusted(postgres)


def test_a_server_without_tls_is_told_nothing(tmp_path: Path, authority: Signed) -> None:
    postgres = server(tmp_path, sign("db", authority, host=HOST))
    postgres.answer = b"N"
    connect(postgres, ca=authority.pem, check_hostname=False)
    assert not was_trusted(postgres)
