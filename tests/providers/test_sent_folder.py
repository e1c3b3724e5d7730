"""The Sent folder: what proves that a message was accepted, asked of a real IMAP server."""

from __future__ import annotations

import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import ProviderError, SettingsError
from chalicelib.providers.imap.sent_folder import SentFolder, _ids
from sandbox.imap import ImapSandbox
from tests.providers.conftest import Certificate
from tests.providers.wire import Conversation, serving, until_closed

FOLDER = "Éléments envoyés & archivés"


def letter(message_id: str, folded: bool = False) -> bytes:
    blank = "\r\n " if folded else " "
    return f"From: a@example.fr\r\nMessage-ID:{blank}{message_id}\r\n\r\nBonjour".encode()


def ids(*numbers: int) -> list[str]:
    return [f"<{number}.0123456789abcdef@example.fr>" for number in numbers]


@pytest.fixture
def imap(pymap: ImapSandbox) -> ImapSandbox:
    return pymap


def refused(url: str, **times: float) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        SentFolder(url, **times).find(ids(1))
    assert not caught.value.permanent
    assert "avec : @" not in str(caught.value.__cause__)
    return caught.value


def test_what_was_sent_is_found_and_nothing_else(imap: ImapSandbox) -> None:
    imap.append(FOLDER, [letter(ids(1)[0]), letter(ids(3)[0], folded=True), b"Subject: x\r\n\r\ny"])
    assert SentFolder(imap.url(FOLDER)).find(ids(1, 2, 3)) == set(ids(1, 3))


def test_an_id_that_is_only_a_part_of_another_one_is_not_found(imap: ImapSandbox) -> None:
    imap.append(FOLDER, [letter("<11.0123456789abcdef@example.fr.example>")])
    assert SentFolder(imap.url(FOLDER)).find(ids(1, 11)) == set()


def test_two_hundred_are_asked_about_over_one_connection(imap: ImapSandbox) -> None:
    asked = ids(*range(1000, 1200))
    imap.append(FOLDER, [letter(one) for one in [*asked[::2], *ids(*range(50))]])
    assert SentFolder(imap.url(FOLDER)).find(asked) == set(asked[::2])
    assert imap.connections == 1


def test_nothing_is_changed_in_the_folder(imap: ImapSandbox) -> None:
    imap.append(FOLDER, [letter(ids(1)[0])])
    before = imap.flags(FOLDER)
    SentFolder(imap.url(FOLDER)).find(ids(1))
    assert imap.flags(FOLDER) == before
    verbs = [command.split()[0] for command in imap.commands if command]
    assert "EXAMINE" in verbs
    assert not {"SELECT", "STORE", "EXPUNGE", "APPEND", "COPY", "MOVE", "CLOSE"} & set(verbs)
    assert all("PEEK" in command for command in imap.commands if "FETCH" in command)


def test_without_a_folder_the_usual_one_is_taken(imap: ImapSandbox) -> None:
    imap.append("Sent", [letter(ids(1)[0])])
    assert SentFolder(imap.url()).find(ids(1)) == set(ids(1))


def test_an_id_that_is_not_ours_asks_nobody(imap: ImapSandbox) -> None:
    odd = ["", "1@example.fr", '<a"b@example.fr>', "<a\r\nb@example.fr>", "<é@example.fr>"]
    assert SentFolder(imap.url(FOLDER)).find(odd) == set()
    assert imap.connections == 0


def test_a_folder_that_is_not_there_is_named_as_the_fault(imap: ImapSandbox) -> None:
    assert refused(imap.url("Nulle part")).code == "folder"
    assert refused(imap.url()).code == "folder"


def test_a_wrong_password_is_named_as_the_fault_and_not_shown(imap: ImapSandbox) -> None:
    error = refused(imap.url(FOLDER).replace("mot%20de", "faux%20mot"))
    assert error.code == "credentials"
    assert "faux" not in str(error)


def test_the_connection_is_encrypted_and_the_certificate_verified(
    certificate: Certificate,
) -> None:
    with ImapSandbox(tls=certificate.context) as imap:
        imap.append("Sent", [letter(ids(1)[0])])
        assert SentFolder(imap.url("Sent", ca_file=str(certificate.ca_file))).find(ids(1))
        assert refused(imap.url("Sent")).code == "configuration"


def test_nobody_there_is_a_connection_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert refused(f"imap://u:p@127.0.0.1:{port}/Sent").code == "connection"


def saying(*lines: bytes, then: Conversation = until_closed) -> Conversation:
    def conversation(client: socket.socket) -> None:
        client.sendall(b"".join(lines))
        then(client)

    return conversation


def drip(client: socket.socket) -> None:
    while True:
        client.sendall(b"*")
        time.sleep(0.02)


def flood(client: socket.socket) -> None:
    client.recv(65536)
    while True:
        client.sendall(b"* OK " + b"x" * 60_000 + b"\r\n")


HOSTILE: dict[str, Conversation] = {
    "silence": until_closed,
    "drip": drip,
    "not IMAP": saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "hangs up": lambda client: None,
    "bye": saying(b"* BYE too busy\r\n", then=lambda client: None),
    "flood": saying(b"* OK ready\r\n", then=flood),
    "endless line": saying(b"* OK " + b"x" * 2_000_000 + b"\r\n"),
    "huge literal": saying(b"* OK ready\r\n* X {99999999999}\r\n", then=drip),
    "nonsense": saying(b"* OK ready\r\n", b"* CAPABILITY IMAP4rev1\r\n* ]([ {\r\n\xff\x00\r\n"),
}


@pytest.mark.parametrize("manner", HOSTILE)
def test_a_hostile_server_ends_soon_in_an_error_and_never_in_a_proof(manner: str) -> None:
    begin = time.monotonic()
    with serving(HOSTILE[manner]) as port:
        error = refused(f"imap://u:p@127.0.0.1:{port}/Sent", connect_timeout=0.3, call_timeout=0.6)
    assert error.code == "connection"
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    "url",
    [
        "imap://u:p@imap.example.fr/Sent",  # in clear
        "imaps://u@imap.example.fr/Sent",
        "imaps://imap.example.fr/Sent",
        "smtps://u:p@imap.example.fr/Sent",
        "imaps://u:p@imap.example.fr/Sent?tls=none",
        "imaps://u:p@imap.example.fr/Sent%0d%0aX",
        "imaps://u:p@imap.example.fr:x/Sent",
        "imaps://u:p@imap.example.fr/%ff",
    ],
)
def test_an_unusable_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        SentFolder(url)
    assert "example.fr" not in str(caught.value)


@given(st.text())
def test_any_header_can_be_read(header: str) -> None:
    assert all(found.startswith("<") and found.endswith(">") for found in _ids(header))
