"""What a WhatsApp sandbox has received: `journal.jsonl`, one line per message that was offered.

Each line is written by a single append, so that other processes can read the file while it grows,
and count doubles after kills.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Entry:
    """One line. `outcome` is `accepted`, `dropped` (answered as accepted, never delivered), or the
    fault or error number for which the message was not taken. `fault` is set as well on a message
    that was accepted and then badly answered. `reference` is ours, as it came along; `at` is
    in ISO 8601, UTC."""

    outcome: str
    provider_id: str
    reference: str
    sender: str
    recipient: str
    text: str
    template: str
    variables: dict[str, str]
    at: str
    fault: str = ""
    callback_url: str = field(default="")


class Journal:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / JOURNAL

    def add(self, entry: Entry) -> None:
        """Raises `OSError` when the disk is full: the message is then not accepted."""
        line = json.dumps(asdict(entry), ensure_ascii=False).encode() + b"\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)


def read_journal(folder: Path) -> list[Entry]:
    """All whole lines so far, oldest first."""
    try:
        text = (folder / JOURNAL).read_text()
    except FileNotFoundError:
        return []
    lines = text.split("\n")[:-1]  # not splitlines: a text may hold U+2028
    return [Entry(**json.loads(line)) for line in lines]


def deliveries(folder: Path) -> Counter[tuple[str, str]]:
    """How often each (reference, recipient) was accepted: more than once is a double."""
    return Counter(
        (entry.reference, entry.recipient)
        for entry in read_journal(folder)
        if entry.outcome == "accepted"
    )
