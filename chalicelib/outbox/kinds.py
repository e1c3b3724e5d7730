"""What a kind of message is, and the register of kinds. The outbox imports no domain: a domain's
`kinds.py` registers, and `load` imports it by the first part of the kind's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from chalicelib.errors import NotFound
from chalicelib.outbox.windows import DAYTIME, Window

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True)
class Claimed:
    """A message that this process has claimed and may be about to send. `claims`: how many
    processes died over its letter. `error_code`: why it did not leave the last time."""

    id: int
    business_id: str
    kind: str
    subject: str
    cycle: str
    step: str
    channel: str
    person: str
    recipient: str | None
    content: Mapping[str, Any]
    message_id: str | None
    attempts: int
    claims: int = 0
    error_code: str | None = None
    lines: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True)
class Send:
    """Still wanted. `content` feeds the template; addresses and numbers are as stored, not yet
    parsed. `attachments` maps a file name to its key in storage (e-mail only). `variant`: which of
    the kind's WhatsApp texts, where it has several. `user_id`: Meta's id of a person who hides the
    number. `zone`: the recipient's IANA zone where it is known; else the number's, else
    `business_zone`. `subdivision`: of the `holidays` library, for kinds that respect them."""

    content: Mapping[str, Any]
    recipients: str
    sender_email: str | None = None
    sender_name: str = ""
    reply_to: str | None = None
    attachments: Mapping[str, str] = field(default_factory=dict)
    variant: str = ""
    user_id: str | None = None
    zone: str | None = None
    business_zone: str = "Europe/Paris"
    subdivision: str | None = None


@dataclass(frozen=True)
class Cancel:
    """No longer wanted: the key is free again, should it be wanted one day. `reason` is a code."""

    reason: str


@dataclass(frozen=True)
class Hold:
    """Wanted, but not now. `until` is aware; `reason` is a code."""

    reason: str
    until: datetime


Verdict = Send | Cancel | Hold
Guard = Callable[["Connection", Sequence[Claimed], datetime], Mapping[int, Verdict]]


@dataclass(frozen=True)
class Kind:
    """`guard` answers for each claimed message of the kind, just before it is sent, at the
    database's clock. `late_after`: past it the message is "trop tard".

    `when_unknown`: what becomes of a message whose answer was lost, once no proof was found:
    `leave` it to an operator, or `resend` it, once (where a second copy harms less than none).
    `proof_window`: how long after the call a proof is looked for before that.
    `category`: marketing needs consent, and leaves the quota's reserve alone. `hours`: when its
    recipient may be written to, in the recipient's own zone; None: at any time. `capped`: waits
    when the person has had enough messages. `unsubscribable`: carries the one-click link.
    `whatsapp`: the folder of its texts below `templates/whatsapp`, None for a kind that is only an
    e-mail. `headers`: that its e-mails carry besides the usual ones.
    `operational`: a message to the operator, exempt from review, surge and everything above."""

    name: str
    title: str
    template: str
    guard: Guard
    late_after: timedelta
    operational: bool = False
    max_attempts: int = 8
    when_unknown: Literal["leave", "resend"] = "leave"
    proof_window: timedelta = timedelta(hours=24)
    category: Literal["transactional", "marketing"] = "transactional"
    hours: Window | None = DAYTIME
    capped: bool = True
    unsubscribable: bool = False
    whatsapp: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


_KINDS: dict[str, Kind] = {}


def register(*kinds: Kind) -> None:
    for kind in kinds:
        _KINDS[kind.name] = kind


def load(name: str) -> Kind:
    """The kind of that name. Raises `NotFound` for a name that no domain registers."""
    if name not in _KINDS:
        package = name.partition(".")[0]
        try:
            import_module(f"chalicelib.domain.{package}.kinds")
        except ModuleNotFoundError as error:
            raise NotFound(f"Genre de message inconnu : « {name} ».") from error
    if name not in _KINDS:
        raise NotFound(f"Genre de message inconnu : « {name} ».")
    return _KINDS[name]
