"""What a WhatsApp provider is to Ponctuel: one call, three possible answers.

`send` returns `Accepted`, or raises `ProviderError` (certainly not accepted; permanent or
transient) or `OutcomeUnknown` (the call was made and its answer was lost). Nothing else may come
out of it. Acceptance is not delivery: that is told by webhook, which carries our reference back.

A `ProviderError` carries either one of our own codes, below, or the provider's number (`131009`).
Our own are the same for every provider:

- about the sender or the account, never permanent: `SENDER_WIDE_CODES`;
- about a template, so about all messages of a kind, never permanent: `TEMPLATE_WIDE_CODES`;
- about the person, always permanent: `PERSON_CODES`;
- about this message, always permanent: `invalid_content`, `too_large`, and `experiment` (WhatsApp
  withholds marketing from this person for a study of its own);
- about this message now, transient: `window_closed` (the 24 hours since the person last wrote are
  over: a later try has to take a template), `marketing_limit` (the person gets no more marketing
  today, see `retry_after`), `pair_rate` (too many messages to this person in a short time).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from chalicelib.providers.mail.port import SENDER_WIDE_CODES as SENDER_WIDE_CODES

TEMPLATE_WIDE_CODES = frozenset(
    {
        "template_disabled",  # disabled by WhatsApp, for good
        "template_missing",  # no such name, language or Content SID; not approved yet
        "template_parameters",  # it wants other variables than we give
        "template_paused",  # paused by WhatsApp because people did not like it
        "template_rejected",  # not approved
    }
)
"""Codes that say nothing about the recipient: each message with this template would meet the same
answer. Always transient, so that messages stay queued while somebody repairs it."""

PERSON_CODES = frozenset(
    {
        "invalid_recipient",  # no such number, or nobody on WhatsApp has it
        "opt_out",  # the person has told WhatsApp or the provider to stop
    }
)
"""Codes that will be true of this person's next messages too. Always permanent."""

REFERENCE = "message"
"""The parameter that carries our reference in the address that Twilio calls back."""


@dataclass(frozen=True)
class Text:
    """Free text, which WhatsApp takes only within 24 hours of the person's last message."""

    body: str = field(repr=False)


@dataclass(frozen=True)
class Template:
    """An approved template. `name` is a Content SID (`HX…`) at Twilio, where it implies the
    language. Variables are in order, or by name where the template has named ones."""

    name: str
    language: str = "fr"
    variables: tuple[str, ...] | Mapping[str, str] = field(default=(), repr=False)


@dataclass(frozen=True)
class WhatsAppMessage:
    """One message, ready to go. Ids only in its `repr`.

    `recipient` is an E.164 number (`+33612345678`) or, for who hides the number, a Meta
    business-scoped user id (`FR.13491208655302741918`). `sender` replaces the provider's default
    one: an E.164 number or a messaging service (`MG…`) at Twilio, a phone number id at Meta.
    `callback_url` is the public address for Twilio's status webhooks, without our reference; Meta
    has one address per app.
    """

    reference: str
    recipient: str = field(repr=False)
    content: Text | Template
    sender: str | None = field(default=None, repr=False)
    callback_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Accepted:
    """The provider's own id for the message, and its word for the message's state (`queued`,
    `accepted`, `held_for_quality_assessment`…)."""

    provider_id: str
    state: str


@dataclass(frozen=True)
class Trace:
    """A message that the provider remembers. `created_at` is aware; `error_code` is the provider's
    number, when it came to nothing."""

    provider_id: str
    state: str
    created_at: datetime
    error_code: str | None


class WhatsAppProvider(Protocol):
    """One instance serves one thread: it may keep a connection open between two calls.
    `call_timeout` bounds a whole call, in seconds."""

    name: str
    call_timeout: float

    def send(self, message: WhatsAppMessage) -> Accepted:
        """Hands the message over, once. Raises `ProviderError` or `OutcomeUnknown`."""
        ...

    def find(self, message: WhatsAppMessage, since: datetime) -> tuple[Trace, ...] | None:
        """What the provider has of this recipient since then (aware) that could be this message.

        It is proof of acceptance when exactly one is left that no other message of the outbox has
        as its `provider_id`. None where the provider offers no such search. Nothing found, soon
        after the call, proves nothing. Raises `ProviderError`, transient unless the message itself
        cannot be asked about.
        """
        ...

    def close(self) -> None:
        """Ends the kept connection; a later call opens another. To be called at the end of each
        run: a connection must not outlive the freezing of a Lambda."""
        ...
