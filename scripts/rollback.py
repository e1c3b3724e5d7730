"""`make rollback STAGE=prod TAG=deployed/prod/…`: the code and configuration of an earlier commit.

The commit's own functions, schedules and rights, built again from its own requirements.txt and sent
by today's scripts. The database stays as it is: migrations only add, so older code works with it.
"""

from __future__ import annotations

import argparse
import sys

from chalicelib.errors import PonctuelError
from scripts import package
from scripts.errors import DeploymentError
from scripts.release import Release, stage_named
from scripts.revision import Revision, labels, named


def rollback(name: str, tag: str, *, change_python: bool) -> None:
    """Raises `PonctuelError`, in French."""
    stage = stage_named(name)
    if not tag:
        known = "\n".join(f"  {label}" for label in labels(package.ROOT, name)[:10])
        raise DeploymentError(
            f"Vers quel déploiement ? Ajoutez TAG=… Les derniers de l'étape {name}, le plus récent "
            f"d'abord :\n{known or '  aucun ici ; essayez `git fetch --tags`'}"
        )
    commit = named(package.ROOT, tag)
    release = Release.prepare(commit, stage, change_python=change_python)
    _refuse_newer_schema(commit, release.before.commit, tag)
    release.run(migrate=False, note=f"make rollback STAGE={name} TAG={tag}")


def _refuse_newer_schema(commit: Revision, running: str, tag: str) -> None:
    """Compared with the commit that runs: its deployment upgraded the database. One that another
    machine deployed and did not share must not keep anybody from going back: then with HEAD, and
    the smoke test says what that did not find."""
    try:
        now = named(package.ROOT, running or "HEAD")
    except DeploymentError:
        now = named(package.ROOT, "HEAD")
    if newer := sorted(commit.migrations() - now.migrations()):
        raise DeploymentError(
            f"{tag} attend une base plus récente que celle de cette étape ({', '.join(newer)}) : "
            f"ce n'est pas un retour en arrière. `git checkout {tag}` puis `make deploy` le "
            "déploie et met la base à jour."
        )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make rollback")
    parser.add_argument("--stage", required=True)
    parser.add_argument("--tag", default="")
    parser.add_argument("--change-python", action="store_true")
    options = parser.parse_args(arguments)
    try:
        rollback(options.stage, options.tag, change_python=options.change_python)
    except PonctuelError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
