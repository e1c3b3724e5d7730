"""mbsync (Debian's isync): a reader of IMAP mailboxes that we did not write, to compare with.

with tempfile.TemporaryDirectory() as folder:
    mirror = Mirror(Path(folder), dovecot.port, "compta", PASSWORD)
    mirror.pull()
    for copy in mirror.copies(): …
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imapclient.imap_utf7 import decode

_BINARY = shutil.which("mbsync")
# A header that it gives to what it stores, to find it again, and leaves there.
_MARK = re.compile(rb"^X-TUID: [\w+/]{12}\n", re.MULTILINE)
_FLAGS = {"S": "\\Seen", "F": "\\Flagged", "R": "\\Answered", "D": "\\Draft", "T": "\\Deleted"}
# Flags that a maildir can show; it has no place for keywords.
FLAGS = frozenset(_FLAGS.values())


def absent() -> str:
    """Why it cannot be used here; empty when it can."""
    return "" if _BINARY else "mbsync is not installed (Debian: isync)"


@dataclass(frozen=True)
class Copy:
    """A message as the mirror has it: its lines end in LF, whatever they ended in."""

    folder: str
    content: bytes
    flags: tuple[str, ...]


class Mirror:
    """A mailbox of a server on the loopback, copied into maildirs below `folder`. `but`: folders
    that are left alone. `fsync`: whether it waits for the disk after each message, as it does
    unless told otherwise."""

    def __init__(
        self,
        folder: Path,
        port: int,
        user: str,
        password: str,
        *,
        but: Sequence[str] = (),
        fsync: bool = True,
    ) -> None:
        self._mail = folder / "mail"
        self._mail.mkdir(parents=True)
        self._settings = folder / "mbsyncrc"
        patterns = " ".join(["*", *(f"!{name}" for name in but)])
        self._settings.write_text(
            f"""
FSync {"yes" if fsync else "no"}

IMAPAccount server
Host 127.0.0.1
Port {port}
User {user}
Pass "{password}"
SSLType None
AuthMechs PLAIN LOGIN

IMAPStore far
Account server

MaildirStore near
Path "{self._mail}/"
Inbox "{self._mail}/INBOX"
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns {patterns}
Create Near
Sync Pull
SyncState *
"""
        )

    def pull(self) -> None:
        """Copies what is new. Raises `RuntimeError` when it fails."""
        done = subprocess.run(self.command(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"mbsync: {done.stdout[-1000:]}{done.stderr[-1000:]}")

    def command(self) -> list[str]:
        """What `pull` runs."""
        assert _BINARY is not None, absent()
        return [_BINARY, "-q", "-c", os.fspath(self._settings), "-a"]

    def copies(self) -> Iterator[Copy]:
        """All that it holds."""
        for path in self._mail.rglob("*"):
            if path.parent.name not in ("cur", "new") or not path.is_file():
                continue
            folder = path.parent.parent.relative_to(self._mail).as_posix()
            letters = path.name.rpartition(":2,")[2]
            yield Copy(
                decode(folder.encode()),
                _MARK.sub(b"", path.read_bytes(), count=1),
                tuple(sorted(_FLAGS[letter] for letter in letters)),
            )
