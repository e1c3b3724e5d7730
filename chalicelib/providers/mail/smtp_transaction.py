"""MAIL, RCPT and DATA of one message: one by one, or in one group where the server takes that
(PIPELINING, RFC 2920), as nearly all do: one round trip instead of three and more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from chalicelib.errors import ProviderError
from chalicelib.providers.mail.mime import Envelope
from chalicelib.providers.mail.smtp_refusals import refusal
from chalicelib.providers.mail.smtp_session import Deadline, Reply, SmtpSession


@dataclass(frozen=True)
class Opened:
    """A transaction whose content the server is waiting for. `refused`: recipients."""

    session: SmtpSession
    refused: tuple[str, ...]


def open_transaction(
    session: SmtpSession,
    people: Envelope,
    size: int,
    patience: Callable[[], Deadline],
    *,
    kept: bool,
) -> Opened:
    """Up to and including the answer to DATA. `patience`: the time for the next command or answer;
    `kept`: the connection has served before. Raises `ProviderError` for a refusal, when the session
    stays usable unless it is `closing`; otherwise what the methods of `SmtpSession` raise, when it
    does not."""
    announced = ""
    if "SIZE" in session.extensions:
        announced = f" SIZE={size}"
        limit = session.extensions["SIZE"]
        if limit.isdigit() and 0 < int(limit) < size:
            message = f"Le message dépasse les {limit} octets que le serveur accepte."
            raise ProviderError("smtp", message, permanent=True, code="too_large")
    recipients = (*people.to, *people.cc)
    lines = [
        f"MAIL FROM:<{people.sender}>{announced}",
        *(f"RCPT TO:<{recipient}>" for recipient in recipients),
        "DATA",
    ]
    if "PIPELINING" not in session.extensions:
        return _judge(session, people, _one_by_one(session, lines, patience), kept=kept)
    replies = _in_a_group(session, lines, patience)
    try:
        return _judge(session, people, replies, kept=kept)
    except ProviderError:
        _hear_out(session, replies)
        raise


def expect(
    stage: Literal["greeting", "login", "sender", "content"],
    code: int,
    session: SmtpSession,
    reply: Reply,
) -> None:
    """Raises `ProviderError` for a refusal, `ConnectionError` for what is no answer to that."""
    if reply.code == code:
        return
    if reply.code < 400:
        raise ConnectionError("the server is out of step")
    raise refusal(stage, reply, encrypted=session.encrypted)


def _one_by_one(
    session: SmtpSession, lines: Sequence[str], patience: Callable[[], Deadline]
) -> Iterator[Reply]:
    for line in lines:
        yield session.command(line, patience())


def _in_a_group(
    session: SmtpSession, lines: Sequence[str], patience: Callable[[], Deadline]
) -> Iterator[Reply]:
    session.send_commands(lines, patience())
    for _ in lines:
        yield session.reply(patience())


def _judge(
    session: SmtpSession, people: Envelope, replies: Iterator[Reply], *, kept: bool
) -> Opened:
    reply = next(replies)
    if kept and session.closing:
        raise ConnectionError("the server takes no more messages on this connection")
    expect("sender", 250, session, reply)
    refusals: dict[str, ProviderError] = {}
    for recipient in (*people.to, *people.cc):
        reply = next(replies)
        if reply.code not in (250, 251, 252):
            refusals[recipient] = refusal("recipient", reply, encrypted=session.encrypted)
            if session.closing:
                raise refusals[recipient]
    if all(recipient in refusals for recipient in people.to):
        errors = [refusals[recipient] for recipient in people.to]
        raise min(errors, key=lambda error: error.permanent)  # one that may pass, if any
    expect("content", 354, session, next(replies))
    session.expect_silence()
    return Opened(session, tuple(refusals))


def _hear_out(session: SmtpSession, replies: Iterator[Reply]) -> None:
    """After a refusal, reads what the server says to the lines that followed it. One that waits for
    the content all the same gets none: the connection is given up, and nothing is accepted."""
    try:
        if not session.closing and any(reply.code == 354 for reply in replies):
            session.closing = True
    except OSError:
        session.closing = True
