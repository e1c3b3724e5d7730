"""The job that reads mailboxes, as Lambda and people call it, on a real IMAP server."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from bench import mailbox as realistic
from chalicelib.mailboxes.credentials import Password
from sandbox.dovecot import PASSWORD, DovecotSandbox, absent
from tests.cli.command_line import CommandLine
from tests.cli.conftest import ponctuel  # noqa: F401 - a fixture
from tests.domain.inbox import mailbox_rows
from tests.domain.inbox.relay import Relay
from tests.domain.inbox.world import mail
from tests.harness import Deployment

USERS = tuple(f"u{n}" for n in range(100))
OTHER_KEY = "B" + mailbox_rows.KEY[1:]


@pytest.fixture(scope="module")
def server() -> Iterator[DovecotSandbox]:
    if reason := absent():
        pytest.skip(reason)
    with DovecotSandbox(users=USERS) as dovecot:
        yield dovecot


@pytest.fixture
def stage(deployment: Deployment, server: DovecotSandbox) -> Iterator[Deployment]:
    """A business, and a key for its mailboxes."""
    deployment.patch.setenv("MAILBOX_KEYS", mailbox_rows.KEY)
    deployment.patch.setenv("INBOX_PRIVATE_HOSTS", "127.0.0.0/8,localhost")
    deployment.open_business("B1")
    yield deployment
    for user in USERS:
        server.empty(user)


def add(stage: Deployment, user: str, **columns: object) -> int:
    row: dict[str, object] = {
        "host": "127.0.0.1",
        "security": "none",
        "username": user,
        "credentials": Password(PASSWORD),
        **columns,
    }
    with stage.database.begin() as connection:
        return mailbox_rows.add(connection, f"{user}@perrin.example", **row)  # type: ignore[arg-type]


def run(stage: Deployment) -> str:
    """The tick of the next slot; the status of its run."""
    (status,) = stage.tick("inbox_sync", hours=1 / 12)["status"]
    return str(status)


def emails(stage: Deployment) -> int:
    found: int = stage.rows("SELECT count(*) AS n FROM ponctuel.emails")[0]["n"]
    return found


def reasons(stage: Deployment) -> dict[int, str]:
    """By mailbox the code that the last run has kept."""
    rows = stage.rows(
        "SELECT item, code FROM ponctuel.run_errors WHERE run_id = :id",
        id=stage.last_run("inbox_sync")["id"],
    )
    return {int(row["item"]): row["code"] for row in rows}


def test_a_mailbox_is_read_parsed_matched_and_followed_from_slot_to_slot(
    stage: Deployment, server: DovecotSandbox
) -> None:
    stage.execute("UPDATE ponctuel.customers SET emails = 'c1@client.example'")
    received = [*realistic.mails(40), mail(1, From="Client <c1@client.example>")]
    server.deliver("u0", "INBOX", received)
    add(stage, "u0", port=server.port)
    assert run(stage) == "succeeded"
    rows = stage.rows("SELECT state, settled_at, customer_id, text FROM ponctuel.emails")
    assert len(rows) == 41
    assert all(row["state"] == "parsed" and row["settled_at"] for row in rows)
    assert "C1" in {row["customer_id"] for row in rows}
    assert all(row["text"] for row in rows)
    assert len(list(stage.documents.rglob("*.eml"))) == 41
    assert run(stage) == "succeeded"
    server.deliver("u0", "INBOX", [mail(2)])
    assert run(stage) == "succeeded"
    assert emails(stage) == 42


def test_a_mailbox_in_pause_is_left_alone(stage: Deployment, server: DovecotSandbox) -> None:
    for user in ("u0", "u1"):
        server.deliver(user, "INBOX", [mail(1)])
        add(stage, user, port=server.port, state="paused" if user == "u1" else "active")
    assert run(stage) == "succeeded"
    assert emails(stage) == 1


def test_a_dry_run_asks_no_server(stage: Deployment, server: DovecotSandbox) -> None:
    with Relay(server.port) as relay:
        box = add(stage, "u0", port=relay.port)
        asleep = add(stage, "u1", port=relay.port, state="paused")
        report = stage.rehearse("inbox_sync")
        assert relay.connections == 0
    assert [row["subject"] for row in report["changes"]] == [str(box)]
    assert [row["subject"] for row in report["left_out"]] == [str(asleep)]
    assert emails(stage) == 0


def test_it_runs_by_hand(
    stage: Deployment,
    server: DovecotSandbox,
    ponctuel: CommandLine,  # noqa: F811 - the fixture
) -> None:
    server.deliver("u0", "INBOX", [mail(1)])
    add(stage, "u0", port=server.port)
    answer = ponctuel("run", "inbox_sync")
    assert answer.code == 0, answer
    assert "Synchronisation inbox terminée avec succès" in answer.out
    assert emails(stage) == 1


@pytest.mark.parametrize("missing", ["MAILBOX_KEYS", "STORAGE_URL"])
def test_without_a_setting_the_run_says_which_and_changes_no_mailbox(
    stage: Deployment, server: DovecotSandbox, missing: str
) -> None:
    server.deliver("u0", "INBOX", [mail(1)])
    box = add(stage, "u0", port=server.port)
    stage.patch.delenv(missing)
    assert run(stage) in ("partial", "failed")
    (error,) = stage.rows("SELECT item, error FROM ponctuel.run_errors")
    assert error["item"] == str(box)
    assert missing in error["error"]
    (row,) = stage.rows("SELECT state, failures FROM ponctuel.mailboxes")
    assert (row["state"], row["failures"]) == ("active", 0)
    stage.patch.undo()
    assert emails(stage) == 0


@dataclass
class Broken:
    """Servers that go wrong each in its own way, each on an address of its own: failures of one
    host's are no reason to leave another's alone."""

    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _hosts: int = 1

    def host(self) -> str:
        self._hosts += 1
        return f"127.0.0.{self._hosts}"

    def saying(self, greeting: bytes) -> tuple[str, int]:
        """Says that, and hangs up."""
        host = self.host()
        listener = self.stack.enter_context(socket.create_server((host, 0)))
        self.stack.callback(lambda: listener.shutdown(socket.SHUT_RDWR))

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _address = listener.accept()
                    with client:
                        client.sendall(greeting)

        threading.Thread(target=serve, daemon=True).start()
        return host, listener.getsockname()[1]

    def nobody(self) -> tuple[str, int]:
        host = self.host()
        with socket.create_server((host, 0)) as listener:
            return host, listener.getsockname()[1]


def break_some(stage: Deployment, server: DovecotSandbox, broken: Broken) -> dict[int, str]:
    """Mailboxes that fail, each in its own way, and with which code."""
    wrong: dict[int, str] = {}

    def one(code: str, host: str, port: int, **columns: object) -> None:
        user = f"broken{len(wrong)}"
        wrong[add(stage, user, host=host, port=port, **columns)] = code

    for code, greeting in (
        ("unavailable", b"* BYE maintenance\r\n"),
        ("connection", b""),
        ("connection", b"\0\xff" * 5000 + b"\r\n"),
        ("connection", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        ("connection", b"* OK ready\r\n"),
    ):
        one(code, *broken.saying(greeting))
    one("connection", *broken.nobody())
    one("connection", *broken.saying(b"* OK plain\r\n"), security="tls")
    one("credentials", "127.0.0.1", server.port, username="u0", credentials=Password("faux"))
    one("mailbox_key", "127.0.0.1", server.port, keys=(OTHER_KEY,))
    one("host", "10.20.30.40", 143)
    one("host", "no-such-host.invalid", 143)
    for code, relay in (("unavailable", Relay(server.port)), ("connection", Relay(server.port))):
        broken.stack.enter_context(relay)
        if code == "unavailable":  # no folder at all, not even INBOX
            relay.rewrite = lambda line: b"" if line.startswith(b"* LIST") else line
        else:
            relay.cut_after = 700
        one(code, "localhost", relay.port, username="u99")
    return wrong


def troubles_stop_nobody_else(stage: Deployment, server: DovecotSandbox, healthy: int) -> None:
    with contextlib.ExitStack() as stack:
        broken = Broken(stack)
        good = []
        for user in USERS[: healthy // 2]:
            good.append(add(stage, user, port=server.port))
        wrong = break_some(stage, server, broken)
        good += [add(stage, user, port=server.port) for user in USERS[healthy // 2 : healthy]]
        for user in USERS[:healthy]:
            server.deliver(user, "INBOX", [mail(n) for n in range(2)])
        assert run(stage) == "partial"
        told = reasons(stage)
    assert told == wrong
    synced = stage.rows(
        "SELECT mailbox_id, count(*) AS n FROM ponctuel.emails WHERE state = 'parsed' "
        "AND settled_at IS NOT NULL GROUP BY 1"
    )
    assert {row["mailbox_id"]: row["n"] for row in synced} == dict.fromkeys(good, 2)


def test_mailboxes_that_fail_in_each_way_leave_the_others_synced_and_the_run_partial(
    stage: Deployment, server: DovecotSandbox
) -> None:
    troubles_stop_nobody_else(stage, server, 6)


@pytest.mark.slow
def test_of_a_hundred_mailboxes_those_that_fail_leave_the_others_synced(
    stage: Deployment, server: DovecotSandbox
) -> None:
    troubles_stop_nobody_else(stage, server, 89)
