"""Documents in a folder of this machine."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from chalicelib.errors import AttachmentUnavailable, ProviderError
from chalicelib.providers.storage.keys import checked, missing, too_large

_NO_SUCH_DOCUMENT = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO}
)
_PIECE = 1_000_000  # bytes of a file that are in memory at a time


class FolderStorage:
    """Everything stays below `root`, symbolic links included. `root` has to exist: a volume that is
    not mounted is a store that cannot be reached, not a store without documents."""

    concurrency = 1

    def __init__(self, root: Path) -> None:
        self._root = root
        # What it is on the disk, and its path without links.
        self._known: tuple[tuple[int, int], Path] | None = None

    def read(self, key: str, *, max_bytes: int) -> bytes:
        """See `Storage.read`."""
        path = self._path(key)
        try:
            # Without O_NONBLOCK, opening a named pipe would wait for its other end.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise missing(key)
                content = b"" if status.st_size > max_bytes else file.read(max_bytes + 1)
        except OSError as error:
            if error.errno in _NO_SUCH_DOCUMENT:
                raise missing(key) from None
            raise _unreachable() from error
        if status.st_size > max_bytes or len(content) > max_bytes:
            raise too_large(key, max_bytes)
        return content

    def write(self, key: str, content: bytes) -> None:
        """See `Storage.write`."""
        self._keep(key, BytesIO(content))

    def write_file(self, key: str, path: Path) -> None:
        """See `Storage.write_file`."""
        with path.open("rb") as file:
            self._keep(key, file)

    def exists(self, key: str) -> bool:
        """See `Storage.exists`."""
        try:
            return stat.S_ISREG(self._path(key).stat().st_mode)
        except OSError as error:
            if error.errno in _NO_SUCH_DOCUMENT:
                return False
            raise _unreachable() from error

    def delete(self, key: str) -> None:
        """See `Storage.delete`. Of a link, what it leads to is deleted. Folders stay, empty or not:
        another process may be about to write into them."""
        if not self.exists(key):
            return
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise _unreachable() from error

    def _keep(self, key: str, content: BinaryIO) -> None:
        path = self._path(key)
        part = path.with_name(f".{os.getpid()}.{os.urandom(6).hex()}.part")
        try:
            # Each call to the system counts: a first synchronisation writes 20,000 e-mails.
            try:
                file = part.open("wb")
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                file = part.open("wb")
            try:
                with file:
                    shutil.copyfileobj(content, file, _PIECE)
                part.replace(path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise _unreachable() from error

    def _path(self, key: str) -> Path:
        """Where the key leads once every link is followed. Raises `AttachmentUnavailable` when that
        is outside."""
        try:
            root = self._real_root()
        except OSError as error:
            raise _unreachable() from error
        place = f"{root}/{checked(key)}"
        if not _has_link(str(root), key):
            return Path(place)
        try:
            path = Path(place).resolve()
        except (OSError, RuntimeError):  # RuntimeError: links in a circle, before Python 3.13
            raise missing(key) from None
        if not path.is_relative_to(root) or path == root:
            raise AttachmentUnavailable(
                "Le document est un lien vers l’extérieur du dossier : déposez-y une copie."
            )
        return path

    def _real_root(self) -> Path:
        """Raises `OSError` when it does not exist."""
        status = self._root.stat()
        found = (status.st_dev, status.st_ino)
        if self._known is None or self._known[0] != found:
            self._known = (found, self._root.resolve(strict=True))
        return self._known[1]


def _has_link(root: str, key: str) -> bool:
    """Whether a link is on the way; what does not exist yet has none."""
    place = root
    for name in key.split("/"):
        place = f"{place}/{name}"
        try:
            if stat.S_ISLNK(os.lstat(place).st_mode):
                return True
        except OSError:
            return False
    return False


def _unreachable() -> ProviderError:
    message = "Le dossier des documents est inaccessible : vérifiez qu’il existe et ses droits."
    return ProviderError("folder", message, permanent=False, code="connection")
