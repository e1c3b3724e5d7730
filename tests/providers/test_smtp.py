from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import OutcomeUnknown, ProviderError, SettingsError
from chalicelib.providers.mail import smtp as smtp_module
from chalicelib.providers.mail.port import SENDER_WIDE_CODES, Accepted, Address, Attachment, Mail
from chalicelib.providers.mail.smtp import SmtpProvider, SmtpSettings
from sandbox.proxy import Failure, Proxy
from sandbox.smtp import SmtpSandbox
from sandbox.smtp_faults import FaultKind
from tests.providers.mails import mail
from tests.providers.wire import serving, smtp, until_closed


def provider(port: int, **changes: object) -> SmtpProvider:
    quick = {"connect_timeout": 2, "command_timeout": 2, "answer_timeout": 2, "call_timeout": 4}
    options = {"host": "127.0.0.1", "port": port, "tls": "none"} | quick | changes
    return SmtpProvider(SmtpSettings(**options))  # type: ignore[arg-type] # checked at run time


@pytest.fixture(params=["in groups", "one by one"])
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SmtpSandbox]:
    """As it takes commands."""
    with SmtpSandbox(tmp_path / "mail", pipelining=request.param == "in groups") as sandbox:
        yield sandbox


@pytest.fixture
def sender(server: SmtpSandbox) -> Iterator[SmtpProvider]:
    smtp_provider = provider(server.port)
    yield smtp_provider
    smtp_provider.close()


def once(port: int, message: Mail | None = None, **changes: object) -> object:
    with contextlib.closing(provider(port, **changes)) as sender:
        return outcome(sender, message or mail())


def outcome(sender: SmtpProvider, message: Mail) -> Accepted | ProviderError | OutcomeUnknown:
    result: Accepted | ProviderError | OutcomeUnknown
    try:
        result = sender.send(message)
    except (ProviderError, OutcomeUnknown) as error:
        result = error
    assert isinstance(result, Accepted) or "@" not in str(result)
    return result


def test_an_accepted_message_arrives_whole_and_its_queue_id_is_kept(
    server: SmtpSandbox, sender: SmtpProvider
) -> None:
    dotted = mail(text=".\n..\n.fin\n", attachments=(Attachment("a.pdf", os.urandom(200_000)),))
    accepted = sender.send(dotted)
    (entry,) = server.accepted()
    assert accepted == Accepted(provider_id="000001")
    assert entry.message_id == dotted.message_id
    assert entry.recipients == dotted.to
    content = (server.folder / entry.file).read_bytes()
    assert b"\r\n\r\n" in content
    assert re.search(rb"\r\n\.\r\n|\r\n\.fin\r\n", content.replace(b"=2E", b"."))


def test_the_connection_is_kept_from_one_message_to_the_next(
    server: SmtpSandbox, sender: SmtpProvider
) -> None:
    for _ in range(3):
        sender.send(mail())
    assert server.connections == 1
    assert len(server.accepted()) == 3


def test_a_connection_that_the_server_closed_while_idle_is_replaced_unseen(
    server: SmtpSandbox, sender: SmtpProvider
) -> None:
    sender.send(mail())
    server.drop_connections()
    sender.send(mail())
    assert server.connections == 2
    assert len(server.accepted()) == 2


def test_a_connection_that_died_without_a_word_is_replaced_unseen(server: SmtpSandbox) -> None:
    with Proxy((server.host, server.port)) as proxy:
        sender = provider(proxy.port, command_timeout=0.5)
        sender.send(mail())
        proxy.freeze()
        sender.send(mail())
        sender.close()
    assert len(server.accepted()) == 2


@pytest.mark.parametrize("answer", [b"421 4.4.2 that is enough\r\n", None])
@pytest.mark.parametrize("point", ["rset", "mail"])
def test_a_server_that_limits_messages_per_connection_is_given_another_one(
    point: str, answer: bytes | None
) -> None:
    script = {"rset": answer} if point == "rset" else {"mail": [b"250 ok\r\n", answer]}
    with serving(smtp(**script)) as port:
        sender = provider(port)
        sender.send(mail())
        assert sender.send(mail()).provider_id == "W1"
        sender.close()


@pytest.mark.parametrize(
    ("fault", "code", "permanent"),
    [
        ("refuse_permanent", "550 5.1.1", True),
        ("refuse_temporary", "451 4.3.0", False),
        ("throttle", "throttled", False),
        ("too_large", "too_large", True),
        ("disk_full", "452 4.3.1", False),
        ("drop_at_connect", "connection", False),
        ("drop_before_data", "connection", False),
    ],
)
def test_a_refusal_is_known_to_be_one_and_the_next_message_goes_through(
    server: SmtpSandbox, sender: SmtpProvider, fault: FaultKind, code: str, permanent: bool
) -> None:
    server.fail(fault)
    error = outcome(sender, mail())
    assert isinstance(error, ProviderError)
    assert (error.code, error.permanent) == (code, permanent)
    assert server.accepted() == []
    server.heal()
    assert isinstance(outcome(sender, mail()), Accepted)


@pytest.mark.parametrize(
    ("fault", "was_accepted"),
    [
        ("drop_in_data", False),
        ("accept_then_close", True),
        ("accept_then_silence", True),
        ("slow", True),
    ],
)
def test_a_lost_answer_is_unknown_whatever_really_happened(
    server: SmtpSandbox, fault: FaultKind, was_accepted: bool
) -> None:
    sender = provider(server.port, answer_timeout=0.5)
    server.fail(fault, count=1, seconds=5)
    assert isinstance(outcome(sender, mail()), OutcomeUnknown)
    assert len(server.accepted()) == was_accepted
    assert isinstance(outcome(sender, mail()), Accepted)
    sender.close()


def test_a_copy_that_is_taken_does_not_carry_a_refused_message(
    server: SmtpSandbox, sender: SmtpProvider
) -> None:
    server.fail("refuse_permanent", recipient="client", count=1)
    message = mail(to=("client@exemple.fr",), cc=("comptable@exemple.fr",))
    error = outcome(sender, message)
    assert isinstance(error, ProviderError)
    assert error.code == "550 5.1.1"
    assert server.accepted() == []
    assert isinstance(outcome(sender, message), Accepted)
    assert len(server.accepted()) == 1


IN_GROUPS = b"250-wire\r\n250 PIPELINING\r\n"


def test_a_refusal_of_the_first_command_of_a_group_leaves_the_connection_usable() -> None:
    conversations = 0

    def counted(client: socket.socket) -> None:
        nonlocal conversations
        conversations += 1
        smtp(
            ehlo=IN_GROUPS,
            mail=[b"550 5.7.1 not you\r\n", b"250 ok\r\n"],
            rcpt=[b"503 no\r\n", b"250 ok\r\n"],
            data=[b"503 no\r\n", b"354 go on\r\n"],
        )(client)

    with serving(counted) as port, contextlib.closing(provider(port)) as sender:
        error = outcome(sender, mail(to=("client@exemple.fr",), cc=()))
        assert isinstance(error, ProviderError)
        assert "5.7.1" in str(error)
        accepted = outcome(sender, mail(to=("client@exemple.fr",), cc=()))
    assert isinstance(accepted, Accepted)
    assert conversations == 1


def test_a_server_that_refuses_and_hangs_up_in_the_middle_of_a_group_has_refused() -> None:
    with serving(smtp(ehlo=IN_GROUPS, mail=b"550 5.7.1 not you\r\n", rcpt=None)) as port:
        error = once(port)
    assert isinstance(error, ProviderError)
    assert "5.7.1" in str(error)


def test_a_server_that_asks_for_the_content_of_nobodys_message_gets_none() -> None:
    received = b""

    def content(client: socket.socket) -> None:
        nonlocal received
        while piece := client.recv(65536):
            received += piece

    refuses = smtp(
        ehlo=IN_GROUPS, rcpt=b"550 5.1.1 unknown\r\n", data=b"354 go on\r\n", content=content
    )
    with serving(refuses) as port:
        error = once(port, mail(to=("client@exemple.fr",), cc=()))
    assert isinstance(error, ProviderError)
    assert (error.code, received) == ("550 5.1.1", b"")


def test_an_answer_that_is_slow_but_comes_is_an_answer(
    server: SmtpSandbox, sender: SmtpProvider
) -> None:
    server.fail("slow", seconds=0.1)
    assert isinstance(outcome(sender, mail()), Accepted)


@pytest.mark.parametrize("connection", ["new", "just used", "idle"])
@pytest.mark.parametrize("failure", ["cut", "cut_answer", "half_open"])
def test_wherever_the_connection_breaks_the_outcome_is_told_as_it_is(
    server: SmtpSandbox, failure: Failure, connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bursts on a fresh connection: EHLO, MAIL, RCPT, DATA (these three at once, if they may be),
    content; on one that has been idle, RSET first; on one that has just taken a message, MAIL at
    once."""
    kept = connection != "new"
    if connection == "idle":
        monkeypatch.setattr(smtp_module, "_PROBE_AFTER", 0)
    last = (1 if server.pipelining else 3) + (1 if connection == "just used" else 2)
    with Proxy((server.host, server.port)) as proxy:
        for burst in range(1, last + 1):
            patience = 0.4 if failure == "half_open" else 2
            sender = provider(proxy.port, command_timeout=patience, answer_timeout=patience)
            if kept:
                sender.send(mail())
            before = len(server.accepted())
            proxy.fail_at(burst, failure)
            result = outcome(sender, mail())
            arrived = len(server.accepted()) - before
            if burst == last:
                assert isinstance(result, OutcomeUnknown)
                assert arrived == (failure == "cut_answer")
            elif kept:
                assert isinstance(result, Accepted)
                assert arrived == 1
            else:
                assert isinstance(result, ProviderError)
                assert result.code in ("connection", "timeout")
                assert not result.permanent
                assert arrived == 0
            sender.close()


def test_a_server_that_cannot_be_reached_is_no_fault_of_the_message(server: SmtpSandbox) -> None:
    with Proxy((server.host, server.port)) as proxy:
        sender = provider(proxy.port, command_timeout=0.5)
        proxy.refuse()
        refused = outcome(sender, mail())
        proxy.accept()
        proxy.half_open = True
        silent = outcome(sender, mail())
        proxy.half_open = False
        assert isinstance(outcome(sender, mail()), Accepted)
        sender.close()
    for error, code in ((refused, "connection"), (silent, "timeout")):
        assert isinstance(error, ProviderError)
        assert (error.code, error.permanent) == (code, False)
    unknown_name = once(25, host="nowhere.invalid")
    assert isinstance(unknown_name, ProviderError)
    assert unknown_name.code == "connection"


def test_one_refused_recipient_does_not_keep_the_others_from_theirs(
    server: SmtpSandbox, sender: SmtpProvider
) -> None:
    server.fail("refuse_permanent", recipient="parti@")
    several = mail(to=("client@client.example", "parti@client.example"))
    assert sender.send(several).refused_recipients == ("parti@client.example",)
    (entry,) = server.accepted()
    assert entry.recipients == ("client@client.example",)


def test_a_copy_alone_is_not_a_message_to_the_customer(
    server: SmtpSandbox, sender: SmtpProvider
) -> None:
    server.fail("refuse_permanent", recipient="client@")
    error = outcome(sender, mail(cc=("comptable@cabinet.example",)))
    assert isinstance(error, ProviderError)
    assert error.permanent
    assert server.accepted() == []
    server.heal()
    assert isinstance(outcome(sender, mail()), Accepted)


def test_recipients_all_refused_may_be_tried_again_if_one_refusal_may_pass(
    server: SmtpSandbox, sender: SmtpProvider
) -> None:
    server.fail("refuse_permanent", recipient="parti@")
    server.fail("refuse_temporary", recipient="plein@")
    error = outcome(sender, mail(to=("parti@client.example", "plein@client.example")))
    assert isinstance(error, ProviderError)
    assert (error.code, error.permanent) == ("451 4.3.0", False)


def test_a_message_above_the_servers_limit_is_not_even_offered(tmp_path: Path) -> None:
    with SmtpSandbox(tmp_path, size_limit=2000) as server:
        sender = provider(server.port)
        error = outcome(sender, mail(attachments=(Attachment("a.pdf", b"x" * 3000),)))
        sender.close()
    assert isinstance(error, ProviderError)
    assert (error.code, error.permanent) == ("too_large", True)
    assert server.received() == []


def test_a_wrong_address_never_reaches_the_server(
    server: SmtpSandbox, sender: SmtpProvider
) -> None:
    for wrong in (mail(to=("a@x.fr>\r\nDATA",)), mail(sender=Address("a@x.fr> SIZE=1"))):
        assert isinstance(outcome(sender, wrong), ProviderError)
    assert server.connections == 0


@pytest.mark.parametrize(
    ("script", "code", "permanent"),
    [
        ({"greeting": b"554 no service\r\n"}, "connection", False),
        ({"greeting": b"HTTP/1.1 400 Bad Request\r\n\r\n"}, "connection", False),
        ({"greeting": b"\x16\x03\x01\n"}, "connection", False),
        ({"greeting": b"2" * 100_000}, "connection", False),
        ({"greeting": until_closed}, "timeout", False),
        ({"ehlo": b"502 unknown\r\n"}, "connection", False),
        ({"mail": b"530 5.7.0 Must issue a STARTTLS command first\r\n"}, "configuration", False),
        ({"mail": b"553 5.7.1 <a@x.fr>: Sender address rejected\r\n"}, "sender", False),
        ({"mail": b"550 5.7.60 Client does not have permissions\r\n"}, "sender", False),
        ({"mail": b"550 5.4.5 Daily user sending limit exceeded\r\n"}, "quota", False),
        ({"mail": b"454 Throttling failure: Maximum sending rate\r\n"}, "throttled", False),
        ({"mail": b"552 5.3.4 Message size exceeds fixed limit\r\n"}, "too_large", True),
        ({"mail": b"452 4.3.1 Insufficient system storage\r\n"}, "452 4.3.1", False),
        ({"rcpt": b"553 5.7.1 <a@x.fr>: Sender address rejected\r\n"}, "sender", False),
        ({"rcpt": b"554 5.7.1 <a@x.fr>: Relay access denied\r\n"}, "configuration", False),
        ({"rcpt": b"554 5.7.1 Client host [1.2.3.4] blocked\r\n"}, "configuration", False),
        ({"rcpt": b"552 5.2.2 Over quota\r\n"}, "552 5.2.2", False),
        ({"rcpt": b"550-5.1.1 <a@x.fr>:\r\n550 5.1.1 unknown\r\n"}, "550 5.1.1", True),
        ({"rcpt": b"450 4.2.0 Greylisted\r\n"}, "450 4.2.0", False),
        ({"rcpt": b"250-ok\r\n550 no\r\n"}, "550", True),
        ({"data": b"554 no valid recipients\r\n"}, "554", True),
        ({"data": b"250 ok\r\n"}, "connection", False),
        ({"data": b"354 go on\r\n250 too early\r\n"}, "connection", False),
        ({"content": b"554 5.7.1 Spam: see http://x.fr/1\r\n"}, "554 5.7.1", True),
        ({"content": b"554 5.2.252 SendAsDenied; a@x.fr\r\n"}, "sender", False),
        ({"content": b"552 5.2.2 Mailbox full\r\n"}, "552 5.2.2", False),
        ({"content": b"451 4.3.2 Try later\r\n"}, "451 4.3.2", False),
        ({"content": b"421 4.3.2 Shutting down\r\n"}, "throttled", False),
    ],
)
def test_what_servers_say_is_put_down_to_whom_it_concerns(
    script: dict[str, bytes], code: str, permanent: bool
) -> None:
    with serving(smtp(**script)) as port:
        error = once(port, command_timeout=1)
    assert isinstance(error, ProviderError)
    assert (error.code, error.permanent) == (code, permanent)
    assert "http" not in str(error)
    assert not (error.permanent and error.code in SENDER_WIDE_CODES)


@pytest.mark.parametrize(
    "answer",
    [b"250 2.0.0 Ok", b"250-going\r\n", b"banana\r\n", b"150 ok\r\n", b"354 more\r\n", b""],
)
def test_only_a_complete_answer_to_the_content_counts(answer: bytes) -> None:
    def say_and_close(client: object) -> None:
        client.sendall(answer)  # type: ignore[attr-defined] # a socket

    with serving(smtp(content=say_and_close)) as port:
        assert isinstance(once(port), OutcomeUnknown)


@pytest.mark.parametrize(
    ("answer", "provider_id"),
    [
        (b"250 2.0.0 Ok: queued as 4Xk9Bq1zT\r\n", "4Xk9Bq1zT"),
        (b"250 OK id=1rABCD-000XYZ-2K\r\n", "1rABCD-000XYZ-2K"),
        (b"250 Ok 0102018c1234abcd-1b2c-4d5e-000000\r\n", "0102018c1234abcd-1b2c-4d5e-000000"),
        (b"250 2.6.0 <x@y.fr> [InternalId=123, Hostname=h] Queued\r\n", "123"),
        (b"250 merci\r\n", "merci"),
        (b"250\r\n", ""),
    ],
)
def test_the_providers_own_id_is_found_in_its_answer(answer: bytes, provider_id: str) -> None:
    with serving(smtp(content=answer)) as port:
        sender = provider(port)
        assert sender.send(mail()).provider_id == provider_id
        sender.close()


def test_a_server_that_refuses_the_content_while_it_comes_has_refused_it() -> None:
    given_up = threading.Event()

    def refuse_without_reading(client: object) -> None:
        client.sendall(b"354 go on\r\n")  # type: ignore[attr-defined] # a socket
        time.sleep(0.05)
        client.sendall(b"552 5.3.4 Too big\r\n")  # type: ignore[attr-defined]
        given_up.wait(10)

    large = mail(attachments=(Attachment("a.pdf", bytes(12_000_000)),))
    with serving(smtp(data=refuse_without_reading)) as port:
        error = once(port, large, call_timeout=9)
        given_up.set()
    assert isinstance(error, ProviderError)
    assert error.code == "too_large"


def test_a_server_that_reads_slowly_gets_the_whole_content() -> None:
    read = 0

    def slowly(client: socket.socket) -> None:
        nonlocal read
        client.sendall(b"354 go on\r\n")
        content = b""
        while not content.endswith(b"\r\n.\r\n") and (piece := client.recv(1_000_000)):
            content = content[-4:] + piece
            read += len(content)
            time.sleep(0.01)
        client.sendall(b"250 OK queued as W1\r\n")
        until_closed(client)

    large = mail(attachments=(Attachment("a.pdf", bytes(6_000_000)),))
    with serving(smtp(data=slowly)) as port:
        assert once(port, large, call_timeout=20) == Accepted("W1")
    assert read > 8_000_000


def test_a_server_that_stops_reading_cannot_outlast_the_call() -> None:
    given_up = threading.Event()

    def stop_reading(client: object) -> None:
        client.sendall(b"354 go on\r\n")  # type: ignore[attr-defined] # a socket
        given_up.wait(10)

    large = mail(attachments=(Attachment("a.pdf", bytes(12_000_000)),))
    with serving(smtp(data=stop_reading)) as port:
        started = time.monotonic()
        assert isinstance(once(port, large, call_timeout=1.5), OutcomeUnknown)
        assert time.monotonic() - started < 8
        given_up.set()


def test_a_server_that_answers_drop_by_drop_cannot_outlast_the_call() -> None:
    def drip(client: object) -> None:
        while True:
            client.sendall(b"220-wait\r\n")  # type: ignore[attr-defined] # a socket
            time.sleep(0.02)

    with serving(smtp(greeting=drip)) as port:
        started = time.monotonic()
        error = once(port, call_timeout=0.3)
        assert time.monotonic() - started < 8
    assert isinstance(error, ProviderError)
    assert error.code == "timeout"


_REPLIES = st.one_of(
    st.binary(max_size=30),
    st.from_regex(rb"([1-6][0-9][0-9][ -][ -~]{0,20}\r?\n){1,3}", fullmatch=True),
)
_POINTS = st.sampled_from(["greeting", "ehlo", "mail", "rcpt", "data", "content"])


@settings(max_examples=60, deadline=None)
@given(point=_POINTS, reply=_REPLIES)
def test_no_answer_however_odd_blurs_the_outcome(point: str, reply: bytes) -> None:
    def say_and_close(client: object) -> None:
        client.sendall(reply)  # type: ignore[attr-defined] # a socket

    with serving(smtp(**{point: say_and_close})) as port:
        result = once(port)
    final = re.fullmatch(rb"(?:[2-5]\d\d-.*\n)*([2-5])\d\d(?: .*)?\n(?s:.*)", reply)
    digit = final[1] if final else b""
    if point == "content":
        expected = {b"2": Accepted, b"4": ProviderError, b"5": ProviderError}
        assert isinstance(result, expected.get(digit, OutcomeUnknown))
    elif point == "data" and reply.startswith(b"354 ") and digit == b"3":
        assert isinstance(result, OutcomeUnknown | ProviderError)  # it asked, then closed
    else:
        assert isinstance(result, ProviderError)


def test_a_password_shows_nowhere_and_never_travels_in_clear() -> None:
    settings_ = SmtpSettings(host="smtp.example", username="lea@x.fr", password="s3cret")
    assert "s3cret" not in repr(settings_)
    assert "lea" not in repr(settings_)
    with pytest.raises(SettingsError):
        SmtpSettings(host="smtp.example", tls="none", username="lea", password="s3cret")
    for host in ("", "a b", "x" * 80, "smtp..example", "a\r\nb"):
        with pytest.raises(SettingsError):
            SmtpSettings(host=host)


def test_the_time_that_composing_takes_belongs_to_the_call(server: SmtpSandbox) -> None:
    class SlowHeaders(dict[str, str]):
        def items(self) -> Any:
            time.sleep(0.3)
            return super().items()

    error = once(server.port, mail(headers=SlowHeaders()), call_timeout=0.2)
    assert isinstance(error, ProviderError)
    assert (error.code, error.permanent) == ("timeout", False)
    assert server.received() == []
