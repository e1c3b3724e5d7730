"""`make deploy STAGE=prod`: the commit that is checked out, to a stage of stages.toml.

Checks everything that can be checked first; deploys what git has; upgrades the database; calls the
API. Repeated after a failure it goes on from what AWS has.
"""

from __future__ import annotations

import argparse
import sys

from chalicelib.errors import PonctuelError
from scripts import config, package, revision
from scripts.errors import DeploymentError
from scripts.release import Release, stage_named, tell
from scripts.revision import labels


def deploy(name: str, *, change_python: bool) -> None:
    """Raises `PonctuelError`, in French."""
    stage = stage_named(name)
    if changed := config.outdated():
        raise DeploymentError(f"Lancez `make config` : {', '.join(changed)} n'est plus à jour.")
    commit = revision.head(package.ROOT)
    release = Release.prepare(commit, stage, change_python=change_python)
    former = labels(package.ROOT, name)
    release.run(migrate=True, note=f"make deploy STAGE={name}")
    tell("Ensuite :")
    tell(f"  ./ponctuel jobs --stage {name}       les jobs et leur prochain passage")
    if not release.before.functions:
        tell("  docs/first-business.md             une première entreprise, puis `go-live`")
    if not stage.aws_account_id:
        tell(
            f'  aws_account_id = "{release.account.number}" et aws_region = '
            f'"{release.account.region}" dans .chalice/stages.toml : aucun autre compte ne sera '
            f"touché par erreur"
        )
    if former:
        tell(f"  make rollback STAGE={name} TAG={former[0]}    pour revenir en arrière")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make deploy")
    parser.add_argument("--stage", required=True)
    parser.add_argument("--change-python", action="store_true")
    options = parser.parse_args(arguments)
    try:
        deploy(options.stage, change_python=options.change_python)
    except PonctuelError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
