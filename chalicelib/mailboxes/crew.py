"""How many mailboxes are read at a time, and which come next. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chalicelib.mailboxes.lease import Candidate

# Mailboxes are taken so many at a time: one that kills the process leaves as many under suspicion.
GROUP = 16


@dataclass(frozen=True)
class Crew:
    """How many mailboxes are read at a time: of all, and of one host; `hosts` are exceptions."""

    overall: int = 8
    per_host: int = 4
    hosts: Mapping[str, int] = field(default_factory=lambda: {"imap.gmail.com": 8})

    def at(self, host: str) -> int:
        return self.hosts.get(host.lower(), self.per_host)

    def group(self, queue: Iterable[Candidate], occupied: Counter[str]) -> list[Candidate]:
        """Those to be taken next, if there is room for one of them: those for which there is room,
        and then the others in their order. `occupied`: by host, mailboxes that are being read or
        about to be."""
        promised = Counter(occupied)
        fit: list[Candidate] = []
        rest: list[Candidate] = []
        for one in queue:
            if promised[one.host] < self.at(one.host):
                promised[one.host] += 1
                fit.append(one)
            else:
                rest.append(one)
        return [*fit, *rest][:GROUP] if fit else []
