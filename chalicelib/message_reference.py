"""How a provider names a message of ours back to us: `3f2a91bc-1042`, deployment and message id.

Stages may share a provider's account, and then each hears of the other's messages, whose ids are
the same small numbers; so the deployment's own id goes with them.
"""

from __future__ import annotations

import re
from uuid import UUID

_REFERENCE = re.compile(r"([0-9a-f]{8})-([0-9]{1,18})")


def reference(deployment: UUID, number: int) -> str:
    """The reference of the message `number` of that deployment: letters, digits and a hyphen, as
    every provider takes them."""
    return f"{deployment.hex[:8]}-{number}"


def known(text: object) -> str | None:
    """`text` if it has the form of a reference, else None."""
    return text if isinstance(text, str) and _REFERENCE.fullmatch(text) else None


def number_of(reference: str | None, deployment: UUID) -> int | None:
    """The message id, None for no reference, or for that of another deployment."""
    found = _REFERENCE.fullmatch(reference or "")
    return int(found[2]) if found and found[1] == deployment.hex[:8] else None
