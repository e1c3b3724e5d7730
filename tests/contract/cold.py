"""Runs code as Lambda does: in a process of its own, with the package and nothing else in reach."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# No site, and no environment but the one given: only what is on `path`, as in Lambda.
_PREAMBLE = """
import importlib, json, sys
path = json.loads(sys.argv[1])
sys.path[:0] = path
"""
_IMPORT = """
def forbid(event, _):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError("the network was used while importing")
sys.addaudithook(forbid)
found = importlib.import_module(sys.argv[2])
def on_path(name):
    file = getattr(sys.modules[name], "__file__", None)
    return file is not None and file.startswith(tuple(path))
names = [name for name in sys.modules if on_path(name)]
print(json.dumps({"names": names, "handler": callable(getattr(found, "handler", None))}))
"""


@dataclass(frozen=True)
class Imported:
    """`modules`: full names of the modules on the path, without the standard library."""

    modules: frozenset[str]
    has_handler: bool

    @property
    def packages(self) -> set[str]:
        return {name.partition(".")[0] for name in self.modules}


def import_alone(module: str, path: Sequence[Path]) -> Imported:
    """Raises AssertionError, with the traceback, when the module cannot be imported alone."""
    answer = json.loads(run_alone(_IMPORT, path, module))
    return Imported(frozenset(answer["names"]), answer["handler"])


def run_alone(
    script: str,
    path: Sequence[Path],
    *arguments: str,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What `script` prints, run with these `arguments` (from sys.argv[2] on). Raises AssertionError
    with the traceback when it fails."""
    folders = json.dumps([str(folder) for folder in path])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", _PREAMBLE + script, folders, *arguments],
        env=dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
