"""Where documents are kept: S3 on AWS, a folder locally.

Keys look like `B1/factures/F-1042.pdf`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Storage(Protocol):
    """`concurrency`: so many writes side by side are sooner done than one after the other."""

    concurrency: int

    def read(self, key: str, *, max_bytes: int) -> bytes:
        """The document's bytes. Raises `AttachmentUnavailable` when there is no such document, when
        it is larger than `max_bytes`, or when the key leaves the store; `ProviderError` (transient)
        when the store cannot be reached."""
        ...

    def write(self, key: str, content: bytes) -> None:
        """Keeps the document under this key, whole or not at all; an earlier one is replaced.
        Raises `AttachmentUnavailable` when the key leaves the store, `ProviderError` (transient)
        when the store cannot be written to."""
        ...

    def write_file(self, key: str, path: Path) -> None:
        """As `write`, from a file on this machine, whose bytes are never all in memory. It is at
        most 5 GB (S3's limit for one request). Raises `OSError` when the file cannot be read."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is a document under this key. Raises as `write`."""
        ...

    def keys(self, folder: str) -> list[str]:
        """The keys of all documents in a folder and in those below it, sorted. Raises as `write`;
        a folder that is not there has none."""
        ...

    def delete(self, key: str) -> None:
        """There is no document under this key any more, whether there was one or not. Raises as
        `write`."""
        ...
