from __future__ import annotations

import json
import os
import signal
import smtplib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.smtp import SmtpSandbox
from sandbox.smtp_faults import Fault, FaultPlan
from sandbox.smtp_journal import JOURNAL, deliveries, read_journal

ROOT = Path(__file__).parents[2]


def message(message_id: str = "<1@a.example>") -> bytes:
    return f"Message-ID: {message_id}\r\nSubject: x\r\n\r\nBonjour\r\n".encode()


def send(port: int, *recipients: str, message_id: str = "<1@a.example>") -> None:
    """By the standard library's client, which shares no code with ours."""
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
        client.sendmail("lea@a.example", recipients or ["jean@b.example"], message(message_id))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpSandbox]:
    with SmtpSandbox(tmp_path / "mail") as sandbox:
        yield sandbox


def test_an_accepted_message_is_a_file_and_a_line_of_the_journal(server: SmtpSandbox) -> None:
    send(server.port, "jean@b.example", "Léa/../x".replace("é", "e") + "@b.example")
    (entry,) = server.received()
    assert entry.outcome == "accepted"
    assert entry.message_id == "<1@a.example>"
    assert entry.sender == "lea@a.example"
    assert entry.recipients == ("jean@b.example", "Lea/../x@b.example")
    assert entry.file == "000001-jean-b-example.eml"
    assert (server.folder / entry.file).read_bytes() == message()
    assert entry.bytes == len(message())


def test_a_recipient_cannot_choose_where_its_message_is_kept(server: SmtpSandbox) -> None:
    send(server.port, "../../../etc/x@b.example")
    assert [path.parent for path in server.folder.rglob("*.eml")] == [server.folder]


def test_doubles_are_counted_by_message_and_recipient(server: SmtpSandbox) -> None:
    for _ in range(2):
        send(server.port, "jean@b.example")
    send(server.port, "lea@b.example")
    assert deliveries(server.folder) == {
        ("<1@a.example>", "jean@b.example"): 2,
        ("<1@a.example>", "lea@b.example"): 1,
    }


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("refuse_permanent", 550),
        ("refuse_temporary", 451),
        ("throttle", 421),
        ("too_large", 552),
        ("disk_full", 452),
    ],
)
def test_each_refusal_answers_with_its_code_and_keeps_nothing(
    server: SmtpSandbox, fault: str, code: int
) -> None:
    server.fail(fault, count=1)  # type: ignore[arg-type] # one of the kinds
    with pytest.raises(smtplib.SMTPException) as refused:
        send(server.port)
    assert str(code) in str(refused.value)
    assert [entry.outcome for entry in server.received()] == [fault]
    assert list(server.folder.glob("*.eml")) == []
    send(server.port)
    assert len(server.accepted()) == 1


@pytest.mark.parametrize(
    ("fault", "accepted"),
    [
        ("drop_at_connect", 0),
        ("drop_before_data", 0),
        ("drop_in_data", 0),
        ("accept_then_close", 1),
    ],
)
def test_each_cut_comes_where_it_is_said_to(server: SmtpSandbox, fault: str, accepted: int) -> None:
    server.fail(fault, count=1)  # type: ignore[arg-type] # one of the kinds
    with pytest.raises((smtplib.SMTPException, OSError)):
        send(server.port)
    assert len(server.accepted()) == accepted
    send(server.port)
    assert len(server.accepted()) == accepted + 1


def test_a_silent_server_has_the_message_and_stops_all_the_same(tmp_path: Path) -> None:
    with SmtpSandbox(tmp_path, faults=[Fault("accept_then_silence")]) as server:
        client = smtplib.SMTP("127.0.0.1", server.port, timeout=0.5)
        with pytest.raises((smtplib.SMTPException, OSError)):
            client.sendmail("lea@a.example", ["jean@b.example"], message())
        assert len(server.accepted()) == 1
    client.close()


def test_the_first_rule_that_concerns_the_recipient_goes_off() -> None:
    plan = FaultPlan([Fault("slow", "jean", count=2), Fault("slow", seconds=9)])
    picked = [plan.pick(["slow"], ["Jean@b.example"]) for _ in range(3)]
    assert [fault.seconds for fault in picked if fault] == [1.0, 1.0, 9]
    assert plan.pick(["refuse_auth"]) is None


def test_a_random_rate_is_repeated_by_its_seed() -> None:
    def draws(seed: int) -> list[bool]:
        plan = FaultPlan([Fault("slow", rate=0.3)], seed=seed)
        return [plan.pick(["slow"]) is not None for _ in range(400)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)
    assert 80 < sum(draws(1)) < 160


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown fault"):
        Fault("explode")  # type: ignore[arg-type] # that is the subject


def test_a_disk_that_is_full_refuses_the_message(tmp_path: Path) -> None:
    with SmtpSandbox(tmp_path) as server:
        (tmp_path / JOURNAL).symlink_to("/dev/full")  # every write: no space left on device
        with pytest.raises(smtplib.SMTPDataError) as refused:
            send(server.port)
        assert refused.value.smtp_code == 452
        assert list(tmp_path.glob("*.eml")) == []


class Process:
    """`python -m sandbox.smtp`, with the limit in kilobytes of a file that it may write."""

    def __init__(self, folder: Path, limit: str = "unlimited") -> None:
        self.folder = folder
        self.control = folder / "control.json"
        port_file = folder / "port"
        port_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "sandbox.smtp", "--folder", str(folder / "mail")]
        command += ["--port-file", str(port_file), "--control", str(self.control)]
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", f'ulimit -f {limit}; exec "$@"', "bash", *command],
            cwd=ROOT,
            env={**os.environ, "PYTHONWARNINGS": "error"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + 20
        while not port_file.exists():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.port = int(port_file.read_text())

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop(signal.SIGKILL)

    def stop(self, number: signal.Signals) -> str:
        """What it complained of, with warnings as errors: nothing, when it is well."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=10)
        return errors.decode()


def test_the_process_obeys_its_control_file_and_its_journal_survives_kills(tmp_path: Path) -> None:
    with Process(tmp_path) as process:
        send(process.port, message_id="<1@a.example>")
        process.control.write_text(json.dumps([{"kind": "refuse_permanent", "recipient": "parti"}]))
        send(process.port, message_id="<2@a.example>")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            send(process.port, "parti@b.example")
        process.control.write_text("[{")  # half written: the rules before it stay
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            send(process.port, "parti@b.example")
        process.control.write_text("[]")
        send(process.port, "parti@b.example", message_id="<3@a.example>")
    with Process(tmp_path) as process:
        send(process.port, message_id="<4@a.example>")
        assert process.stop(signal.SIGTERM) == ""
        assert process.process.returncode == 0
    journal = [e for e in read_journal(tmp_path / "mail") if e.outcome == "accepted"]
    assert [entry.message_id for entry in journal] == [f"<{i}@a.example>" for i in (1, 2, 3, 4)]
    assert [entry.file[:6] for entry in journal] == ["000001", "000002", "000003", "000004"]


def test_a_message_that_does_not_fit_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with (
        Process(tmp_path, limit="4") as process,
        smtplib.SMTP("127.0.0.1", process.port, timeout=5) as client,
    ):
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail("a@a.example", ["b@b.example"], message() + b"Bonjour\r\n" * 1000)
        assert refused.value.smtp_code == 452
        assert list((tmp_path / "mail").glob("*.eml")) == []
        client.sendmail("a@a.example", ["b@b.example"], message())
        assert process.stop(signal.SIGTERM) == ""
