"""What is in a mailbox is stored once, and what changes there is followed."""

from __future__ import annotations

from datetime import date, timedelta
from hashlib import sha256

import pytest

from sandbox.dovecot import DovecotSandbox
from tests.domain.inbox.relay import Relay
from tests.domain.inbox.world import World, mail, there


@pytest.fixture
def box(world: World, relay: Relay) -> int:
    """The mailbox `compta`, through the relay."""
    return world.add(relay.port)


def test_everything_is_stored_once_with_its_bytes(
    world: World, dovecot: DovecotSandbox, box: int
) -> None:
    mails = [mail(n) for n in range(30)]
    dovecot.deliver("compta", "INBOX", mails[:20])
    dovecot.deliver("compta", "Archive", mails[20:], flags="S")
    report = world.sync(box)
    assert report.synced == [box]
    assert report.counts["emails"] == 30
    assert world.stored(box) == there(dovecot.port)
    assert world.flags(box) == there(dovecot.port, flags=True)
    assert all(world.raw(sha256(raw).hexdigest()) == raw for raw in mails)
    assert world.one("SELECT count(*) FROM ponctuel.emails WHERE state = 'parsed'") == 30


def test_a_poll_without_news_opens_no_folder(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(1)])
    world.sync(box)
    relay.commands.clear()
    assert world.sync(box).counts.total() == 0
    assert not [command for command in relay.commands if "EXAMINE" in command]


def test_new_messages_are_fetched_and_old_ones_are_not(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(5)])
    world.sync(box)
    relay.commands.clear()
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(5, 8)])
    assert world.sync(box).counts["emails"] == 3
    assert relay.fetched() == 3
    assert world.stored(box) == there(dovecot.port)


def test_flags_on_the_server_are_never_changed(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(1)])
    before = there(dovecot.port, flags=True)
    world.sync(box)
    assert there(dovecot.port, flags=True) == before
    changing = ("SELECT", "STORE", "COPY", "EXPUNGE", "APPEND", "MOVE", "CLOSE")
    assert not [c for c in relay.commands if c.removeprefix("UID ").startswith(changing)]


def test_flags_deletions_and_moves_are_followed(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(10)])
    world.sync(box)
    relay.commands.clear()
    dovecot.set_flags("compta", "INBOX", [3], [b"\\Seen", b"\\Flagged"])
    dovecot.expunge("compta", "INBOX", [5])
    dovecot.move("compta", "INBOX", [7, 8], "Archive")
    report = world.sync(box)
    assert world.stored(box) == there(dovecot.port)
    assert world.flags(box) == there(dovecot.port, flags=True)
    assert report.counts["deleted"] == 3
    assert relay.fetched() == 0  # what was moved is known
    assert world.one("SELECT count(*) FROM ponctuel.emails") == 10


@pytest.mark.parametrize("missing", ["QRESYNC", "CONDSTORE"])
def test_a_server_that_tells_less_is_compared(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int, missing: str
) -> None:
    hidden = (b"QRESYNC", b"CONDSTORE", b"LIST-STATUS")[: 1 if missing == "QRESYNC" else 3]

    def rewrite(line: bytes) -> bytes:
        for name in hidden:
            line = line.replace(b" " + name, b"")
        return line if missing == "QRESYNC" or b"HIGHESTMODSEQ" not in line else b""

    relay.rewrite = rewrite
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(10)])
    world.sync(box)
    dovecot.set_flags("compta", "INBOX", [3], [b"\\Seen"])
    dovecot.expunge("compta", "INBOX", [5])
    dovecot.deliver("compta", "INBOX", [mail(11)])
    world.sync(box)
    assert world.stored(box) == there(dovecot.port)
    # Flags alone are seen within the hour.
    dovecot.set_flags("compta", "INBOX", [4], [b"\\Seen"])
    world.database.advance(timedelta(hours=1, minutes=1))
    world.sync(box)
    assert world.flags(box) == there(dovecot.port, flags=True)


def test_identical_copies_are_one_email_with_two_places(
    world: World, dovecot: DovecotSandbox, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(1), mail(1)])
    dovecot.deliver("compta", "Archive", [mail(1)])
    world.sync(box)
    assert world.one("SELECT count(*) FROM ponctuel.emails") == 1
    assert world.stored(box) == there(dovecot.port)


def test_two_mails_with_one_message_id_are_both_kept(
    world: World, dovecot: DovecotSandbox, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(1, "Oui"), mail(1, "Non")])
    world.sync(box)
    dovecot.deliver("compta", "INBOX", [mail(1, "Bof")])
    dovecot.deliver("compta", "INBOX", [mail(1, "Mmm")])
    world.sync(box)
    assert world.one("SELECT count(*) FROM ponctuel.emails") == 4
    assert world.stored(box) == there(dovecot.port)


def test_a_mail_without_message_id_is_kept_once(
    world: World, dovecot: DovecotSandbox, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(1, Message_ID=""), mail(2, Message_ID="")])
    world.sync(box)
    dovecot.change_uidvalidity("compta")
    world.sync(box)
    assert world.one("SELECT count(*) FROM ponctuel.emails") == 2
    assert world.stored(box) == there(dovecot.port)


def test_a_renamed_folder_is_recognised(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.create("compta", "Clients")
    dovecot.deliver("compta", "Clients", [mail(n) for n in range(5)])
    world.sync(box)
    relay.commands.clear()
    dovecot.rename("compta", "Clients", "Été & clients")
    assert world.sync(box).counts["folders_renamed"] == 1
    assert world.stored(box) == there(dovecot.port)
    assert relay.fetched() == 0
    assert world.one("SELECT count(*) FROM ponctuel.mailbox_folders WHERE state = 'gone'") == 0


def test_a_folder_that_is_gone_is_marked_and_comes_back(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.create("compta", "Clients")
    dovecot.deliver("compta", "Clients", [mail(n) for n in range(5)])
    world.sync(box)
    dovecot.maildir("compta", "Clients").rename(dovecot.maildir("compta").parent / "away")
    world.sync(box)
    assert world.stored(box) == {}
    assert world.one("SELECT count(*) FROM ponctuel.mailbox_folders WHERE state = 'gone'") == 1
    relay.commands.clear()
    (dovecot.maildir("compta").parent / "away").rename(dovecot.maildir("compta", "Clients"))
    world.sync(box)
    assert world.stored(box) == there(dovecot.port)
    assert relay.fetched() == 0


def test_a_deleted_folder_that_is_still_listed_is_gone_when_the_server_insists(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    for folder in ("Clients", "Clients/Dupont"):
        dovecot.create("compta", folder)
        dovecot.deliver("compta", folder, [mail(n, folder) for n in range(3)])
    world.sync(box)
    before = world.stored(box)
    dovecot.delete("compta", "Clients")
    for minutes in (0, 6, 21):
        assert world.stored(box) == before  # one refusal may be a mistake
        world.database.advance(timedelta(minutes=minutes))
        report = world.sync(box)
        assert [trouble.code for trouble in report.troubles] == ["missing"][: minutes != 21]
    assert report.counts["deleted"] == 3
    assert world.stored(box) == there(dovecot.port) != {}
    # It is asked for again after some hours, and then is gone without a word.
    relay.commands.clear()
    for hours, asked in ((1, 0), (3, 1), (1, 0)):
        world.database.advance(timedelta(hours=hours))
        assert world.sync(box).troubles == []
        assert sum("EXAMINE" in command for command in relay.commands) == asked
        relay.commands.clear()
    # Somebody makes it anew.
    dovecot.create("compta", "Clients")
    dovecot.deliver("compta", "Clients", [mail(n, "Clients") for n in range(1, 4)])
    world.database.advance(timedelta(hours=7))
    world.sync(box)
    assert world.stored(box) == there(dovecot.port)
    assert world.one("SELECT count(*) FROM ponctuel.emails") == 7


def test_a_folder_that_was_taken_for_gone_is_what_it_was_when_it_opens(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.create("compta", "Clients")
    dovecot.deliver("compta", "Clients", [mail(n) for n in range(3)])
    world.sync(box)
    relay.rewrite = lambda line: (
        b"" if b"STATUS Clients" in line else line.replace(b"OK [READ-ONLY]", b"NO [NONEXISTENT]")
    )
    for _ in range(4):
        dovecot.set_flags("compta", "Clients", [1], [b"\\Flagged"])
        world.database.advance(timedelta(hours=7))
        world.sync(box)
    assert world.stored(box) == {}
    relay.rewrite = None
    dovecot.expunge("compta", "Clients", [2])
    relay.commands.clear()
    world.database.advance(timedelta(hours=7))
    assert world.sync(box).troubles == []
    assert world.stored(box) == there(dovecot.port)
    assert world.flags(box) == there(dovecot.port, flags=True)
    assert relay.fetched() == 0
    assert world.one("SELECT count(*) FROM ponctuel.mailbox_folders WHERE state <> 'active'") == 0


def test_only_the_wanted_folders_are_read(world: World, dovecot: DovecotSandbox) -> None:
    box = world.add(dovecot.port, folders=["INBOX", "Clients/*"])
    for folder in ("Clients/Dupont", "Autre"):
        dovecot.create("compta", folder)
        dovecot.deliver("compta", folder, [mail(1)])
    dovecot.deliver("compta", "INBOX", [mail(2)])
    world.sync(box)
    assert set(world.stored(box)) == {"INBOX", "Clients/Dupont"}


def test_what_was_received_before_the_window_is_left_alone(
    world: World, dovecot: DovecotSandbox
) -> None:
    box = world.add(dovecot.port, since=date(2026, 1, 1))
    with dovecot.client("compta") as client:
        for year in (2024, 2025, 2026):
            client.append("INBOX", mail(year), msg_time=f_date(year))
    world.sync(box)
    assert world.stored(box) == {"INBOX": {sha256(mail(2026)).hexdigest(): 1}}
    with dovecot.client("compta") as client:
        client.append("INBOX", mail(2023), msg_time=f_date(2023))
    dovecot.expunge("compta", "INBOX", [1])
    world.database.advance(timedelta(hours=2))
    world.sync(box)
    assert world.stored(box) == {"INBOX": {sha256(mail(2026)).hexdigest(): 1}}


def f_date(year: int):  # type: ignore[no-untyped-def]
    from datetime import UTC, datetime

    return datetime(year, 2, 3, 4, 5, tzinfo=UTC)
