"""`make bench`: what is promised about speed, memory and weight, measured on this machine.

    python -m bench [NAME…] [--quick] [--json]

Each figure is taken in turns with what it is compared to, in the same run; the ratio is what
counts. Ends with 1 when a goal is missed. `--quick`: small sizes, to see that it works; nothing is
judged but the round trips.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bench import (
    agenda,
    draining,
    erasing,
    imports,
    inbox,
    memory,
    orm,
    package,
    planning,
    round_trips,
    whatsapp_draining,
)
from bench.database import server
from bench.machine import here
from bench.measure import Measure, table

# In this order: what is light on the machine before what is heavy.
ON_A_SERVER: Mapping[str, Callable[..., Iterator[Measure]]] = {
    "round_trips": round_trips.measure,
    "draining": draining.measure,
    "whatsapp_draining": whatsapp_draining.measure,
    "planning": planning.measure,
    "agenda": agenda.measure,
    "orm": orm.measure,
    "erasing": erasing.measure,
    "memory": memory.measure,
    "inbox": inbox.measure,
}
ALONE: Mapping[str, Callable[..., Iterator[Measure]]] = {
    "package": package.measure,
    "imports": imports.measure,
}
NAMES = (*ALONE, *ON_A_SERVER)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all")
    parser.add_argument("--quick", action="store_true", help="small sizes, nothing judged")
    parser.add_argument("--json", action="store_true", help="for machines")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    # Nothing of this terminal's settings, and no log line between the figures.
    os.environ.update(LOG_LEVEL="ERROR", PONCTUEL_STAGE="local")
    measures, version = run(options.names or NAMES, quick=options.quick)
    machine = here(version)
    if options.json:
        answer = {"machine": machine.as_json(), "measures": [m.as_json() for m in measures]}
        print(json.dumps(answer, indent=1))
    else:
        print(f"\n{machine}\n\n{table(measures)}")
    return 0 if all(measure.kept for measure in measures) else 1


def run(names: Sequence[str], *, quick: bool) -> tuple[list[Measure], str | None]:
    """The measures of these names, and the version of the PostgreSQL that was measured on."""
    measures: list[Measure] = []
    version = None
    for name in names:
        if name in ALONE:
            measures += _told(ALONE[name](quick=quick))
    chosen = [name for name in ON_A_SERVER if name in names]
    if chosen:
        with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as running:
            version = running.version()
            for name in chosen:
                measures += _told(ON_A_SERVER[name](running, quick=quick))
    return measures, version


def _told(measures: Iterator[Measure]) -> Iterator[Measure]:
    for measure in measures:
        print(f"{measure.name}: {measure.median:.2f} {measure.unit}".rstrip(), file=sys.stderr)
        yield measure


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
