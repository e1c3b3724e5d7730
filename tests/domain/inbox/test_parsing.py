"""An e-mail that cannot be parsed is tried three times, kept raw, and stops no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Any

import pytest

from chalicelib.mail.parse import parse
from chalicelib.mail.parsed import ParsedMail
from sandbox.dovecot import DovecotSandbox
from tests.domain.inbox.relay import Relay
from tests.domain.inbox.world import World, mail, there


@pytest.fixture
def box(world: World, relay: Relay) -> int:
    return world.add(relay.port)


class Killed(BaseException):
    """The process dies while it parses."""


def failing(error: BaseException, tried: list[bytes]) -> Callable[..., ParsedMail]:
    def parse_or_fail(raw: bytes, *, received: datetime | None) -> ParsedMail:
        if b"poison" in raw:
            tried.append(raw)
            raise error
        return parse(raw, received=received)

    return parse_or_fail


def states(world: World) -> list[str]:
    rows = world.rows("SELECT state FROM ponctuel.emails ORDER BY id")
    return [row["state"] for row in rows]


def test_what_fails_three_times_is_unreadable_and_kept(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    poison = mail(2, "poison")
    dovecot.deliver("compta", "INBOX", [mail(1), poison, mail(3)])
    tried: list[bytes] = []
    for _ in range(3):
        report = world.sync(box, parse=failing(RecursionError(), tried))
        assert report.synced == [box]
    assert len(tried) == 3
    world.sync(box, parse=failing(RecursionError(), tried))
    assert states(world) == ["parsed", "unreadable", "parsed"]
    relay.commands.clear()
    world.sync(box, parse=failing(RecursionError(), tried))
    assert len(tried) == 3
    assert relay.fetched() == 0
    assert world.raw(sha256(poison).hexdigest()) == poison
    assert world.stored(box) == there(dovecot.port)


def test_an_email_that_kills_the_process_is_set_aside_after_three_tries(
    world: World, dovecot: DovecotSandbox, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(30)] + [mail(40, "poison")])
    tried: list[bytes] = []
    for _ in range(3):
        with pytest.raises(Killed):
            world.sync(box, parse=failing(Killed(), tried))
        world.execute("UPDATE ponctuel.mailboxes SET held_until = NULL")
    world.sync(box, parse=failing(Killed(), tried))
    assert len(tried) == 3
    assert states(world) == ["parsed"] * 30 + ["unreadable"]


def test_what_a_dead_process_left_is_parsed_from_the_store(
    world: World, dovecot: DovecotSandbox, relay: Relay, box: int
) -> None:
    dovecot.deliver("compta", "INBOX", [mail(1, "poison"), mail(2)])
    with pytest.raises(Killed):
        world.sync(box, parse=failing(Killed(), []))
    world.execute("UPDATE ponctuel.mailboxes SET held_until = NULL")
    relay.commands.clear()
    world.sync(box)
    assert states(world) == ["parsed", "parsed"]
    assert relay.fetched() == 0


def test_an_email_that_cannot_be_saved_stops_no_other(
    world: World, dovecot: DovecotSandbox, box: int
) -> None:
    def with_nul(raw: bytes, *, received: datetime | None) -> ParsedMail:
        from dataclasses import replace

        found = parse(raw, received=received)
        return replace(found, subject="a\0b") if b"poison" in raw else found

    dovecot.deliver("compta", "INBOX", [mail(1), mail(2, "poison"), mail(3)])
    assert world.sync(box, parse=with_nul).synced == [box]
    assert states(world) == ["parsed", "pending", "parsed"]


def test_attachments_are_stored_by_their_hash(
    world: World, dovecot: DovecotSandbox, box: int
) -> None:
    from email.message import EmailMessage

    def with_file(number: int) -> bytes:
        message = EmailMessage()
        message["Message-ID"] = f"<{number}@example.fr>"
        message["From"] = "jean@client.example"
        message["Subject"] = f"Facture {number}"
        message.set_content("Voici la facture")
        message.add_attachment(
            b"%PDF-1.4 x", maintype="application", subtype="pdf", filename="f.pdf"
        )
        return message.as_bytes().replace(b"\n", b"\r\n")

    dovecot.deliver("compta", "INBOX", [with_file(1), with_file(2)])
    world.sync(box)
    rows: list[dict[str, Any]] = [
        dict(row) for row in world.rows("SELECT * FROM ponctuel.email_attachments")
    ]
    assert [(row["name"], row["type"], row["size"]) for row in rows] == [
        ("f.pdf", "application/pdf", 10)
    ] * 2
    (key,) = {row["stored_key"] for row in rows}
    assert (world.folder / key).read_bytes() == b"%PDF-1.4 x"
