"""Which e-mails are one conversation: a pure function of who answers whom.

An e-mail answers one other, so no list of references, however long, brings two conversations
together. Several that have one Message-ID are copies of one another; when there are too many of
them the id tells nothing, and nobody answers it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# An alias here, a list there: more copies than that, and the sender gives all mails one id.
MOST_COPIES = 5
# A conversation that is full goes on as another one.
MOST_IN_THREAD = 1_000


@dataclass(frozen=True)
class Node:
    """An e-mail. `message_id`: None when it is not its sender's."""

    id: int
    message_id: str | None
    parent_id: int | None


def parent(cited: Iterable[str], holders: Mapping[str, Sequence[int]]) -> int | None:
    """The e-mail that is answered: the first cited that is there. `holders`: the e-mails that have
    an id; of more than `MOST_COPIES` it is enough to name one more."""
    for message_id in cited:
        found = holders.get(message_id, ())
        if 0 < len(found) <= MOST_COPIES:
            return min(found)
    return None


def threads(nodes: Iterable[Node], holders: Mapping[str, Sequence[int]]) -> dict[int, int]:
    """The id of each e-mail → that of the first of its thread. `holders` has the ids of which
    there may be copies."""
    known = {node.id: node for node in nodes}
    roots = _Roots(known)
    for node in sorted(known.values(), key=lambda node: node.id):
        if node.parent_id in known:
            roots.join(node.id, node.parent_id)
    for found in holders.values():
        copies = sorted(set(found) & known.keys()) if len(found) <= MOST_COPIES else []
        for copy in copies[1:]:
            roots.join(copies[0], copy)
    return {id: roots.of(id) for id in known}


class _Roots:
    """Disjoint sets; the root of each is its smallest id."""

    def __init__(self, ids: Iterable[int]) -> None:
        self._above = {id: id for id in ids}
        self._size = dict.fromkeys(self._above, 1)

    def of(self, id: int) -> int:
        root = id
        while self._above[root] != root:
            root = self._above[root]
        while self._above[id] != root:
            self._above[id], id = root, self._above[id]
        return root

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.of(one), self.of(other)))
        if low == high or self._size[low] + self._size[high] > MOST_IN_THREAD:
            return
        self._above[high] = low
        self._size[low] += self._size[high]
