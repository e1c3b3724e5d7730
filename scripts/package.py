"""`make package STAGE=dev`: builds what would be deployed, weighs it and refuses what would fail.

Chalice zips whatever lies in chalicelib, and ends with code 0 when a dependency has no wheel for
Lambda. So it works on a clean copy here, and what it built is compared with requirements.txt.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

from chalicelib.errors import PonctuelError, SettingsError
from chalicelib.settings import SCHEDULE, ZONE, rows
from scripts import config
from scripts.weight import Weight, total, weigh

ROOT = Path(__file__).parent.parent
OUTPUT = ROOT / "build" / "package"
APP_ZIP, LAYER_ZIP = "deployment.zip", "layer-deployment.zip"
# Lambda takes 50 MB of zip from a direct upload and 250 MB unzipped, layers included:
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_ZIPPED = 45_000_000
MAX_UNZIPPED = 200_000_000
# A file of another sort was left there by mistake, or needs to be thought about.
SHIPPED_SUFFIXES = {".css", ".html", ".jinja", ".json", ".pem", ".py", ".txt"}
# Chalice has no __main__.
CHALICE = (sys.executable, "-c", "from chalice.cli import main; raise SystemExit(main())")
_NO_WHEEL = "Could not install dependencies"


class PackagingError(PonctuelError):
    """The package would not work in Lambda, or not be what the commit says."""

    code = "packaging"


def export(target: Path, source: Path = ROOT) -> list[str]:
    """Copies what Chalice needs to `target`, without what Python leaves behind, and returns the
    names of the files that will ship. Raises `PackagingError` for a file that should not."""
    if not (source / "app.py").is_file():
        raise PackagingError(f"Il n'y a pas de app.py dans {source}.")
    files = [source / "app.py", *sorted(_files(source / "chalicelib"))]
    strays = [path for path in files if path.is_symlink() or path.suffix not in SHIPPED_SUFFIXES]
    if strays:
        names = ", ".join(str(path.relative_to(source)) for path in strays)
        raise PackagingError(
            f"Ces fichiers partiraient dans le paquet : {names}. Retirez-les, ou ajoutez leur "
            "extension à SHIPPED_SUFFIXES (scripts/package.py) s'ils doivent y être."
        )
    configuration = [source / ".chalice" / name for name in ("config.json",)]
    configuration += sorted((source / ".chalice").glob("policy-*.json"))
    for path in [*files, *configuration, source / "requirements.txt"]:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return [str(path.relative_to(source)) for path in files]


def _files(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if (path.is_file() or path.is_symlink()) and "__pycache__" not in path.parts
    ]


def build(stage: str, output: Path, source: Path = ROOT) -> str:
    """Runs `chalice package` for the stage on a clean copy and leaves its files in `output`; what
    Chalice printed is returned. Needs a network (pip). Raises `PackagingError`."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        export(project, source)
        return build_from(project, stage, output)


def build_from(project: Path, stage: str, output: Path) -> str:
    """`build`, from the clean copy `project`. Chalice keeps the zips there and deploys those same
    ones. Raises `PackagingError`."""
    shutil.rmtree(output, ignore_errors=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(  # noqa: S603  our own interpreter and arguments
        [*CHALICE, "package", "--stage", stage, str(output.resolve())],
        cwd=project,
        env=environment(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0 or _NO_WHEEL in done.stdout:
        raise PackagingError(
            "`chalice package` a échoué. Une dépendance sans wheel pour Lambda se remplace ou se "
            f"fixe à une version qui en a une :\n{done.stdout}"
        )
    return done.stdout


def environment(here: Mapping[str, str]) -> dict[str, str]:
    """The variables to run Chalice with: none of this terminal's settings. Chalice adds the stage's
    own from config.json before it asks for the rules, which depend on them."""
    names = {row.name for row in rows()}
    prefixes = tuple(row.name.removesuffix("<JOB>") for row in (SCHEDULE, ZONE))
    kept = {
        name: value
        for name, value in here.items()
        if name not in names and not name.startswith(prefixes)
    }
    # Chalice asks for a region although it calls nothing; any will do.
    defaults = {"AWS_DEFAULT_REGION": "eu-west-3"}
    return defaults | kept | {"PYTHONDONTWRITEBYTECODE": "1"}


def check(output: Path, requirements: Path = ROOT / "requirements.txt") -> list[Weight]:
    """The weights of what `build` left in `output`. Raises `PackagingError` when a distribution is
    missing or has another version than requirements.txt pins, or when it is all too heavy."""
    packed = distributions(output / LAYER_ZIP)
    pinned = pins(requirements.read_text(encoding="utf-8"))
    if packed != pinned:
        differing = sorted(dict(packed.items() ^ pinned.items()))
        raise PackagingError(
            f"Le paquet et requirements.txt diffèrent : {', '.join(differing)}. "
            "Une dépendance sans wheel manque, ou une dépendance indirecte n'est pas fixée."
        )
    weights = weigh(output / APP_ZIP, output / LAYER_ZIP)
    whole = total(weights)
    if whole.zipped > MAX_ZIPPED or whole.unzipped > MAX_UNZIPPED:
        raise PackagingError(
            f"Le paquet est trop lourd : {whole.zipped / 1e6:.1f} Mo compressés (au plus "
            f"{MAX_ZIPPED / 1e6:.0f}), {whole.unzipped / 1e6:.1f} Mo décompressés (au plus "
            f"{MAX_UNZIPPED / 1e6:.0f})."
        )
    return weights


def distributions(layer: Path) -> dict[str, str]:
    """Name → version of the distributions in a layer."""
    with ZipFile(layer) as archive:
        found = (re.search(r"/([^/]+)-([^/-]+)\.dist-info/", name) for name in archive.namelist())
        return {normalised(match[1]): match[2] for match in found if match}


def pins(requirements: str) -> dict[str, str]:
    """Name → version of each `name==version` line."""
    lines = (line.partition("#")[0].strip() for line in requirements.splitlines())
    return {
        normalised(name): version
        for name, _, version in (line.partition("==") for line in lines if line)
    }


def normalised(name: str) -> str:
    """https://packaging.python.org/en/latest/specifications/name-normalization/"""
    return re.sub(r"[-_.]+", "-", name).lower()


def main(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "dev"
    try:
        known = [stage.name for stage in config.load()]
        if name not in known:
            raise SettingsError(f"Pas d'étape {name} ; il y a : {', '.join(known)}.")
        if changed := config.outdated():
            raise PackagingError(f"Lancez `make config` : {', '.join(changed)} n'est plus à jour.")
        output = OUTPUT / name
        build(name, output)
        weights = check(output)
    except PonctuelError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for weight in [*weights, total(weights)]:
        sys.stdout.write(f"{weight}\n")
    sys.stdout.write(f"{output.relative_to(ROOT)}: ready for stage {name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
