"""What delivering needs: a channel is a way to send, with its provider's bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib.outbox.rates import Rate

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from chalicelib.outbox.proofs import ProofSource
    from chalicelib.providers.ledger_mark import MarkStore
    from chalicelib.providers.storage.port import Storage


class Provider(Protocol):
    """What the ports of mail and WhatsApp have in common. One instance serves one thread."""

    name: str

    def send(self, letter: Any, /) -> Any:
        """Hands it over, once: an `Accepted`, or raises `ProviderError` or `OutcomeUnknown`."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Channel:
    """`provider`: smtp, ses, twilio or meta. `open` gives one provider per thread. `concurrency`:
    calls side by side. `rate`: of the account, None for no bound. `quota`: messages in 24 hours
    over all businesses, None for no bound."""

    name: str
    provider: str
    open: Callable[[], Provider]
    concurrency: int = 4
    rate: Rate | None = None
    quota: int | None = None


@dataclass
class Outbox:
    """The channels that this stage can send on, in the order in which they take turns; `storage`
    may be None where no document is ever attached. `reserve`: the share of each quota, 0 to 1, that
    marketing leaves alone. `proofs`: where to look for those of uncertain messages. `mark`: what is
    kept outside of the database, so that a copy of it sends nothing twice; None: nowhere. `alert`:
    plans what tells the operator of messages (`attention`). `counts`: outcomes by state, added up.
    """

    engine: Engine
    channels: Mapping[str, Channel]
    storage: Storage | None
    reserve: float = 0.2
    proofs: Sequence[ProofSource] = ()
    mark: MarkStore | None = None
    alert: Callable[[Connection], None] | None = None
    counts: Counter[str] = field(default_factory=Counter)
