"""What a database error is, by what the server said: its last words count, whatever hid them."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

import pytest
from pg8000.core import CoreConnection
from sqlalchemy.exc import DBAPIError

from chalicelib.db.engine import make_engine, transaction
from chalicelib.db.sqlstate import database_error, sqlstate
from chalicelib.errors import DatabaseUnavailable
from tests.providers.wire import serving


def refusing(code: str) -> bytes:
    """The ErrorResponse of a server that refuses a connection, and then hangs up."""
    said = f"SFATAL\0VFATAL\0C{code}\0Mno\0\0".encode()
    return b"E" + struct.pack("!I", 4 + len(said)) + said


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("28P01", "refuse le mot de passe"),
        ("28000", "refuse l'identification"),
        ("3D000", "n'existe pas"),
        ("53300", "n'accepte plus de connexion"),
        ("57P03", "démarre"),
    ],
)
def test_why_a_connection_was_refused_is_told_although_the_server_has_hung_up_at_once(
    monkeypatch: pytest.MonkeyPatch, code: str, why: str
) -> None:
    close = CoreConnection.close

    def close_late(connection: Any) -> None:
        """The server has gone by the time that pg8000 says goodbye, which is else a race."""
        with contextlib.suppress(OSError):  # it has
            connection._usock.shutdown(socket.SHUT_RDWR)
        close(connection)

    monkeypatch.setattr(CoreConnection, "close", close_late)

    def refuse(client: socket.socket) -> None:
        client.recv(1000)
        client.sendall(refusing(code))

    with serving(refuse) as port:
        engine = make_engine(f"postgresql+pg8000://u:p@127.0.0.1:{port}/x", application="tests")
        with pytest.raises(DatabaseUnavailable, match=why), transaction(engine):
            pass


def test_an_error_that_was_dealt_with_before_is_not_taken_for_the_reason_of_a_lost_connection() -> (
    None
):
    duplicate = Exception({"S": "ERROR", "V": "ERROR", "C": "23505"})
    lost = _raised_while_handling(duplicate, InterfaceError("network error"))
    error = DBAPIError("SELECT 1", None, lost)
    assert sqlstate(error) is None
    assert isinstance(database_error(error), DatabaseUnavailable)


class InterfaceError(Exception):
    """pg8000's, as SQLAlchemy hands it on."""


def _raised_while_handling(first: Exception, second: Exception) -> Exception:
    with contextlib.suppress(type(second)):
        try:
            raise first
        except Exception:  # noqa: BLE001 - to be the context of the second
            raise second  # noqa: B904 - the implicit context is the point
    return second
