"""What an e-mail provider is to Ponctuel: one call, three possible answers.

`send` returns `Accepted`, or raises `ProviderError` (certainly not accepted; permanent or transient)
or `OutcomeUnknown` (the call was made and its answer was lost).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


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

    outbox_id: int
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

    def send(self, mail: Mail) -> Accepted: ...

    def close(self) -> None: ...
