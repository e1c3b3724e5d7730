"""Raw e-mails and attachments in the store, each under the hash of its content.

What is written twice is the same, so that a process that dies leaves at most a file that nobody
refers to.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from chalicelib.providers.storage.folder import FolderStorage
from chalicelib.providers.storage.port import Storage

# Each write to S3 is a call of some 30 ms; urllib3's pool has ten connections.
WRITERS = 10


class Copies:
    """Writes side by side; its threads start with the first write and end with the block. Raises
    `ProviderError` when the store cannot be written to."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        # A file of this machine is written before another thread could be told to.
        self._at_once = isinstance(storage, FolderStorage)
        self._pool = ThreadPoolExecutor(WRITERS, thread_name_prefix="copies")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True)

    def write(self, contents: Mapping[str, bytes]) -> None:
        """All of them by key, or it raises."""
        if self._at_once:
            for key, content in contents.items():
                self._storage.write(key, content)
            return
        list(self._pool.map(lambda one: self._storage.write(*one), contents.items()))

    def write_file(self, key: str, path: Path) -> None:
        self._storage.write_file(key, path)

    def read(self, key: str, *, max_bytes: int) -> bytes:
        """See `Storage.read`."""
        return self._storage.read(key, max_bytes=max_bytes)
