"""Batches under way at the same time: what fails in one may not be passed over by the next."""

from __future__ import annotations

import pytest

from chalicelib.errors import ProviderError
from chalicelib.mailboxes.turn import Limits
from chalicelib.providers.storage.folder import FolderStorage
from sandbox.dovecot import DovecotSandbox
from tests.domain.inbox.world import World, mail, there

LIMITS = Limits(batch_messages=5)
# The first message of the third batch of eight.
BROKEN = 10
FAILS = f"""
CREATE FUNCTION ponctuel.fails() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'not today'; END $$;
CREATE TRIGGER fails BEFORE INSERT ON ponctuel.emails FOR EACH ROW
WHEN (NEW.message_id = '{BROKEN}@example.fr') EXECUTE FUNCTION ponctuel.fails()
"""
MENDED = "DROP TRIGGER fails ON ponctuel.emails; DROP FUNCTION ponctuel.fails()"


@pytest.fixture
def box(world: World, dovecot: DovecotSandbox) -> int:
    dovecot.deliver("compta", "INBOX", [mail(n) for n in range(40)])
    return world.add(dovecot.port)


def cursor(world: World) -> int:
    found: int = world.one("SELECT max(last_uid) FROM ponctuel.mailbox_folders")
    return found


def test_a_batch_that_cannot_be_committed_is_passed_over_by_no_other(
    world: World, dovecot: DovecotSandbox, box: int
) -> None:
    script(world, FAILS)
    report = world.sync(box, limits=LIMITS)
    assert [failure.mailbox_id for failure in report.failed] == [box]
    assert cursor(world) == BROKEN
    assert world.one("SELECT count(*) FROM ponctuel.emails WHERE state = 'parsed'") == BROKEN
    script(world, MENDED)
    assert world.sync(box, limits=LIMITS).synced == [box]
    assert world.stored(box) == there(dovecot.port)


def test_a_batch_that_cannot_be_stored_is_passed_over_by_no_other(
    world: World, dovecot: DovecotSandbox, box: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = FolderStorage.write

    def full(self: FolderStorage, key: str, content: bytes) -> None:
        if f"<{BROKEN}@example.fr>".encode() in content:
            raise ProviderError("folder", "Le disque est plein.", permanent=False)
        write(self, key, content)

    with monkeypatch.context() as patch:
        patch.setattr(FolderStorage, "write", full)
        report = world.sync(box, limits=LIMITS)
    assert [failure.code for failure in report.failed] == ["storage"]
    assert cursor(world) == BROKEN
    assert world.one("SELECT count(*) FROM ponctuel.emails WHERE state = 'parsed'") == BROKEN
    assert world.sync(box, limits=LIMITS).synced == [box]
    assert world.stored(box) == there(dovecot.port)


def test_what_is_parsed_is_settled_while_the_rest_is_read(
    world: World, dovecot: DovecotSandbox, box: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.mailboxes.settling.SETTLED", 10)
    script(world, FAILS.replace(f"'{BROKEN}@", "'30@"))
    world.sync(box, limits=LIMITS)
    assert world.one("SELECT count(*) FROM ponctuel.emails WHERE settled_at IS NOT NULL") == 30
    script(world, MENDED)
    world.sync(box, limits=LIMITS)
    assert world.one("SELECT count(*) FROM ponctuel.emails WHERE settled_at IS NULL") == 0


def script(world: World, statements: str) -> None:
    with world.database.begin() as connection:
        connection.exec_driver_sql(statements)
