"""The ledger's mark: which database sends for this stage, and how many claims it has made.

It is kept outside of the database, so that a copy which lags behind can be told from the original.
It only ever rises; several processes write it at once.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import UUID

from chalicelib import ssm
from chalicelib.errors import SettingsError

# More writers than that at the same moment are not this application's.
TRIES = 10
# The code of the error about a mark that is there and is none.
UNREADABLE = "ledger_mark_unreadable"


@dataclass(frozen=True)
class Mark:
    """`claims`: how many that deployment's database had made."""

    deployment: UUID
    claims: int


class MarkStore(Protocol):
    """Every method raises `SettingsError` when the store cannot be reached or read."""

    where: str
    """What an operator would look for."""

    def read(self) -> Mark | None: ...

    def raise_to(self, mark: Mark) -> Mark:
        """Keeps the higher of the two; the mark of another deployment stays as it is. Returns what
        is kept: once this has returned, it is never lower than that."""
        ...

    def replace(self, mark: Mark) -> None:
        """For an operator who has accepted another database."""
        ...


def open_mark_store(stage: str, file: str | None) -> MarkStore | None:
    """The store of this stage; nothing is read yet. None on `local` without a file: a machine's own
    database is not guarded."""
    if stage != "local":
        return ParameterMark(stage)
    return FileMark(Path(file)) if file else None


def parameter_of(stage: str) -> str:
    """Below the path of the settings, which are read without what is further down."""
    return f"/ponctuel/{stage}/ledger/mark"


class ParameterMark:
    """In SSM Parameter Store, which knows no conditional write. Each write tells its version, so
    that a process sees when another one wrote between its own reading and writing."""

    def __init__(self, stage: str) -> None:
        self.where = parameter_of(stage)

    def read(self) -> Mark | None:
        """See `MarkStore.read`."""
        return self._get()[0]

    def raise_to(self, mark: Mark) -> Mark:
        """See `MarkStore.raise_to`."""
        kept, version = self._get()
        if kept is not None and _stands(kept, mark):
            return kept
        for _ in range(TRIES):
            written = ssm.put(self.where, _text(mark))
            others = [self._get(number)[0] for number in range(version + 1, written)]
            hidden = [other for other in others if other is not None and _stands(other, mark)]
            if not hidden:
                return mark
            # Overwritten unseen, and put back.
            foreign = [other for other in hidden if other.deployment != mark.deployment]
            mark = foreign[-1] if foreign else max(hidden, key=lambda other: other.claims)
            version = written
        raise SettingsError(f"{self.where} change sans cesse : qui d'autre l'écrit ?")

    def replace(self, mark: Mark) -> None:
        """See `MarkStore.replace`."""
        ssm.put(self.where, _text(mark))

    def _get(self, version: int | None = None) -> tuple[Mark | None, int]:
        found = ssm.get(self.where, version)
        return (None, 0) if found is None else (_mark(self.where, found[0]), found[1])


class FileMark:
    """In a file of this machine, for a worker on the `local` stage."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._path = path

    def read(self) -> Mark | None:
        """See `MarkStore.read`."""
        with self._told_in_french():
            try:
                text = self._path.read_text("utf-8")
            except FileNotFoundError:
                return None
        return _mark(self.where, text)

    def raise_to(self, mark: Mark) -> Mark:
        """See `MarkStore.raise_to`."""
        with self._locked():
            kept = self.read()
            if kept is not None and _stands(kept, mark):
                return kept
            self._write(mark)
            return mark

    def replace(self, mark: Mark) -> None:
        """See `MarkStore.replace`."""
        with self._locked():
            self._write(mark)

    def _write(self, mark: Mark) -> None:
        """Whole or not at all, and on the disk when it returns."""
        part = self._path.with_name(f"{self._path.name}.part")
        with self._told_in_french():
            with part.open("w", encoding="utf-8") as file:
                file.write(_text(mark))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        import fcntl

        with self._told_in_french():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = self._path.with_name(f"{self._path.name}.lock").open("w")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _told_in_french(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SettingsError(
                f"Le fichier {self.where} (LEDGER_MARK_FILE) ne peut pas être lu ou écrit "
                f"({type(error).__name__})."
            ) from error


def _stands(kept: Mark, mark: Mark) -> bool:
    return kept.deployment != mark.deployment or kept.claims >= mark.claims


def _text(mark: Mark) -> str:
    return json.dumps({"deployment": str(mark.deployment), "claims": mark.claims})


def _mark(where: str, text: str) -> Mark:
    try:
        found = json.loads(text)
        return Mark(UUID(found["deployment"]), int(found["claims"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SettingsError(
            f"{where} ne contient pas la marque d'un registre : `./ponctuel ledger reconcile` en "
            "écrit une nouvelle.",
            code=UNREADABLE,
        ) from None
