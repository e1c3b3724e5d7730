"""Cold import of a job's handler and of the API, against what any such handler imports.

Each import has a fresh interpreter that sees one folder: the source with what is installed, or the
unzipped package if `make package` has built one. Without bytecode: Lambda's folders are read-only,
and a cold start compiles. In turns, so that a slower moment of the machine is everybody's.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

from bench.measure import Measure
from scripts.package import APP_ZIP, LAYER_ZIP, OUTPUT, ROOT

FLOOR = "chalice, sqlalchemy.orm, pg8000"
JOB, API = "chalicelib.jobs.followups", "app"
JOB_GOAL, API_GOAL = 1.15, 1.5

# -S leaves out site-packages: only what is on `path` is there.
_IMPORT = """
import json, sys, time
sys.path[:0] = json.loads(sys.argv[1])
start = time.perf_counter()
for name in sys.argv[2].split(", "):
    __import__(name)
print(time.perf_counter() - start)
"""


def measure(*, quick: bool) -> Iterator[Measure]:
    """Ratios of the medians' rounds: job to floor, API to job."""
    rounds = 3 if quick else 11
    took: dict[str, list[float]] = {FLOOR: [], JOB: [], API: []}
    with folders() as (path, what):
        for _ in range(rounds):
            for modules, times in took.items():
                times.append(seconds_to_import(modules, path))
    milliseconds = {
        name: f"{statistics.median(times) * 1000:.0f} ms" for name, times in took.items()
    }
    yield Measure(
        f"cold import of a job's handler / of {FLOOR}",
        [job / floor for floor, job in zip(took[FLOOR], took[JOB], strict=True)],
        "×",
        None if quick else JOB_GOAL,
        f"{milliseconds[JOB]} / {milliseconds[FLOOR]}, {what}",
    )
    yield Measure(
        "cold import of the API / of a job's handler",
        [api / job for job, api in zip(took[JOB], took[API], strict=True)],
        "×",
        None if quick else API_GOAL,
        f"{milliseconds[API]} / {milliseconds[JOB]}, {what}",
    )


def seconds_to_import(modules: str, path: Sequence[Path]) -> float:
    """In a fresh interpreter, the interpreter's own start not counted."""
    folders = json.dumps([str(folder) for folder in path])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", _IMPORT, folders, modules],
        env={"PYTHONPYCACHEPREFIX": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


@contextmanager
def folders() -> Iterator[tuple[list[Path], str]]:
    """Where to import from, and its name: the package if there is one, else the source."""
    with tempfile.TemporaryDirectory() as folder:
        built = next(
            (stage for stage in sorted(OUTPUT.glob("*")) if (stage / APP_ZIP).exists()), None
        )
        if built is None:
            yield _source(Path(folder)), "from the source"
            return
        for archive in (APP_ZIP, LAYER_ZIP):
            with ZipFile(built / archive) as file:
                file.extractall(Path(folder) / archive)
        layer = next((Path(folder) / LAYER_ZIP).glob("python/lib/*/site-packages"))
        yield [Path(folder) / APP_ZIP, layer], "from the package"


def _source(folder: Path) -> list[Path]:
    """The source without anything else of the repository, and without its bytecode."""
    import sqlalchemy

    from scripts.package import export

    export(folder, ROOT)
    return [folder, Path(sqlalchemy.__file__).parent.parent]
