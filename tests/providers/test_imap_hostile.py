"""Servers that no client should be hurt by: never a hang, a crash, endless memory, or anything but
an `ImapError` with the right code."""

from __future__ import annotations

import base64
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.providers.imap import conversation, session
from chalicelib.providers.imap.port import Changes, Fetched, Headed, ImapError, Listed, Opened
from chalicelib.providers.imap.session import Session, open_session
from tests.providers.conftest import Certificate
from tests.providers.imap_scripts import DONE, EXAMINED, account, imap
from tests.providers.wire import Conversation, serving, until_closed

MB = 1_000_000


@contextmanager
def opened(server: Conversation, *, seconds: float = 5, **fields: Any) -> Iterator[Session]:
    with (
        serving(server) as port,
        closing(open_session(account(port, **fields), seconds=seconds)) as ours,
    ):
        ours.open("INBOX")
        yield ours


def code(server: Conversation, *, seconds: float = 5, **fields: Any) -> str:
    """Of the error that logging in ends in."""
    with serving(server) as port, pytest.raises(ImapError) as caught:
        open_session(account(port, **fields), seconds=seconds)
    return caught.value.code


def ended(step: Callable[[], object]) -> str:
    """The code of the error that a step ends in, or nothing."""
    try:
        step()
    except ImapError as error:
        return error.code
    return ""


def everything(ours: Session, tmp_path: Path) -> None:
    """Each method once, each error let pass that may be."""
    steps: list[Callable[[], object]] = [
        ours.folders,
        lambda: ours.open("INBOX"),
        ours.uids,
        lambda: list(ours.listed(1)),
        lambda: list(ours.headers([1, 2])),
        lambda: list(ours.messages([1, 2], in_memory=10, folder=tmp_path)),
        lambda: ours.changes(1),
        ours.flags,
    ]
    for step in steps:
        assert ended(step) in ("", "connection", "unavailable", "folder")


# ---- at the door


def drip(client: socket.socket) -> None:
    while True:
        client.sendall(b"*")
        time.sleep(0.02)


def flood(client: socket.socket) -> None:
    while True:
        client.sendall(b"x" * 60_000)


def untagged_flood(client: socket.socket) -> None:
    while True:
        client.sendall(b"* OK " + b"x" * 60_000 + b"\r\n")


def continuations(client: socket.socket) -> None:
    while True:
        client.sendall(b"+ go on\r\n" * 100)


@pytest.mark.parametrize("then", [until_closed, drip, untagged_flood])
def test_who_never_comes_to_an_end_is_cut_off(then: Conversation) -> None:
    begin = time.monotonic()
    assert code(imap(greeting=then), seconds=0.4) == "connection"
    assert code(imap(authenticate=then), seconds=0.4) == "connection"
    assert time.monotonic() - begin < 3


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"* PREAUTH [CAPABILITY IMAP4rev1] you are somebody\r\n",
        b"* NO\r\n",
        b"+ \r\n",
        b"P1 OK done\r\n",
        b"\r\n",
        b"* \r\n",
        b"\x16\x03\x01\x00\x00",
        b"* OK {99999999999}\r\nP1 WHAT\r\n",
        lambda client: None,
        flood,
    ],
)
def test_what_does_not_begin_like_imap_is_left_at_once(greeting: Any) -> None:
    begin = time.monotonic()
    server = imap(greeting=greeting, capability=lambda client: None)
    assert code(server, seconds=0.5) == "connection"
    assert time.monotonic() - begin < 3


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"* BYE [UNAVAILABLE] Too many connections\r\n", "unavailable"),
        (b"* BYE\r\n", "connection"),
        (b"{tag} NO [AUTHENTICATIONFAILED] no\r\n", "credentials"),
        (b"{tag} NO [UNAVAILABLE] Temporary authentication failure.\r\n", "unavailable"),
        (b"{tag} NO\r\n", "unavailable"),
        (b"{tag} BAD Command Argument Error. 11\r\n", "connection"),
        (b"{tag} WHAT\r\n", "connection"),
        (b"P99 OK somebody else's\r\n", "connection"),
        (b"{tag}", "connection"),
        (continuations, "connection"),
        (lambda client: None, "connection"),
    ],
)
def test_an_answer_to_the_login(answer: Any, expected: str) -> None:
    server = imap(authenticate=answer) if callable(answer) else imap(authenticate=[answer])
    assert code(server, seconds=1) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [("400", "credentials"), ("401", "credentials"), ("500", "unavailable"), ("x", "unavailable")],
)
def test_xoauth2_says_what_is_wrong_in_a_challenge(status: str, expected: str) -> None:
    told = b'{"status":"%s","schemes":"Bearer"}' % status.encode()
    received: list[bytes] = []

    def challenge(client: socket.socket) -> None:
        client.sendall(b"+ " + base64.b64encode(told) + b"\r\n")
        received.append(client.recv(100))
        client.sendall(b"P1 NO nope\r\n")
        until_closed(client)

    assert code(imap(authenticate=challenge), auth="xoauth2") == expected
    assert received == [b"\r\n"]


@pytest.mark.parametrize("auth", ["password", "xoauth2"])
def test_without_an_initial_response_the_secret_waits_to_be_asked_for(auth: str) -> None:
    received: list[bytes] = []

    def ask(client: socket.socket) -> None:
        client.sendall(b"+ \r\n")
        received.append(base64.b64decode(client.recv(1000)))
        client.sendall(b"P2 OK [CAPABILITY IMAP4rev1] in\r\n")
        until_closed(client)

    capabilities = b"IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2"
    server = imap(greeting=b"* OK hello\r\n", capabilities=capabilities, authenticate=ask)
    with serving(server) as port:
        open_session(account(port, auth=auth), seconds=5).close()
    assert b"secret" in received[0]


def test_credentials_are_not_sent_in_clear_where_that_is_forbidden() -> None:
    server = imap(
        greeting=b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hello\r\n", login=until_closed
    )
    assert code(server) == "connection"


# ---- STARTTLS


def test_without_starttls_nothing_is_said_in_clear() -> None:
    heard: list[bytes] = []

    def listen(client: socket.socket) -> None:
        heard.append(client.recv(1000))

    for greeting in (
        b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] no encryption here\r\n",
        b"* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] in already\r\n",
    ):

        def server(client: socket.socket, greeting: bytes = greeting) -> None:
            client.sendall(greeting)
            listen(client)

        assert code(server, security="starttls") == "connection"
    assert b"".join(heard) == b""


def test_what_is_injected_before_the_handshake_is_not_used(certificate: Certificate) -> None:
    """CVE-2021-38370 and its like: an answer put behind the OK, before the encryption."""

    def injecting(client: socket.socket) -> None:
        client.sendall(b"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hello\r\n")
        client.recv(1000)
        client.sendall(b"P1 OK begin\r\nP2 OK [CAPABILITY IMAP4rev1] you are in\r\n")
        with certificate.context.wrap_socket(client.dup(), server_side=True) as encrypted:
            imap(greeting=b"")(encrypted)

    ca_file = str(certificate.ca_file)
    assert code(injecting, security="starttls", ca_file=ca_file) == "connection"


def test_capabilities_that_were_told_in_clear_do_not_count(certificate: Certificate) -> None:
    commands: list[bytes] = []

    def server(client: socket.socket) -> None:
        client.sendall(b"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hello\r\n")
        client.recv(1000)
        client.sendall(b"P1 OK begin\r\n")
        with certificate.context.wrap_socket(client.dup(), server_side=True) as encrypted:
            commands.append(encrypted.recv(1000))

    assert code(server, security="starttls", ca_file=str(certificate.ca_file)) == "connection"
    assert commands == [b"P2 CAPABILITY\r\n"]


# ---- folders


def test_folders_as_odd_servers_list_them() -> None:
    listed = (
        b'* LIST (\\HasNoChildren) "/" INBOX\r\n'
        b'* LIST () NIL "sans s\xc3\xa9parateur"\r\n'
        b'* LIST (\\Noselect) "/" "[Gmail]"\r\n'
        b'* LIST (\\NonExistent) "/" gone\r\n'
        b'* LIST () "/" {9}\r\na"b\\c {3}\r\n'
        b'* LIST () "/" "&ZeVnLIqe-"\r\n'
        b'* LIST () "/" "&broken"\r\n'
        b'* LIST () "/" "A&-B"\r\n'
        b'* LIST () "/" "\xff\xfe"\r\n'
        b'* LIST () "/" NIL\r\n'
        b'* LIST () "/" "Courrier ind&AOk-sirable"\r\n'
        b'* LIST () "/" "INBOX/&AMk-l&AOk-ments envoy&AOk-s"\r\n'
        b'* LIST () "/" "Clients/Corbeille"\r\n'
        b'* LIST (\\Sent \\Trash) "/" "Tout"\r\n'
        b'* LIST () "/" ""\r\n'
        b"* LIST\r\n"
        b"* LIST x y\r\n"
    )
    with opened(imap(list=listed + DONE)) as ours:
        folders = {one.path: one.special for one in ours.folders()}
        assert ours.open("&broken").exists == 3
    assert folders == {
        "INBOX": "inbox",
        "sans séparateur": None,
        'a"b\\c {3}': None,
        "日本語": None,
        "&broken": None,
        "A&B": None,
        "\ufffd\ufffd": None,
        "NIL": None,
        "Courrier indésirable": "junk",
        "INBOX/Éléments envoyés": None,  # the server says which one is for what was sent
        "Clients/Corbeille": None,
        "Tout": "sent",
    }


@pytest.mark.parametrize(
    "listed",
    [
        b'* LIST () "/" {99999999999}\r\n',
        b"* LIST " + b"(" * 5000 + b"\r\n" + DONE,
        b'* LIST () "/" "x' + b"\r\n" + DONE,
        b"* LIST " + b"x" * 2_000_000 + b"\r\n" + DONE,
        b'* LIST () "/" {3}\r\nab',
        b'* LIST () "/" {1}\r\nx' * 5000,
    ],
)
def test_a_list_that_is_none_is_an_error(listed: bytes) -> None:
    def server(client: socket.socket) -> None:
        client.sendall(listed.replace(b"{tag}", b"P3"))

    with opened(imap(list=server)) as ours, pytest.raises(ImapError) as caught:
        ours.folders()
    assert caught.value.code == "connection"


def test_more_folders_than_anybody_has_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "MOST_KEPT", 50)
    listed = b"".join(b'* LIST () "/" f%d\r\n' % number for number in range(60))
    with opened(imap(list=listed + DONE)) as ours, pytest.raises(ImapError):
        ours.folders()


def test_a_server_that_does_not_know_what_it_offers_is_asked_simply() -> None:
    plain = b'* LIST () "/" INBOX\r\n' + DONE
    server = imap(
        capabilities=b"IMAP4rev1 AUTH=PLAIN SASL-IR LIST-STATUS SPECIAL-USE ENABLE QRESYNC",
        enable=b"{tag} NO not today\r\n",
        list=[b"{tag} BAD what?\r\n", plain],
    )
    with opened(server) as ours:
        assert [one.path for one in ours.folders()] == ["INBOX"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (DONE, Opened("INBOX", 0, None, None, None)),
        (EXAMINED, Opened("INBOX", 3, 7, 9, None)),
        (
            b"* 1 EXISTS\r\n* OK [UIDVALIDITY 0] x\r\n* OK [NOMODSEQ] x\r\n" + DONE,
            Opened("INBOX", 1, None, None, None),
        ),
        (
            b"* OK [UIDVALIDITY 99999999999999999999999]\r\n* OK [UIDNEXT x]\r\n"
            b"* OK [HIGHESTMODSEQ 18446744073709551615]\r\n* 2 EXISTS\r\n* FLAGS (((\r\n" + DONE,
            Opened("INBOX", 2, None, None, 2**64 - 1),
        ),
    ],
)
def test_what_a_server_leaves_out_of_a_folder_is_none(answer: bytes, expected: Opened) -> None:
    with opened(imap(examine=[EXAMINED, answer])) as ours:
        assert ours.open("INBOX") == expected


def test_authenticated_but_not_connected_is_an_outage() -> None:
    server = imap(examine=[EXAMINED, b"{tag} BAD User is authenticated but not connected.\r\n"])
    with opened(server) as ours, pytest.raises(ImapError) as caught:
        ours.open("INBOX")
    assert caught.value.code == "unavailable"


# ---- messages


def test_what_comes_in_between_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    fetched = (
        b"* 9 EXISTS\r\n* 3 EXPUNGE\r\n* OK still here\r\n* VANISHED 77\r\n"
        b"* 4 FETCH (FLAGS (\\Seen))\r\n"
        b"* 4 FETCH (UID 4 FLAGS (\\Seen))\r\n"
        b"* 1 FETCH (BODY[] {3}\r\nabc UID 1)\r\n"
        b"* 8 FETCH (UID 8 BODY[] {3}\r\nxyz)\r\n"
        b"* 1 FETCH (UID 1 BODY[] {4}\r\nmore)\r\n"
        b'* 2 FETCH (uid 2 flags (a "b") internaldate "nonsense" body[] "q\\"q")\r\n'
        b"* 3 FETCH (UID 3 BODY[] NIL)\r\n* 5 FETCH (UID 5 BODY[] ~{2}\r\n\x00\x01)\r\n"
        b"* 6 FETCH\r\n* 6 FETCH ()\r\n* 6 FETCH (UID)\r\n* 6 FETCH UID 6\r\n"
        b'* 6 FETCH (UID 6 BODY[] "")\r\n' + DONE
    )
    with opened(imap(uid_fetch=fetched)) as ours:
        found = list(ours.messages([1, 2, 3, 5, 6, 7], in_memory=MB, folder=tmp_path))
    assert found == [
        Fetched(1, b"abc", size=3),
        Fetched(2, b'q"q', size=3),
        Fetched(5, b"\x00\x01", size=2),
        Fetched(6, b"", size=0),
        Fetched(3, None),
    ]


def test_files_of_what_was_not_asked_for_do_not_stay(tmp_path: Path) -> None:
    big = b"* 8 FETCH (UID 8 BODY[] {300}\r\n" + b"x" * 300 + b")\r\n"
    with opened(imap(uid_fetch=big + DONE)) as ours:
        assert list(ours.messages([1], in_memory=10, folder=tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "answer",
    [
        b"* 1 FETCH (UID 1 BODY[] {300}\r\nonly this",
        b"* 1 FETCH (UID 1 BODY[] {300}\r\n" + b"x" * 300,
        b"* 1 FETCH (UID 1 BODY[] {99999999999}\r\nx",
        b"* 1 FETCH (UID 1 BODY[] {999999999999999}\r\nx",
        b"* 1 FETCH (UID 1 X {300}\r\n" + b"x" * 300 + b")\r\n",
        b"* 1 FETCH (UID 1 BODY[",
        b"* 1 FETCH " + b"(" * 500_000 + b"\r\n",
        b"* 1 FETCH (UID 1 FLAGS (" + b"a " * 1_000_000 + b"))\r\n",
        b"* BYE Session expired, please login again.\r\n",
        b"* 99999999999999999999999 FETCH (UID 1)\r\n",
        b"+ what?\r\n",
        b"",
    ],
)
def test_an_answer_that_breaks_off_is_a_connection_error_and_leaves_no_file(
    answer: bytes, tmp_path: Path
) -> None:
    with opened(imap(uid_fetch=lambda client: client.sendall(answer))) as ours:
        with pytest.raises(ImapError) as caught:
            list(ours.messages([1], in_memory=10, folder=tmp_path))
        assert caught.value.code == "connection"
        with pytest.raises(ImapError):
            ours.uids()
    assert list(tmp_path.iterdir()) == []


def test_an_expunged_message_is_no_error_and_a_refused_one_is_an_outage(tmp_path: Path) -> None:
    for answer, expected in [
        (b"{tag} NO [EXPUNGEISSUED] Some messages are gone\r\n", ""),
        (b"{tag} NO [SERVERBUG] Internal error\r\n", "unavailable"),
        (b"{tag} NO Some of the requested messages no longer exist\r\n", "unavailable"),
        (b"{tag} BAD what?\r\n", "connection"),
    ]:
        with opened(imap(uid_fetch=answer)) as ours:
            found: list[Fetched] = []
            left = ours.messages([1], in_memory=10, folder=tmp_path)
            assert ended(lambda found=found, left=left: found.extend(left)) == expected
            assert found == []
            assert ours.open("INBOX").exists == 3  # and it goes on


def test_a_header_is_nil_or_too_large_to_be_one() -> None:
    answer = b"* 1 FETCH (UID 1 BODY[HEADER] NIL)\r\n* 2 FETCH (UID 2 BODY[HEADER] {1500000}\r\n"
    answer += b"x" * 1_500_000 + b")\r\n* 3 FETCH (UID 3 BODY[HEADER] {4}\r\na: b)\r\n"
    with opened(imap(uid_fetch=answer + DONE)) as ours:
        found = list(ours.headers([1, 2, 3]))
    assert sorted(found, key=lambda one: one.uid) == [
        Headed(1, None),
        Headed(2, None),
        Headed(3, b"a: b"),
    ]


def test_a_large_message_takes_no_memory(tmp_path: Path) -> None:
    size = 60 * MB

    def send(client: socket.socket) -> None:
        client.sendall(b"* 1 FETCH (UID 1 BODY[] {%d}\r\n" % size)
        for _ in range(60):
            client.sendall(bytes(MB))
        client.sendall(b")\r\nP3 OK done\r\n")
        until_closed(client)

    with opened(imap(uid_fetch=send), seconds=20) as ours:
        tracemalloc.start()
        try:
            (one,) = ours.messages([1], in_memory=25 * MB, folder=tmp_path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert one.file is not None
    assert one.file.stat().st_size == one.size == size
    assert peak < 8 * MB


def test_listed_is_ascending_and_within_what_was_asked() -> None:
    answer = (
        b"* 3 FETCH (UID 3 RFC822.SIZE 30)\r\n* 1 FETCH (UID 1 RFC822.SIZE 10 FLAGS (\\Seen))\r\n"
        b"* 2 FETCH (UID 2 RFC822.SIZE x)\r\n* 9 FETCH (UID 9 FLAGS ())\r\n"
        b"* 3 FETCH (UID 3 RFC822.SIZE 99)\r\n* 4 FETCH (UID 0 RFC822.SIZE 1)\r\n"
        b"* 4 FETCH (UID 4294967296 RFC822.SIZE 1)\r\n"
    )
    with opened(imap(uid_fetch=answer + DONE)) as ours:
        assert list(ours.listed(2)) == [Listed(2, None, None, None), Listed(3, 30, None, None)]


def test_without_uidnext_what_is_there_is_searched_for() -> None:
    server = imap(
        examine=b"* 2 EXISTS\r\n" + DONE,
        uid_search=b"* SEARCH 5\r\n* SEARCH 3 9 (MODSEQ 12)\r\n" + DONE,
        uid_fetch=b"* 1 FETCH (UID 5 RFC822.SIZE 1)\r\n* 2 FETCH (UID 9 RFC822.SIZE 1)\r\n" + DONE,
    )
    with opened(server) as ours:
        assert [one.uid for one in ours.listed(4)] == [5, 9]


@pytest.mark.parametrize(
    "answer",
    [
        b"* SEARCH x\r\n",
        b"* ESEARCH (TAG P3) UID ALL 1:4294967295\r\n",
        b"* ESEARCH UID ALL\r\n* ESEARCH UID ALL 5:x\r\n",
        b"* SEARCH " + b"9" * 5000 + b"\r\n",
    ],
)
def test_a_search_that_finds_nonsense_is_an_error(answer: bytes) -> None:
    with opened(imap(uid_search=answer + DONE)) as ours, pytest.raises(ImapError) as caught:
        ours.uids()
    assert caught.value.code == "connection"


def test_a_line_without_end_is_left_in_time_and_memory(tmp_path: Path) -> None:
    with opened(imap(uid_search=flood), seconds=20) as ours:
        tracemalloc.start()
        try:
            with pytest.raises(ImapError):
                ours.uids()
            assert tracemalloc.get_traced_memory()[1] < 40 * MB
        finally:
            tracemalloc.stop()


# ---- changes


QRESYNC = b"IMAP4rev1 AUTH=PLAIN SASL-IR ENABLE CONDSTORE QRESYNC"
ENABLED = b"* ENABLED QRESYNC\r\n" + DONE


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"* VANISHED (EARLIER) 2,4:6\r\n* VANISHED 9\r\n", [2, 4, 5, 6, 9]),
        (b"* VANISHED (EARLIER) 1:4294967295\r\n", None),
        (b"* VANISHED (EARLIER) x\r\n* VANISHED 3\r\n", None),
        (b"* VANISHED (EARLIER) 1:900000\r\n* VANISHED (EARLIER) 900001:1800000\r\n", None),
        (b"", []),
    ],
)
def test_what_vanished_is_told_or_known_to_be_unknown(
    answer: bytes, expected: list[int] | None
) -> None:
    flags = b"* 1 FETCH (UID 1 FLAGS (\\Seen \\Recent) MODSEQ (12))\r\n* 2 FETCH (UID 2)\r\n"
    server = imap(capabilities=QRESYNC, enable=ENABLED, uid_fetch=answer + flags + DONE)
    with opened(server) as ours:
        assert ours.changes(11) == Changes({1: ("\\Seen",)}, expected)


def test_more_flags_than_anybody_uses_are_an_error() -> None:
    def send(client: socket.socket) -> None:
        for number in range(1, 8000):
            client.sendall(b"* 1 FETCH (UID %d FLAGS (f%d))\r\n" % (number, number))
        client.sendall(b"P3 OK done\r\n")

    with opened(imap(uid_fetch=send)) as ours, pytest.raises(ImapError):
        ours.flags()


# ---- anything at all


LINES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [
                *(b"* 1 FETCH (UID 1 BODY[] {4}", b"abc)", b"* OK [UIDVALIDITY 1]", b"* 3 EXISTS"),
                *(b'* LIST () "/" INBOX', b"* SEARCH 1 2", b"* STATUS INBOX (MESSAGES 1)", b"+ "),
                *(b"* 1 FETCH (UID 1 FLAGS ())", b"{tag} OK", b"{tag} NO x", b"* VANISHED 1:3"),
                *(b"* ESEARCH UID ALL 1:3", b"* BYE", b"P1 OK", b"* 1 FETCH (UID 1 BODY[] NIL)"),
            ]
        ),
    ),
    max_size=6,
).map(lambda lines: b"".join(line + b"\r\n" for line in lines))


@settings(max_examples=60)
@given(st.lists(LINES, min_size=1, max_size=8), st.booleans())
def test_whatever_a_server_says_it_ends_and_only_in_our_errors(
    tmp_path_factory: pytest.TempPathFactory, answers: list[bytes], ends: bool
) -> None:
    said: list[Any] = [
        answer + DONE if ends else lambda client, answer=answer: client.sendall(answer)
        for answer in answers
    ]
    listed: Any = {name: list(said) for name in ("list", "uid_search", "uid_fetch")}
    server = imap(capabilities=QRESYNC + b" LIST-STATUS", enable=ENABLED, **listed)
    folder = tmp_path_factory.getbasetemp()
    with serving(server) as port:
        ours = open_session(account(port), seconds=0.5)
        with closing(ours):
            everything(ours, folder)


@settings(max_examples=60)
@given(st.lists(LINES, min_size=1, max_size=6), st.sampled_from([DONE, b"* BYE\r\n"]))
def test_whatever_a_server_says_at_the_door_it_ends(answers: list[bytes], ending: bytes) -> None:
    first, *more = [answer + ending for answer in answers]
    server = imap(greeting=b"* OK hi\r\n" + first, capability=list(more), authenticate=list(more))
    with serving(server) as port:
        code = ended(lambda: open_session(account(port), seconds=0.2).close())
    assert code in ("", "connection", "unavailable", "credentials")


def test_the_next_command_is_there_before_the_last_answer_is_read(tmp_path: Path) -> None:
    """One ahead, and never more: what is left half-way is soon read to its end."""
    heard: list[int] = []

    def serve(client: socket.socket) -> None:
        data = b""
        for answered, ahead in enumerate((1, 2, 3, 3)):
            client.settimeout(30)
            while data.count(b"FETCH") < ahead and (more := client.recv(65536)):
                data += more
            client.settimeout(0.2)
            with suppress(TimeoutError):
                data += client.recv(65536)  # what should not be there yet
            heard.append(data.count(b"FETCH"))
            client.sendall(b"P%d OK done\r\n" % (answered + 3))
        until_closed(client)

    uids = range(1, 4 * session.MESSAGES_AT_ONCE + 1)
    with opened(imap(uid_fetch=serve)) as ours:
        assert list(ours.messages(uids, in_memory=10, folder=tmp_path)) == []
    assert heard == [1, 2, 3, 3]
