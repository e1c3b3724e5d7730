"""A mail session, on servers that people really use."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.providers.imap.account import ImapAccount
from chalicelib.providers.imap.conversation import Conversation
from chalicelib.providers.imap.login import _login
from chalicelib.providers.imap.port import Changes, Folder, ImapError, Opened
from chalicelib.providers.imap.session import MESSAGES_AT_ONCE, Session, open_session
from chalicelib.providers.imap.wire import connect
from sandbox.dovecot import PASSWORD, DovecotSandbox
from sandbox.imap import USER, ImapSandbox
from tests.certificates import server_context, sign
from tests.providers.conftest import Certificate
from tests.providers.imap_scripts import account as scripted
from tests.providers.imap_scripts import imap
from tests.providers.wire import serving

MB = 1_000_000


def letter(number: int, body: bytes = b"Bonjour") -> bytes:
    return b"Message-ID: <%d@example.fr>\r\nSubject: %d\r\n\r\n%s\r\n" % (number, number, body)


@contextmanager
def opened(account: ImapAccount, folder: str | None = "INBOX", **times: Any) -> Iterator[Session]:
    with closing(open_session(account, seconds=20, **times)) as session:
        if folder is not None:
            session.open(folder)
        yield session


def refused(account: ImapAccount, folder: str | None = None) -> str:
    with pytest.raises(ImapError) as caught, opened(account, folder):
        pass
    return caught.value.code


def raws(session: Session, uids: list[int], tmp_path: Path) -> dict[int, bytes | None]:
    return {one.uid: one.raw for one in session.messages(uids, in_memory=MB, folder=tmp_path)}


@pytest.fixture
def filled(dovecot: DovecotSandbox) -> ImapAccount:
    """A mailbox whose INBOX holds the letters 1, 2 and 3."""
    dovecot.deliver("compta", "INBOX", [letter(number) for number in (1, 2, 3)])
    return dovecot.account("compta")


def last(session: Session, count: int) -> list[int]:
    return list(session.uids())[-count:]


def test_every_message_is_read_as_it_was_delivered(filled: ImapAccount, tmp_path: Path) -> None:
    with opened(filled) as session:
        uids = last(session, 3)
        assert raws(session, uids, tmp_path) == {
            uid: letter(number) for number, uid in enumerate(uids, 1)
        }


def test_what_is_listed_has_its_size_and_when_it_was_received(filled: ImapAccount) -> None:
    with opened(filled) as session:
        uids = last(session, 3)
        listed = list(session.listed(uids[0]))
    assert [one.uid for one in listed] == uids
    assert {one.size for one in listed} == {len(letter(1))}
    assert all(one.flags == () for one in listed)
    received = [one.internal_date for one in listed if one.internal_date]
    assert all(datetime.now(UTC) - one < timedelta(minutes=10) for one in received)
    assert len(received) == 3


def test_nothing_below_the_first_uid_is_listed(filled: ImapAccount) -> None:
    with opened(filled) as session:
        *_, newest = session.uids()
        assert [one.uid for one in session.listed(newest)] == [newest]
        assert list(session.listed(newest + 1)) == []
        assert [one.uid for one in session.listed(newest - 1, newest - 1)] == [newest - 1]


def test_a_header_comes_alone_and_whole(filled: ImapAccount) -> None:
    with opened(filled) as session:
        uids = last(session, 3)
        headers = {one.uid: one.header for one in session.headers(uids)}
    assert headers[uids[0]] == letter(1).partition(b"Bonjour")[0]
    assert len(headers) == 3


def test_reading_changes_no_flag(filled: ImapAccount, tmp_path: Path) -> None:
    with opened(filled) as session:
        uids = last(session, 3)
        before = session.flags()
        raws(session, uids, tmp_path)
        list(session.headers(uids))
    with opened(filled) as session:
        assert session.flags() == before == dict.fromkeys(session.uids(), ())


def test_a_uid_that_is_not_there_is_left_out(filled: ImapAccount, tmp_path: Path) -> None:
    with opened(filled) as session:
        newest = last(session, 1)[0]
        assert list(raws(session, [newest, newest + 7], tmp_path)) == [newest]
        assert session.flags([newest, newest + 7]) == {newest: ()}
        assert list(session.messages([], in_memory=MB, folder=tmp_path)) == []
        assert session.flags([]) == {}


def test_a_message_over_the_limit_is_in_a_file_with_its_hash(
    filled: ImapAccount, tmp_path: Path
) -> None:
    with opened(filled) as session:
        (one,) = session.messages(last(session, 1), in_memory=20, folder=tmp_path)
    assert one.raw is None
    assert one.file is not None
    assert one.file.parent == tmp_path
    assert one.file.read_bytes() == letter(3)
    assert (one.size, one.sha256) == (len(letter(3)), hashlib.sha256(letter(3)).digest())


def test_by_day_of_reception(filled: ImapAccount) -> None:
    with opened(filled) as session:
        assert len(session.uids(since=date(2020, 1, 1))) == len(session.uids())
        assert session.uids(since=date(2099, 12, 31)) == []


def test_a_wrong_password_is_refused_as_such(filled: ImapAccount) -> None:
    assert refused(replace(filled, secret="faux")) == "credentials"
    assert refused(replace(filled, username="personne")) == "credentials"
    assert refused(replace(filled, secret="a\0b")) == "credentials"


def test_a_folder_that_is_not_there_is_named_as_the_fault(filled: ImapAccount) -> None:
    for name in ("Nulle part", "a\r\nb", 'x"y'):
        assert refused(filled, name) == "folder"


def test_after_a_folder_that_is_not_there_the_session_goes_on(filled: ImapAccount) -> None:
    with opened(filled, None) as session:
        with pytest.raises(ImapError):
            session.open("Nulle part")
        assert session.open("INBOX").exists == len(session.uids())


def test_an_iterator_left_half_way_does_no_harm(filled: ImapAccount, tmp_path: Path) -> None:
    with opened(filled) as session:
        uids = last(session, 3)
        left = session.messages(uids, in_memory=20, folder=tmp_path)
        first = next(left)
        assert len(session.flags(uids)) == 3
        with pytest.raises(RuntimeError):
            next(left)
    assert list(tmp_path.iterdir()) == [first.file]


def test_folders_have_their_names_and_purposes(dovecot: DovecotSandbox) -> None:
    names = ["Éléments & archivés", "日本", "Clients/Été 2026", 'Dit "le grand"', "a\\b"]
    for name in names:
        dovecot.create("compta", name)
    with opened(dovecot.account("compta"), None) as session:
        folders = {one.path: one.special for one in session.folders()}
        for name in names:
            assert session.open(name).exists == 0
    assert folders.keys() >= set(names)
    assert {special: path for path, special in folders.items() if special} == {
        "inbox": "INBOX",
        "drafts": "Drafts",
        "sent": "Sent",
        "junk": "Junk",
        "trash": "Trash",
        "archive": "Archive",
    }


def test_a_folder_that_only_holds_others_is_left_out(dovecot: DovecotSandbox) -> None:
    dovecot.create("compta", "Dossiers/2026")
    with opened(dovecot.account("compta"), None) as session:
        paths = [one.path for one in session.folders()]
    assert "Dossiers/2026" in paths
    assert "Dossiers" not in paths


def test_the_list_tells_of_each_folder_what_opening_it_would(dovecot: DovecotSandbox) -> None:
    dovecot.deliver("compta", "Éléments", [letter(1), letter(2)])
    with opened(dovecot.account("compta"), None) as session:
        for folder in session.folders():
            assert folder.status == session.open(folder.path)


def test_a_folder_tells_how_far_it_is(dovecot: DovecotSandbox) -> None:
    dovecot.deliver("compta", "INBOX", [letter(1), letter(2)])
    with opened(dovecot.account("compta"), None) as session:
        one = session.open("INBOX")
    assert (one.exists, one.uidnext) == (2, 3)
    assert one.uidvalidity
    assert one.highestmodseq


def test_uidvalidity_changes_when_the_server_loses_its_list(dovecot: DovecotSandbox) -> None:
    dovecot.deliver("compta", "INBOX", [letter(1)])
    with opened(dovecot.account("compta"), None) as session:
        before = session.open("INBOX").uidvalidity
    dovecot.change_uidvalidity("compta")
    with opened(dovecot.account("compta"), None) as session:
        after = session.open("INBOX")
    assert after.uidvalidity != before
    assert after.exists == 1


def test_changes_since_are_flags_and_what_is_gone(dovecot: DovecotSandbox) -> None:
    dovecot.deliver("compta", "INBOX", [letter(number) for number in range(1, 8)])
    with opened(dovecot.account("compta"), None) as session:
        modseq = session.open("INBOX").highestmodseq
        assert modseq
        assert session.changes(modseq) == Changes({}, [])
    dovecot.expunge("compta", "INBOX", [2, 3, 6])
    dovecot.set_flags("compta", "INBOX", [1], [b"\\Seen", b"$Facture"])
    dovecot.deliver("compta", "INBOX", [letter(8)])
    with opened(dovecot.account("compta")) as session:
        changes = session.changes(modseq)
        assert session.flags([1, 2]) == {1: ("$Facture", "\\Seen")}
    assert dict(changes.flags) == {1: ("$Facture", "\\Seen"), 8: ()}
    assert changes.vanished is not None
    assert sorted(changes.vanished) == [2, 3, 6]


def test_what_goes_while_changes_are_asked_for_is_gone_and_not_changed(
    dovecot: DovecotSandbox,
) -> None:
    dovecot.deliver("compta", "INBOX", [letter(1), letter(2)])
    with opened(dovecot.account("compta"), None) as session:
        modseq = session.open("INBOX").highestmodseq
        assert modseq
        dovecot.expunge("compta", "INBOX", [1])
        assert session.changes(modseq) == Changes({}, [1])


def test_what_is_expunged_meanwhile_is_left_out(dovecot: DovecotSandbox, tmp_path: Path) -> None:
    dovecot.deliver("compta", "INBOX", [letter(number) for number in range(1, 6)])
    with opened(dovecot.account("compta")) as session:
        uids = list(session.uids())
        dovecot.expunge("compta", "INBOX", [2, 4])
        assert list(raws(session, uids, tmp_path)) == [1, 3, 5]
        assert sorted(session.flags()) == [1, 3, 5]


def test_what_arrives_meanwhile_does_not_disturb(dovecot: DovecotSandbox, tmp_path: Path) -> None:
    dovecot.deliver("compta", "INBOX", [letter(1)])
    with opened(dovecot.account("compta")) as session:
        dovecot.append("compta", "INBOX", letter(2))
        assert list(raws(session, [1], tmp_path)) == [1]
        assert [one.uid for one in session.listed(1)] == [1, 2]


def test_messages_are_listed_with_their_flags_and_date(dovecot: DovecotSandbox) -> None:
    dovecot.deliver("compta", "INBOX", [letter(1)], flags="RS")
    with opened(dovecot.account("compta")) as session:
        (listed,) = session.listed(1)
    assert listed.flags == ("\\Answered", "\\Seen")
    assert listed.internal_date is not None


def test_thousands_with_holes_are_read_in_many_commands(
    dovecot: DovecotSandbox, tmp_path: Path
) -> None:
    count = 3 * MESSAGES_AT_ONCE + 50
    dovecot.deliver("compta", "INBOX", [letter(number) for number in range(1, count + 1)])
    dovecot.expunge("compta", "INBOX", list(range(5, count, 7)))
    with opened(dovecot.account("compta")) as session:
        uids = list(session.uids())
        found = raws(session, uids, tmp_path)
        assert list(found) == uids
        assert len(set(found.values())) == len(uids)
        assert [one.uid for one in session.listed(1)] == uids


def test_bytes_that_no_text_has_come_as_they_are(dovecot: DovecotSandbox, tmp_path: Path) -> None:
    ugly = letter(1, bytes(range(1, 256)).replace(b"\n", b"").replace(b"\r", b"") + b" {5}\r\n)")
    dovecot.deliver("compta", "INBOX", [ugly, letter(2, b"x" * 1_000_000), b"\r\n"])
    with opened(dovecot.account("compta")) as session:
        found = raws(session, [1, 2, 3], tmp_path)
    assert found[1] == ugly
    assert found[3] == b"\r\n"
    (file,) = tmp_path.iterdir()
    assert file.read_bytes() == letter(2, b"x" * 1_000_000)


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_encrypted_with_a_verified_certificate(
    dovecot: DovecotSandbox, certificate: Certificate, security: Any
) -> None:
    dovecot.deliver("compta", "INBOX", [letter(1)])
    ours = dovecot.account("compta", security=security, ca_file=str(certificate.ca_file))
    with opened(ours) as session:
        assert session.uids() == [1]
    assert refused(replace(ours, ca_file=None)) == "certificate"
    assert refused(replace(ours, secret="faux")) == "credentials"


def test_a_certificate_for_another_name_is_refused(
    dovecot: DovecotSandbox, certificate: Certificate
) -> None:
    ours = dovecot.account("compta", security="tls", ca_file=str(certificate.ca_file))
    assert refused(replace(ours, host="localhost")) == "certificate"


def test_the_name_is_verified_although_the_address_is_connected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = sign("Autorité")
    (tmp_path / "ca.pem").write_text(authority.pem)
    asked: list[str | None] = []
    context = server_context(tmp_path, sign("imap", authority, host="imap.example.fr"))
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    def encrypted(client: socket.socket) -> None:
        with context.wrap_socket(client.dup(), server_side=True) as server:
            imap()(server)

    with serving(encrypted) as port:
        here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_fields: here)
        ours = scripted(port, security="tls", ca_file=str(tmp_path / "ca.pem"))
        with opened(replace(ours, host="imap.example.fr")):
            pass
        assert refused(replace(ours, host="smtp.example.fr")) == "certificate"
    assert asked == ["imap.example.fr", "smtp.example.fr"]


def test_a_server_that_stops_is_a_connection_error_and_comes_back(
    certificate: Certificate, dovecot: DovecotSandbox, tmp_path: Path
) -> None:
    with DovecotSandbox() as own:
        own.deliver("compta", "INBOX", [letter(1)])
        with opened(own.account("compta")) as session:
            own.stop()
            with pytest.raises(ImapError) as caught:
                list(session.messages([1], in_memory=MB, folder=tmp_path))
            assert caught.value.code in ("connection", "unavailable")
            with pytest.raises(ImapError):
                session.uids()
        assert refused(own.account("compta")) == "connection"
        own.start()
        with opened(own.account("compta")) as session:
            assert session.uids() == [1]


@pytest.mark.parametrize("secret", [PASSWORD, "faux", 'é"\\', 'x"\\'])
def test_a_password_of_any_characters_is_taken_by_login_too(
    dovecot: DovecotSandbox, secret: str
) -> None:
    """Where there is no SASL PLAIN."""
    wire = connect(dovecot.account("compta"), connect_timeout=5, seconds=10, read_timeout=5)
    with closing(wire):
        conversation = Conversation(wire)
        conversation.next()
        if secret == PASSWORD:
            assert _login(conversation, b"compta", secret.encode()).endswith(b"Logged in")
            return
        with pytest.raises(ImapError) as caught:
            _login(conversation, b"compta", secret.encode())
        assert caught.value.code == "credentials"


def test_another_real_server_is_read_in_the_same_way(pymap: ImapSandbox, tmp_path: Path) -> None:
    pymap.append("Éléments", [letter(1), letter(2, b"x" * 3000), letter(3)])
    account = ImapAccount("127.0.0.1", pymap.port, USER, PASSWORD, "none", private_allowed=True)
    with opened(account, None) as session:
        assert [one.path for one in session.folders()] == ["INBOX", "Éléments"]
        folder = session.open("Éléments")
        uids = list(session.uids())
        assert (folder.exists, folder.uidnext) == (3, uids[-1] + 1)
        assert [one.size for one in session.listed(1)] == [
            len(letter(1)),
            len(letter(2, b"x" * 3000)),
            len(letter(3)),
        ]
        messages = list(session.messages(uids, in_memory=2000, folder=tmp_path))
        assert [one.raw for one in messages] == [letter(1), None, letter(3)]
        assert [one.header for one in session.headers(uids[:1])] == [letter(1)[:-9]]
        assert session.flags() == dict.fromkeys(uids, ())
        with pytest.raises(ImapError) as caught:
            session.changes(1)
        assert caught.value.code == "unavailable"
        with pytest.raises(ImapError) as caught:
            session.open("Nulle part")
        assert caught.value.code == "folder"


def test_a_server_that_offers_little_is_read_all_the_same(dovecot: DovecotSandbox) -> None:
    """Without LIST-STATUS and QRESYNC, as on many servers."""
    bare = "imap_capability = IMAP4rev1 CONDSTORE UIDPLUS\n"
    with DovecotSandbox(settings=f"protocol imap {{\n{bare}}}\n") as own:
        own.deliver("compta", "INBOX", [letter(1), letter(2)])
        with opened(own.account("compta"), None) as session:
            assert Folder("INBOX", "inbox") in session.folders()
            inbox = session.open("INBOX")
            assert isinstance(inbox, Opened)
            assert inbox.highestmodseq
            own.set_flags("compta", "INBOX", [2], [b"\\Flagged"])
            changes = session.changes(inbox.highestmodseq)
            assert changes == Changes({2: ("\\Flagged",)}, None)
