"""Documents in a folder of this machine."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from chalicelib.errors import AttachmentUnavailable, ProviderError
from chalicelib.providers.storage.keys import checked, missing, too_large

_NO_SUCH_DOCUMENT = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO}
)
_UNFINISHED = ".part"
_PIECE = 1_000_000  # bytes of a file that are in memory at a time


class FolderStorage:
    """Everything stays below `root`, symbolic links included. `root` has to exist: a volume that is
    not mounted is a store that cannot be reached, not a store without documents."""

    concurrency = 1

    def __init__(self, root: Path) -> None:
        self._root = root
        # Where folders of keys are that this process has written to: to follow the links of each
        # path anew takes longer than to write it.
        self._folders: dict[str, str] = {}

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
        self._keep(key, lambda: (content,))

    def write_file(self, key: str, path: Path) -> None:
        """See `Storage.write_file`."""
        with path.open("rb") as file:
            self._keep(key, lambda: _pieces(file))

    def exists(self, key: str) -> bool:
        """See `Storage.exists`."""
        try:
            return stat.S_ISREG(self._path(key).stat().st_mode)
        except OSError as error:
            if error.errno in _NO_SUCH_DOCUMENT:
                return False
            raise _unreachable() from error

    def keys(self, folder: str) -> list[str]:
        """See `Storage.keys`. Links to other folders are not followed, half-written documents left
        out."""
        top = self._path(folder)
        found = []

        def stop(error: OSError) -> None:
            if error.errno not in _NO_SUCH_DOCUMENT:
                raise _unreachable() from error

        for below, _folders, names in os.walk(top, onerror=stop):
            place = Path(below).relative_to(top)
            found += [
                f"{folder}/{place / name}" for name in names if not name.endswith(_UNFINISHED)
            ]
        return sorted(found)

    def delete(self, key: str) -> None:
        """See `Storage.delete`. Of a link, what it leads to is deleted. Folders stay, empty or not:
        another process may be about to write into them."""
        if not self.exists(key):
            return
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise _unreachable() from error

    def _keep(self, key: str, content: Callable[[], Iterable[bytes]]) -> None:
        folder, _, name = checked(key).rpartition("/")
        known = self._folders.get(folder)
        try:
            # Somebody may have taken the folder away.
            if known is not None and not os.path.islink(f"{known}/{name}"):  # noqa: PTH114
                with contextlib.suppress(FileNotFoundError):
                    _put(known, name, content())
                    return
            path = self._path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            _put(str(path.parent), path.name, content())
            if folder:
                self._folders[folder] = str(self._path(folder))
        except OSError as error:
            raise _unreachable() from error

    def _path(self, key: str) -> Path:
        """Where the key leads once every link is followed. Raises `AttachmentUnavailable` when that
        is outside."""
        try:
            root = self._root.resolve(strict=True)
        except OSError as error:
            raise _unreachable() from error
        try:
            path = (root / checked(key)).resolve()
        except (OSError, RuntimeError):  # RuntimeError: links in a circle, before Python 3.13
            raise missing(key) from None
        if not path.is_relative_to(root) or path == root:
            raise AttachmentUnavailable(
                "Le document est un lien vers l’extérieur du dossier : déposez-y une copie."
            )
        return path


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE):
        yield piece


def _put(folder: str, name: str, content: Iterable[bytes]) -> None:
    """The whole of it or nothing appears under the name. Plain calls of the system: a first sync
    keeps thousands of files, and `pathlib` takes longer than they do."""
    part = f"{folder}/.{os.getpid()}.{os.urandom(6).hex()}{_UNFINISHED}"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            for piece in content:
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)
        os.rename(part, f"{folder}/{name}")  # noqa: PTH104
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)  # noqa: PTH108
        raise


def _unreachable() -> ProviderError:
    message = "Le dossier des documents est inaccessible : vérifiez qu’il existe et ses droits."
    return ProviderError("folder", message, permanent=False, code="connection")
