"""How much of a foreign e-mail is looked at: everything past a limit is cut, with a fault."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes of what came, except `text`, `html` and `snippet`: characters of what is kept.

    The largest real headers (ARC, DKIM, 1,000 recipients) stay below 200 kB, and Gmail shows 102 kB
    of HTML; these leave room for the clumsy and none for the malicious. An e-mail of more than
    `message` is read up to there; the sync keeps such ones as stubs and asks for the header only.
    """

    message: int = 32_000_000
    header: int = 2_000_000
    field: int = 100_000
    depth: int = 30  # multiparts inside each other
    parts: int = 500
    text: int = 500_000
    html: int = 1_000_000
    snippet: int = 300
    attachment: int = 25_000_000
    parties: int = 1000
    references: int = 100


DEFAULT = Limits()
