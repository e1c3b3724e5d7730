"""What the SMTP sandbox has received: one .eml per accepted message, and one journal.

The journal is `journal.jsonl`: one line per message that was offered, each written by a single
append, so that other processes can read it while it grows, and count doubles after kills.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

JOURNAL = "journal.jsonl"
_MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """One line. `outcome` is `accepted`, or the fault or reason for which the message was not.
    `fault` is set as well on a message that was accepted and then badly answered."""

    outcome: str
    message_id: str
    sender: str
    recipients: tuple[str, ...]
    bytes: int
    file: str = ""
    fault: str = ""


class Journal:
    """Raises `OSError` when the disk is full: the message is then not accepted."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._sequence = max((_sequence(path) for path in folder.glob("*.eml")), default=0)

    def accept(
        self, sender: str, recipients: Sequence[str], content: bytes, fault: str = ""
    ) -> Entry:
        """Keeps the message, then its line: what is in the journal was accepted."""
        path = self._keep(recipients, content)
        entry = Entry(
            "accepted",
            message_id_of(content),
            sender,
            tuple(recipients),
            len(content),
            path.name,
            fault,
        )
        try:
            self._append(entry)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return entry

    def refuse(
        self, outcome: str, sender: str, recipients: Sequence[str], content: bytes = b""
    ) -> None:
        """Notes a message that was not accepted, if the disk allows."""
        entry = Entry(outcome, message_id_of(content), sender, tuple(recipients), len(content))
        with contextlib.suppress(OSError):
            self._append(entry)

    def _keep(self, recipients: Sequence[str], content: bytes) -> Path:
        slug = re.sub(r"[^a-z0-9]+", "-", recipients[0].lower()).strip("-")[:60]
        while True:
            self._sequence += 1
            path = self._folder / f"{self._sequence:06d}-{slug}.eml"
            try:
                with path.open("xb") as file:
                    try:
                        file.write(content)
                        file.flush()
                    except OSError:
                        path.unlink(missing_ok=True)
                        raise
            except FileExistsError:
                continue  # another server on the same folder took that number
            return path

    def _append(self, entry: Entry) -> None:
        line = json.dumps(asdict(entry), ensure_ascii=False).encode() + b"\n"
        descriptor = os.open(self._folder / JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            written = os.write(descriptor, line)
            if written < len(line):  # the disk filled up in the middle: no half lines
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)


def read_journal(folder: Path) -> list[Entry]:
    """All whole lines so far, oldest first."""
    try:
        text = (folder / JOURNAL).read_text()
    except FileNotFoundError:
        return []
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [Entry(**{**line, "recipients": tuple(line["recipients"])}) for line in lines]


def deliveries(folder: Path) -> Counter[tuple[str, str]]:
    """How often each (Message-ID, recipient) was accepted: more than once is a double."""
    return Counter(
        (entry.message_id, recipient)
        for entry in read_journal(folder)
        if entry.outcome == "accepted"
        for recipient in entry.recipients
    )


def message_id_of(content: bytes) -> str:
    found = _MESSAGE_ID.search(content.partition(b"\r\n\r\n")[0])
    return found[1].decode("ascii", "replace") if found else ""


def _sequence(path: Path) -> int:
    number = path.name.partition("-")[0]
    return int(number) if number.isdigit() else 0
