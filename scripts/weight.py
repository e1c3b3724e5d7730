"""What weighs how much in a package, by distribution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile


@dataclass(frozen=True)
class Weight:
    """Bytes inside the zip, and once unzipped."""

    name: str
    zipped: int
    unzipped: int

    def __str__(self) -> str:
        return f"{self.name:<28}{self.zipped / 1e6:>8.2f} MB{self.unzipped / 1e6:>9.2f} MB unzipped"


def weigh(app: Path, layer: Path) -> list[Weight]:
    """The heaviest first. Our own code is `app`; a distribution is told by its RECORD."""
    zipped, unzipped = Counter[str](), Counter[str]()
    with ZipFile(layer) as archive:
        owners = _owners(archive)
        for file in archive.infolist():
            name = owners.get(file.filename, "(unowned)")
            zipped[name] += file.compress_size
            unzipped[name] += file.file_size
        overhead = layer.stat().st_size - sum(file.compress_size for file in archive.infolist())
    zipped["(zip directory)"] += overhead
    with ZipFile(app) as archive:
        zipped["app"] = app.stat().st_size
        unzipped["app"] = sum(file.file_size for file in archive.infolist())
    return [Weight(name, size, unzipped[name]) for name, size in zipped.most_common()]


def total(weights: Iterable[Weight]) -> Weight:
    weights = list(weights)
    return Weight(
        "total",
        sum(weight.zipped for weight in weights),
        sum(weight.unzipped for weight in weights),
    )


def _owners(archive: ZipFile) -> dict[str, str]:
    """File → distribution, from each `*.dist-info/RECORD` (a CSV of paths beside that folder)."""
    owners = {}
    for record in archive.namelist():
        if not record.endswith(".dist-info/RECORD"):
            continue
        folder, _, information = record.removesuffix("/RECORD").rpartition("/")
        name = information.removesuffix(".dist-info").rpartition("-")[0]
        for line in archive.read(record).decode().splitlines():
            owners[f"{folder}/{line.rpartition(',')[0].rpartition(',')[0]}"] = name
    return owners
