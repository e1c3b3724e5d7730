"""What an e-mail provider is to Ponctuel: one call, three possible answers.

`send` returns `Accepted`, or raises `ProviderError` (certainly not accepted; permanent or
transient) or `OutcomeUnknown` (the call was made and its answer was lost). Nothing else may come
out of it.

A `ProviderError` carries either one of our own codes, below, or the provider's (`550 5.1.1`,
`MessageRejected`). Our own are the same for every provider:

- about the sender or the account, never permanent: see `SENDER_WIDE_CODES`;
- about the message, always permanent: `invalid_address`, `invalid_header`, `too_large`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

SENDER_WIDE_CODES = frozenset(
    {
        "configuration",  # settings, certificate, unverified identity, relay not allowed
        "connection",  # the provider cannot be reached
        "credentials",  # user, password, key or token refused
        "paused",  # sending is paused or suspended for the account
        "quota",  # the day's quota is used up
        "sender",  # the sender's address is refused
        "throttled",  # too fast
        "timeout",  # no answer, before anything was sent
    }
)
"""Codes that say nothing about the recipient or the content: the sender's other messages would meet
the same answer. Always transient, so that messages stay queued while somebody repairs it."""


@dataclass(frozen=True)
class Address:
    """A mailbox and the name shown before it; neither may hold a line break."""

    email: str
    name: str = ""


@dataclass(frozen=True)
class Attachment:
    name: str
    content: bytes
    mime_type: str = "application/pdf"


@dataclass(frozen=True)
class Mail:
    """One message, ready to go. `message_id` is ours, with its angle brackets, and never changes
    between two attempts; `date` is aware. `headers` are added as they are."""

    reference: str
    message_id: str
    date: datetime
    sender: Address
    to: tuple[str, ...]
    subject: str
    text: str
    html: str | None = None
    cc: tuple[str, ...] = ()
    reply_to: Address | None = None
    attachments: tuple[Attachment, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Accepted:
    """The provider's own id for the message, and the recipients that it refused all the same."""

    provider_id: str
    refused_recipients: tuple[str, ...] = ()


class MailProvider(Protocol):
    """One instance serves one thread: it may keep a connection open between two calls."""

    name: str

    def send(self, mail: Mail) -> Accepted:
        """Hands the message over, once. Raises `ProviderError` or `OutcomeUnknown`."""
        ...

    def close(self) -> None:
        """Ends the kept connection; a later `send` opens another. To be called at the end of each
        run: a connection must not outlive the freezing of a Lambda."""
        ...
