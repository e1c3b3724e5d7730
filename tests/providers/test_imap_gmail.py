"""What Gmail does and others do not, on a server that does it too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from chalicelib.providers.imap.port import ImapError
from chalicelib.providers.imap.session import open_session
from sandbox.hoodiecrow import HoodiecrowSandbox, Unavailable, installed

LETTER = b"Message-ID: <1@example.fr>\r\nSubject: Devis\r\n\r\nBonjour \xe9\r\n"
GMAIL_ID = 1278455344230334999


@pytest.fixture(scope="module")
def gmail() -> Iterator[HoodiecrowSandbox]:
    try:
        installed()
    except Unavailable as reason:
        pytest.skip(str(reason))
    with HoodiecrowSandbox([LETTER, LETTER], {GMAIL_ID: LETTER}) as server:
        yield server


def test_an_access_token_opens_the_mailbox(gmail: HoodiecrowSandbox) -> None:
    with closing(open_session(gmail.account(), seconds=10)) as session:
        assert session.open("INBOX").exists == 2
        assert [one.header for one in session.headers([2])] == [LETTER.partition(b"Bonjour")[0]]


def test_a_token_that_is_refused_is_told_as_credentials(gmail: HoodiecrowSandbox) -> None:
    with pytest.raises(ImapError) as caught:
        open_session(gmail.account(secret="périmé"), seconds=10)
    assert caught.value.code == "credentials"


def test_a_message_has_the_id_that_gmail_gives_it(gmail: HoodiecrowSandbox) -> None:
    with closing(open_session(gmail.account(auth="password"), seconds=10)) as session:
        session.open("[Gmail]/All Mail")
        assert [(one.uid, one.gmail_id) for one in session.listed(1)] == [(1, GMAIL_ID)]
        session.open("INBOX")
        assert len({one.gmail_id for one in session.listed(1)} - {None}) == 2


def test_its_folders_have_their_purposes(gmail: HoodiecrowSandbox) -> None:
    with closing(open_session(gmail.account(), seconds=10)) as session:
        assert {one.path: one.special for one in session.folders()} == {
            "INBOX": "inbox",
            "[Gmail]/All Mail": "all",
            "[Gmail]/Drafts": "drafts",
            "[Gmail]/Sent Mail": "sent",
            "[Gmail]/Spam": "junk",
        }


def test_changes_without_qresync_cannot_tell_what_is_gone(gmail: HoodiecrowSandbox) -> None:
    with closing(open_session(gmail.account(), seconds=10)) as session:
        modseq = session.open("INBOX").highestmodseq
        assert modseq
        assert session.changes(modseq).vanished is None
