"""What a kind of message is, and the register of kinds. The outbox imports no domain: a domain's
`kinds.py` registers, and `load` imports it by the first part of the kind's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from chalicelib.errors import NotFound

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True)
class Claimed:
    """A message that this process has claimed and may be about to send."""

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
    lines: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True)
class Send:
    """Still wanted. `content` feeds the template; addresses are as stored, not yet parsed.
    `attachments` maps a file name to its key in storage."""

    content: Mapping[str, Any]
    recipients: str
    sender_email: str | None = None
    sender_name: str = ""
    reply_to: str | None = None
    attachments: Mapping[str, str] = field(default_factory=dict)


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
    database's clock. `late_after`: past it the message is "trop tard". A message whose
    answer was lost is never sent again by itself. `operational`: a message to the operator, exempt
    from review and surge."""

    name: str
    title: str
    template: str
    guard: Guard
    late_after: timedelta
    operational: bool = False
    max_attempts: int = 8


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
