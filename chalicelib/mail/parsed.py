"""What an e-mail says, once its bytes have been read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Nature = Literal["mail", "bounce", "auto_reply", "list", "calendar"]


@dataclass(frozen=True)
class Party:
    """`email` is in lower case, `""` where there is none that can be read; `role` is from, sender,
    reply_to, to or cc."""

    role: str
    email: str = field(repr=False)
    name: str = field(repr=False)


@dataclass(frozen=True)
class Part:
    """An attachment. `name` is safe as a file name on every system and never empty. `type` is by
    its first bytes, `declared_type` what the sender says. `content` is None when it is larger than
    the limit on attachments; `size` and `sha256` are of the decoded content."""

    name: str = field(repr=False)
    declared_type: str
    type: str
    size: int
    inline: bool
    content_id: str | None
    sha256: bytes
    content: bytes | None = field(repr=False)


@dataclass(frozen=True)
class Failed:
    """One recipient of a delivery status report (RFC 3464). `status` is as 5.1.1; `permanent`: it
    failed for good (`Action: failed` and a status of class 5), not merely *delayed*. `gave_up`: the
    server tries no more (`Action: failed`), whatever the class."""

    email: str = field(repr=False)
    status: str
    permanent: bool
    gave_up: bool = False


@dataclass(frozen=True)
class Bounce:
    """`message_ids`: of the message that came back, without brackets, as the report quotes it."""

    recipients: Sequence[Failed]
    message_ids: Sequence[str]


@dataclass(frozen=True)
class ParsedMail:
    """No text of it holds NUL or a lone surrogate. Message-IDs are without brackets. `sent_at` is
    aware; None when there is no Date that can be read. `faults` are codes: what was repaired
    (`boundary`, `charset`, `date`, `encoding`, `header`, `html`), and where reading stopped
    (`depth`, `parts`, `size`)."""

    message_id: str | None
    in_reply_to: str | None
    references: Sequence[str]
    sent_at: datetime | None
    subject: str = field(repr=False)
    parties: Sequence[Party] = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    snippet: str = field(repr=False)
    nature: Nature = "mail"
    bounce: Bounce | None = None
    parts: Sequence[Part] = ()
    faults: Sequence[str] = ()
